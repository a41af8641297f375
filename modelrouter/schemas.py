"""JSON Schemas of the policy documents, for editors and other tools.

They are generated from the models that the loader validates with and describe what an author
writes: shorthand included, the internal form of shorthand left out. What a schema cannot say
(names that must exist, keys that go together) only the loader checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelrouter.policy.catalogue import Catalog
from modelrouter.policy.document import Policy
from modelrouter.policy.shapes import is_list, is_mapping
from modelrouter.policy.suite import PolicyTest, Properties

if TYPE_CHECKING:
    from modelrouter.policy.shapes import Shape

__all__ = ["DOCUMENTS", "TITLES", "file_name", "schema_of", "schema_text"]

DOCUMENTS: Mapping[str, type[Shape]] = {
    "policy": Policy,
    "catalog": Catalog,
    "test": PolicyTest,
    "properties": Properties,
}
"""The kinds of documents by the name of their schema."""

TITLES: Mapping[str, str] = {
    "policy": "modelrouter policy",
    "catalog": "modelrouter catalogue",
    "test": "modelrouter policy tests",
    "properties": "modelrouter policy properties",
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def file_name(name: str) -> str:
    """Return the file name of a schema."""
    return f"{name}.v1.json"


def schema_of(name: str) -> dict[str, object]:
    """Return the schema of one kind of document, by a name among `DOCUMENTS`."""
    raw = DOCUMENTS[name].model_json_schema(by_alias=True, mode="validation")
    tidied = tidy(raw)
    body = dict(tidied) if is_mapping(tidied) else {}
    head: dict[str, object] = {
        "$schema": DIALECT,
        "$id": f"urn:modelrouter:schema:{name}:v1",
        "title": TITLES[name],
    }
    rest = {str(key): value for key, value in body.items() if key not in head}
    definitions = rest.pop("$defs", {})
    return head | rest | {"$defs": definitions}


def schema_text(name: str) -> str:
    """Return a schema as its file holds it."""
    return json.dumps(schema_of(name), indent=2, ensure_ascii=True) + "\n"


def tidy(node: object, *, nullable: bool = False) -> object:
    """Return part of a schema without what an author has no use for.

    Args:
        node: A schema as pydantic generates it.
        nullable: Whether the author may leave the value out after the colon.
    """
    if is_list(node):
        return [tidy(part) for part in node]
    if not is_mapping(node):
        return node
    found: dict[str, object] = {}
    for named, value in node.items():
        key = str(named)
        # A schema's own keywords only: below `properties` the same words are names of keys.
        if key in {"properties", "$defs"} and is_mapping(value):
            found[key] = {str(name): tidy(part) for name, part in value.items()}
        elif key == "patternProperties" and is_mapping(value):
            # The names are the author's own: a task may stand there without a value.
            found[key] = {str(name): tidy(part, nullable=True) for name, part in value.items()}
        elif key == "title" or (key == "default" and is_plain_default(value)):
            continue
        elif key == "description" and isinstance(value, str):
            found[key] = " ".join(value.split())
        else:
            found[key] = value if key in {"default", "enum"} else tidy(value)
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    return found if nullable else without_null(found)


def is_plain_default(value: object) -> bool:
    """Whether a default says no more than that the key may be left out."""
    return value is None or is_mapping(value) or value == []


def without_null(node: dict[str, object]) -> dict[str, object]:
    """Return a schema without the alternative `null`, and without alternatives if one is left."""
    options = node.get("anyOf")
    if not is_list(options):
        return node
    flat: list[object] = []
    for option in options:
        inner = option.get("anyOf") if is_mapping(option) and len(option) == 1 else None
        flat.extend(inner if is_list(inner) else [option])
    left = [option for option in flat if option != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if len(left) == 1 and is_mapping(only := left[0]):
        return {str(key): value for key, value in only.items()} | rest
    return rest | {"anyOf": left}
