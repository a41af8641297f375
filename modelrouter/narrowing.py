"""JSON Schemas for one policy: where a name is used, only the names it declares are left.

The general schemas are taken as they are generated; `PLACES` says where in them which names
are used. What declares a name (a rule's `id`, a category, a task, a set) stays free: a new one
can be written, and used once the schemas are made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from modelrouter.declared import Names
from modelrouter.policy.checks import PARTITION_WORDS
from modelrouter.policy.document import Fact
from modelrouter.policy.shapes import is_list, is_mapping
from modelrouter.schemas import DOCUMENTS, TITLES, schema_of

__all__ = ["PLACES", "Form", "narrowed", "narrowed_text"]

Schema = dict[str, object]


class Form(StrEnum):
    """How names stand at a place."""

    VALUES = "values"  # a scalar, a list of them, a matcher with lists of them
    KEYS = "keys"  # the keys of a mapping
    CONDITIONS = "conditions"  # facts with what a rule asks of them
    FACTS = "facts"  # facts with a value
    DEFAULTS = "defaults"  # declared facts, whose `default` is one of their values


# None: any name, because the place is where such names are declared.
NOUNS: Final[Mapping[str, Callable[[Names], Iterable[str] | None]]] = {
    "level": lambda names: names.words.levels,
    "level or word for unlabelled": lambda names: (*names.words.levels, "top", "detected"),
    "level or word for unscannable": lambda names: (*names.words.levels, "top", "declared"),
    "category": lambda names: sorted(names.words.categories),
    "task": lambda names: sorted(names.words.tasks),
    "task of evidence": lambda names: (
        ("*", *sorted(names.words.tasks)) if names.tasks_listed else None
    ),
    "capability": lambda names: sorted(names.words.capabilities),
    "fact": lambda names: sorted(names.words.facts),
    "fact or part of a cache key": lambda names: sorted({*names.words.facts, *PARTITION_WORDS}),
    "model": lambda names: sorted(names.words.models),
    "model set": lambda names: sorted(names.words.sets),
    "budget": lambda names: sorted(names.words.budgets),
    "rule or budget": lambda names: sorted(names.words.rules | names.words.budgets),
    "request": lambda names: sorted(names.requests),
}

PLACES: Final[Mapping[tuple[str, str], tuple[Form, str]]] = {
    ("AskedRequest", "categories"): (Form.VALUES, "category"),
    ("AskedRequest", "facts"): (Form.FACTS, "fact"),
    ("AskedRequest", "level"): (Form.VALUES, "level"),
    ("AskedRequest", "needs"): (Form.VALUES, "capability"),
    ("AskedRequest", "task"): (Form.VALUES, "task"),
    ("Budget", "scope"): (Form.VALUES, "fact"),
    ("CachePart", "partition"): (Form.VALUES, "fact or part of a cache key"),
    ("CategoryShape", "at_least"): (Form.VALUES, "level"),
    ("CategoryShape", "includes"): (Form.VALUES, "category"),
    ("Classifiers", "unscannable"): (Form.VALUES, "level or word for unscannable"),
    ("Defaults", "default_deny_from"): (Form.VALUES, "level"),
    ("Expected", "model"): (Form.VALUES, "model"),
    ("Expected", "models_in_order"): (Form.VALUES, "model"),
    ("Expected", "never"): (Form.VALUES, "model"),
    ("Expected", "rules"): (Form.VALUES, "rule or budget"),
    ("Given", "budgets"): (Form.KEYS, "budget"),
    ("Given", "health"): (Form.KEYS, "model"),
    ("Labels", "unlabelled"): (Form.VALUES, "level or word for unlabelled"),
    ("ModelEntry", "quality"): (Form.KEYS, "task of evidence"),
    ("ModelMatcher", "capabilities"): (Form.VALUES, "capability"),
    ("ModelMatcher", "id"): (Form.VALUES, "model"),
    ("ModelMatcher", "set"): (Form.VALUES, "model set"),
    ("Obligate", "redact"): (Form.VALUES, "category"),
    ("Rollout", "key"): (Form.VALUES, "fact"),
    ("Rollout", "model"): (Form.VALUES, "model"),
    ("Obliged", "redact"): (Form.VALUES, "category"),
    ("Policy", "facts"): (Form.DEFAULTS, "fact"),
    ("RequestMatcher", "budget"): (Form.KEYS, "budget"),
    ("RequestMatcher", "categories"): (Form.VALUES, "category"),
    ("RequestMatcher", "facts"): (Form.CONDITIONS, "fact"),
    ("RequestMatcher", "level"): (Form.VALUES, "level"),
    ("RequestMatcher", "needs"): (Form.VALUES, "capability"),
    ("RequestMatcher", "task"): (Form.VALUES, "task"),
    ("Task", "carries"): (Form.VALUES, "category"),
    ("TestCase", "request"): (Form.VALUES, "request"),
}
"""Definition and key of every place where a name is used, with the form and the names."""

MATCHERS: Final = frozenset({"LevelMatch", "SetMatch", "StringMatch"})
"""Definitions shared by places of different names: each place gets a copy of its own."""
FREE_KEYS: Final = frozenset({"prefix"})
FACT_TYPES: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "enum": ("string", frozenset()),
    "string": ("string", frozenset({"prefix"})),
    "bool": ("boolean", frozenset()),
    "int": ("integer", frozenset({"at_least", "at_most", "above", "below"})),
}
"""By the type of a fact: the JSON type of its values, and the keys that a condition may have."""


def narrowed(name: str, names: Names) -> Schema:
    """Return the schema of one kind of document, by a name among `DOCUMENTS`, for one policy."""
    schema = schema_of(name)
    # `$id` is that of the general schema, and an editor may know that one already.
    del schema["$id"]
    schema["title"] = f"{TITLES[name]} ({names.policy})"
    work = Narrowing(names=names, definitions=mapping(schema["$defs"]))
    for (definition, key), (form, noun) in PLACES.items():
        holder = (
            schema if definition == DOCUMENTS[name].__name__ else work.definitions.get(definition)
        )
        if is_mapping(holder):
            known = mapping(mapping(holder)["properties"])
            known[key] = work.narrow(mapping(known[key]), form, noun)
            replaced = mapping(holder) | {"properties": known}
            if holder is schema:
                schema = replaced
            else:
                work.definitions[definition] = replaced
    return schema | {"$defs": work.definitions}


def narrowed_text(name: str, names: Names) -> str:
    """Return a narrowed schema as its file holds it."""
    return json.dumps(narrowed(name, names), indent=2, ensure_ascii=True) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """One schema on its way.

    Attributes:
        names: What may stand where a name is used.
        definitions: Definitions of the schema, copies made for one kind of name included.
    """

    names: Names
    definitions: Schema = field(default_factory=dict[str, object])

    def narrow(self, node: Schema, form: Form, noun: str) -> Schema:
        """Return the schema of a place, with only the names that fit there."""
        facts = self.names.words.facts
        match form:
            case Form.CONDITIONS:
                conditions: Schema = {name: self.condition(fact) for name, fact in facts.items()}
                return closed(node, conditions)
            case Form.FACTS:
                return closed(node, {name: scalar(fact) for name, fact in facts.items()})
            case Form.DEFAULTS:
                with_default: Schema = {
                    name: {"properties": {"default": scalar(fact)}} for name, fact in facts.items()
                }
                return node | {"properties": with_default}
            case Form.KEYS | Form.VALUES:
                found = NOUNS[noun](self.names)
                if found is None:
                    return node
                return (self.keys if form is Form.KEYS else self.values)(node, tuple(found), noun)

    def keys(self, node: Schema, known: tuple[str, ...], noun: str) -> Schema:
        """Return a schema in which the keys of every mapping are among the names."""
        if "anyOf" in node:
            options = [self.keys(option, known, noun) for option in parts(node["anyOf"])]
            return node | {"anyOf": options}
        value = value_of(node)
        return node if value is None else closed(node, dict.fromkeys(known, value))

    def values(self, node: Schema, known: tuple[str, ...], noun: str) -> Schema:
        """Return a schema in which every text is one of the names."""
        if "anyOf" in node:
            options = [self.values(option, known, noun) for option in parts(node["anyOf"])]
            return node | {"anyOf": options}
        for key in ("items", "additionalProperties"):
            if is_mapping(node.get(key)):
                return node | {key: self.values(mapping(node[key]), known, noun)}
        if node.get("type") == "string":
            kept = {key: node[key] for key in ("description", "default") if key in node}
            return kept | one_of(known)
        definition = str(node.get("$ref", "")).rpartition("/")[2]
        if definition not in MATCHERS:
            return node
        properties = mapping(mapping(self.definitions[definition])["properties"])
        changed: Schema = {
            key: part if key in FREE_KEYS else self.values(mapping(part), known, noun)
            for key, part in properties.items()
        }
        return node | {"$ref": self.copied(definition, noun, changed)}

    def condition(self, fact: Fact) -> Schema:
        """Return the schema of what a rule may ask of one fact."""
        value, allowed = scalar(fact), FACT_TYPES[fact.type][1]
        options: list[object] = [value, {"type": "array", "items": value, "minItems": 1}]
        if allowed:
            properties = mapping(mapping(self.definitions["FactMatch"])["properties"])
            kept: Schema = {key: part for key, part in properties.items() if key in allowed}
            options.append({"$ref": self.copied("FactMatch", fact.type, kept)})
        return {"anyOf": options}

    def copied(self, definition: str, noun: str, properties: Schema) -> str:
        """Return the reference to a copy of a definition with other properties."""
        name = f"{definition}.{noun.replace(' ', '-')}"
        original = mapping(self.definitions[definition])
        self.definitions[name] = original | {"properties": properties}
        return f"#/$defs/{name}"


def mapping(node: object) -> Schema:
    """Return a part of a schema that is a mapping."""
    return {str(key): value for key, value in node.items()} if is_mapping(node) else {}


def parts(node: object) -> tuple[Schema, ...]:
    """Return alternatives."""
    return tuple(mapping(part) for part in node) if is_list(node) else ()


def value_of(node: Schema) -> object:
    """Return the schema of the values of a mapping with free keys, or None."""
    patterns = mapping(node.get("patternProperties"))
    return next(iter(patterns.values()), None)


def closed(node: Schema, properties: Schema) -> Schema:
    """Return the schema of a mapping that has these keys and no others."""
    kept = {key: value for key, value in node.items() if key != "patternProperties"}
    return kept | {"properties": properties, "additionalProperties": False}


def one_of(known: tuple[str, ...]) -> Schema:
    """Return the schema of one of some names; of none, if nothing is declared."""
    return {"enum": [*known]} if known else {"not": {}}


def scalar(fact: Fact) -> Schema:
    """Return the schema of one value of a fact."""
    if fact.type == "enum" and fact.values:
        return one_of(fact.values)
    return {"type": FACT_TYPES[fact.type][0]}
