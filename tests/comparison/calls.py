"""Random pairs of policies, and random calls as both of them and a region see them.

Nothing here looks at how regions are computed: a call is put into words, the engine of each
policy is asked, and the call's place in a space is looked up value by value.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from typing import Any

from modelrouter.comparison.comparing import Pair
from modelrouter.comparison.joint import Joint
from modelrouter.comparison.receiving import Outlined
from modelrouter.decision import Obligations
from modelrouter.engine.clauses import Engine
from modelrouter.engine.guard import guard
from modelrouter.engine.obliging import combine, matching_obligations
from modelrouter.engine.subject import Asked, read_request
from modelrouter.errors import CallError
from modelrouter.labels import Label
from modelrouter.proof.fields import ABSENT, Field
from modelrouter.values import Request
from tests.strategies import PURPOSES, TENANTS, VALUES

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as a caller and detectors state it.

    `level` None is a label without a level. `labelled` False: what is stated was detected.
    """

    labelled: bool
    level: str | None
    known: frozenset[str]
    unknown: frozenset[str]
    task: str
    facts: Json
    needs: frozenset[str]
    tokens: int

    def passes(self, engine: Engine, model: str) -> bool:
        """Whether a policy's own engine lets a model have the call."""
        place = engine.place.get(model)
        asked = self.read(engine)
        if place is None or asked is None:
            return False
        return bool(guard(asked.subject, engine).eligible >> place & 1)

    def asked_of(self, engine: Engine, model: str) -> Obligations | None:
        """Return what a policy's own engine asks of a model that has the call."""
        asked = self.read(engine)
        if asked is None:
            return None
        clauses = matching_obligations(asked.subject, engine)
        return combine(clauses, engine.place[model], engine.memory)

    def carried(self, engine: Engine) -> frozenset[str]:
        """Return the categories that the call carries, or may carry."""
        asked = self.read(engine)
        return frozenset() if asked is None else asked.label.categories | asked.label.unknown

    def read(self, engine: Engine) -> Asked | None:
        """Return the call as a policy's own engine reads it, or None if it refuses it."""
        scheme, words = engine.scheme, engine.bundle.words
        if not (self.level is None or self.level in scheme.rank):
            return None
        label = Label(
            level=scheme.lowest if self.level is None else self.level,
            categories=self.known & scheme.categories.keys(),
            unknown=self.unknown & scheme.categories.keys(),
        )
        request = Request(
            declared=label if self.labelled else None,
            evidence=() if self.labelled else (label,),
            task=self.task,
            needs=self.needs & words.capabilities,
            tokens=self.tokens,
            max_output=500,
            facts={name: value for name, value in self.facts.items() if name in words.facts},
        )
        try:
            asked = read_request(request, engine, {})
        except CallError:
            return None
        return asked if asked.missing is None else None


def random_call(pair: Pair, dice: random.Random) -> Call:
    """Return a call in the words of either policy."""
    bundles = [pair.old.reading.bundle, pair.new.reading.bundle]
    levels = sorted({name for bundle in bundles for name in bundle.scheme.levels})
    names = sorted({name for bundle in bundles for name in bundle.scheme.categories})
    odds = dice.choice(((1, 0, 0), (3, 1, 1), (1, 1, 0), (0, 1, 0), (2, 0, 1)))
    states = {name: dice.choices((0, 1, 2), odds)[0] for name in names}
    known = frozenset(name for name, state in states.items() if state == 2)
    unknown = frozenset(name for name, state in states.items() if state == 1)
    labelled = dice.random() < 0.7
    unstated = dice.random() < 0.3 and (bool(known | unknown) or not labelled)
    facts: Json = {}
    for name in sorted({name for bundle in bundles for name in bundle.policy.facts}):
        kinds = [bundle.policy.facts[name] for bundle in bundles if name in bundle.policy.facts]
        if all(kind.source != "classifier" for kind in kinds) and dice.random() < 0.75:
            values = VALUES[dice.choice(kinds).type]
            facts[name] = dice.choice(
                [*values, *PURPOSES, *TENANTS] if values is PURPOSES else values
            )
    capabilities = sorted({name for bundle in bundles for name in bundle.words.capabilities})
    return Call(
        labelled=labelled,
        level=None if unstated else dice.choice(levels),
        known=known,
        unknown=unknown,
        task=dice.choice(sorted({name for bundle in bundles for name in bundle.words.tasks})),
        facts=facts,
        needs=frozenset(dice.sample(capabilities, dice.choice((0, 0, 1, 2)))),
        tokens=dice.choice((0, 499, 500, 501, 1000, 1001, 2000, 2001, 9000)),
    )


def point_of(pair: Pair, call: Call) -> int | None:
    """Return the box of the one point that is a call, or None where neither policy reads it."""
    return point_in(pair.joint, pair, call)


def point_in(joint: Joint, pair: Pair, call: Call) -> int | None:
    """Return the same in a space that may tell more apart."""
    space = joint.space
    values: dict[str, object] = {"task": call.task, "tokens": call.tokens}
    if joint.stated:
        values |= {"label": not call.labelled, "level": call.level or ABSENT}
        for name in space.coherence.categories:
            values[f"category:{name}"] = 2 if name in call.known else int(name in call.unknown)
        lowest = space.table.by_name["level"].atoms[0].value
        if call.level is None and lowest is not ABSENT:
            values["level"] = lowest
    else:
        label = closed_by_hand(pair, call)
        if label is None:
            return None
        values["level"] = label.level
        for name in space.coherence.categories:
            state = 2 if name in label.categories else int(name in label.unknown)
            values[f"category:{name}"] = state
    box = 0
    for field in space.table.fields:
        kind, _, name = field.name.partition(":")
        if kind == "fact":
            values[field.name] = fact_of(joint, pair, name, call)
        elif kind == "need":
            values[field.name] = name in call.needs
        place = atom_of(field, values[field.name])
        if place is None:  # a value that neither policy reads
            return None
        box |= 1 << field.offset + place
    return box


def closed_by_hand(pair: Pair, call: Call) -> Label | None:
    """Return the label as the policy closes it that knows the task."""
    for side in (pair.new, pair.old):
        bundle = side.reading.bundle
        if call.task not in bundle.words.tasks:
            continue
        scheme = bundle.scheme
        tasks = bundle.policy.tasks
        parts = [
            Label(level=call.level or scheme.lowest, categories=call.known, unknown=call.unknown),
            Label(
                level=scheme.lowest, categories=frozenset(tasks[call.task].carries if tasks else ())
            ),
        ]
        if not call.labelled:
            labels = bundle.policy.labels
            stand_in = "top" if labels is None else labels.unlabelled
            known = stand_in in scheme.rank
            parts.append(Label(level=stand_in) if known else scheme.top(""))
        return scheme.join(*parts)
    return None


def fact_of(joint: Joint, pair: Pair, name: str, call: Call) -> object:
    """Return a fact's value; what is missing and has one default in both policies has that."""
    if name in call.facts:
        return call.facts[name]
    field = joint.space.table.by_name[f"fact:{name}"]
    if field.atoms[-1].value is ABSENT:
        return ABSENT
    return pair.new.reading.bundle.policy.facts[name].default


def atom_of(field: Field, value: object) -> int | None:
    """Return the place of the atom that a value belongs to."""
    atoms = [*enumerate(field.atoms)]
    if isinstance(value, int) and not isinstance(value, bool):
        for place, atom in atoms:
            if atom.span is not None:
                first, last = atom.span
                if (first is None or first <= value) and (last is None or value <= last):
                    return place
    for place, atom in atoms:
        if type(atom.value) is type(value) and atom.value == value:
            return place
    prefixes = [
        (len(atom.text), place)
        for place, atom in atoms
        if atom.text.endswith("*") and str(value).startswith(atom.text[:-1])
    ]
    if prefixes:
        return max(prefixes)[1]
    rest = [place for place, atom in atoms if atom.text.startswith("any") and type(value) is str]
    return rest[0] if rest else None


def mutated(policy: Json, catalogue: list[Json], dice: random.Random) -> tuple[Json, list[Json]]:
    """Return a policy and a catalogue in which one to three things are not the same."""
    policy, catalogue = copy.deepcopy(policy), copy.deepcopy(catalogue)
    for _ in range(dice.choice((1, 1, 2, 3))):
        dice.choice(MUTATIONS)(policy, catalogue, dice)
    return policy, catalogue


def drop_rule(policy: Json, _: list[Json], dice: random.Random) -> None:
    if policy.get("rules"):
        policy["rules"].pop(dice.randrange(len(policy["rules"])))


def change_rule(policy: Json, catalogue: list[Json], dice: random.Random) -> None:
    if policy.get("rules"):
        rule = dice.choice(policy["rules"])
        key = dice.choice(("when", "models", "effect", "strength"))
        if key == "effect" and rule["effect"] in {"forbid", "require", "permit"}:
            rule["effect"] = dice.choice(("forbid", "require", "permit"))
            rule.setdefault("models", "all")
        elif key == "strength" and rule["effect"] in {"forbid", "require", "permit"}:
            rule["strength"] = dice.choice(("hard", "advisory"))
        elif key == "models":
            rule["models"] = dice.choice(
                ({"id": catalogue[0]["id"]}, {"not": {"hosting": "self_hosted"}}, "all")
            )
        elif key == "when":
            others = [
                r["when"] for r in policy["rules"] if "when" in r and "budget" not in r["when"]
            ]
            rule["when"] = copy.deepcopy(dice.choice(others or [{"task": "other"}]))


def change_labels(policy: Json, _: list[Json], dice: random.Random) -> None:
    labels = policy["labels"]
    if labels == "standard":
        return
    levels = labels.get("levels", ["public", "internal", "confidential", "restricted"])
    key = dice.choice(("at_least", "includes", "unlabelled", "levels", "drop", "add"))
    names = list(labels["categories"])
    if key == "unlabelled":
        labels["unlabelled"] = dice.choice(("top", *levels))
    elif key == "at_least":
        labels["categories"][dice.choice(names)]["at_least"] = dice.choice(levels)
    elif key == "includes":
        labels["categories"][names[-1]]["includes"] = dice.sample(names[:-1], dice.randint(0, 1))
    elif key == "levels":
        labels["levels"] = [*levels, "beyond"] if dice.random() < 0.5 else ["below", *levels]
    elif key == "add":
        labels["categories"]["extra"] = {"at_least": dice.choice(levels)}
    else:
        labels["categories"].pop(names[-1])


def change_words(policy: Json, _: list[Json], dice: random.Random) -> None:
    tasks = policy.get("tasks")
    key = dice.choice(("task", "carries", "default"))
    if key == "default":
        policy.setdefault("defaults", {}).pop("default_deny_from", None)
    elif isinstance(tasks, dict):
        if key == "task":
            tasks["extra"] = None
        else:
            name = dice.choice(list(tasks))
            tasks[name] = dict(tasks[name] or {})
            tasks[name].pop("carries", None)


def change_fact(policy: Json, _: list[Json], dice: random.Random) -> None:
    facts = policy.get("facts") or {}
    if not facts:
        return
    name = dice.choice(sorted(facts))
    fact = facts[name]
    key = dice.choice(("required", "default", "optional", "values", "type", "type"))
    if key == "values" and fact["type"] == "enum":
        fact["values"] = [*fact["values"], "acme-eu"]
    elif key == "type" and fact["type"] == "enum":
        fact["type"] = "string"
        fact.pop("values")
    elif fact["source"] != "classifier":
        for part in ("required", "default", "when_missing"):
            fact.pop(part, None)
        if key == "required":
            fact["required"] = True
        elif key == "default":
            fact["default"] = dice.choice(VALUES[fact["type"]])


def change_model(_: Json, catalogue: list[Json], dice: random.Random) -> None:
    model = dice.choice(catalogue)
    key = dice.choice(("hosting", "region", "weights", "tags", "drop"))
    if key == "drop" and len(catalogue) > 2:
        catalogue.remove(model)
    elif key != "drop":
        options: Json = {
            "hosting": ["self_hosted", "vendor_api"],
            "region": ["eu-west", "us-east"],
            "weights": ["open", "closed"],
            "tags": [["fast"], []],
        }
        model[key] = dice.choice(options[key])


def change_obligation(policy: Json, _: list[Json], dice: random.Random) -> None:
    for rule in policy.get("rules", []):
        if rule["effect"] == "obligate":
            key = dice.choice(("trace", "cache", "log", "drop", "when"))
            words = {"trace": ["hash", "content"], "cache": ["exact"], "log": ["none"]}
            if key == "when":
                rule.pop("when", None)
            elif key == "drop" and len(rule["do"]) > 1:
                rule["do"].pop(dice.choice(sorted(rule["do"])))
            elif key in words:
                rule["do"][key] = dice.choice(words[key])


MUTATIONS = (drop_rule, drop_rule, change_rule, change_rule, change_labels, change_labels,
             change_obligation, change_obligation,
             change_words, change_fact, change_model)  # fmt: skip


def readable_fact(pair: Pair, name: str, value: object) -> bool:
    """Whether the new policy reads a value of a fact."""
    fact = pair.new.reading.bundle.policy.facts[name]
    return fact.type != "enum" or value in (fact.values or ())


def fits(pair: Pair, call: Call, asked: Outlined) -> bool:
    """Whether a call is among those that something was said of, worked out on its closed label."""
    found = call.read(pair.new.engine)
    if found is None or asked.task not in {None, call.task}:
        return False
    scheme = pair.new.engine.scheme
    tasks = pair.new.reading.bundle.policy.tasks
    carried = frozenset(tasks[call.task].carries if tasks else ())
    if asked.unlabelled:
        if call.labelled or call.known or call.unknown or call.level not in {None, scheme.lowest}:
            return False
    elif asked.level is not None:
        stated = scheme.label(level=asked.level, categories={*asked.categories} | carried)
        if found.label.level != stated.level:
            return False
    if not {*asked.categories} <= found.label.categories or not {*asked.needs} <= call.needs:
        return False
    facts = pair.new.reading.bundle.policy.facts
    given = {name: call.facts.get(name, facts[name].default) for name in facts}
    return all(given[name] == value for name, value in asked.facts.items())
