"""Schemas for one policy reject each name that the loader rejects, and nothing it accepts."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from modelrouter.declared import Names, names_alone, read_names
from modelrouter.loader import inspect
from modelrouter.narrowing import PLACES, narrowed, narrowed_text
from modelrouter.schemas import DOCUMENTS, schema_of
from modelrouter.yamlsource import read_file

POLICIES = Path(__file__).parents[2] / "policies"
KINDS = {"Policy": "policy", "Catalog": "catalog", "PolicyTest": "test", "Properties": "properties"}
FILES = sorted(POLICIES.glob("*/*.yaml"))
UNKNOWN_NAME = {f"MR10{number}" for number in range(1, 9)}
# Where an editor is stricter than the loader: names that the loader takes for free text.
STRICTER = {"quality", "redact"}
# Declared there, or free text: see `test_every_place_of_a_name_was_thought_of`.
DECLARING = {
    "Budget.id",
    "Labels.categories",
    "Labels.levels",
    "ModelEntry.capabilities",
    "ModelEntry.id",
    "Objective.id",
    "Policy.sets",
    "Policy.tasks",
    "Catalog.sets",
    "PolicyTest.requests",
    "Property.id",
    "Rule.id",
    "Runtime.id",
    "Fact.values",
}
FREE_TEXT = {
    "Accepted.code",
    "Data.agreements",
    "FactMatch.prefix",
    "LevelMatch.at_least",  # copied for each kind of name
    "LevelMatch.at_most",
    "ModelEntry.licence",
    "ModelEntry.operator",
    "ModelEntry.region",
    "ModelEntry.tags",
    "ModelMatcher.agreements",
    "ModelMatcher.licence",
    "ModelMatcher.operator",
    "ModelMatcher.region",
    "ModelMatcher.tags",
    "Obligate.approval",
    "Obliged.approval",
    "SetMatch.all",
    "SetMatch.any",
    "SetMatch.none",
    "StringMatch.prefix",
    "Endpoint.api_key_env",
}


@cache
def names_of(folder: Path) -> Names:
    found = read_names(folder)
    assert found.names is not None
    return found.names


def complaints(data: Any, folder: Path) -> list[str]:
    schema = narrowed(KINDS[data["kind"]], names_of(folder))
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(data)]


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], bool]]:
    """Yield the path of every text, and whether it is a key."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key), True
            yield from places(value, (*path, key))
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from places(value, (*path, place))
    elif isinstance(data, str):
        yield path, False


def misspelt(data: Any, path: tuple[Any, ...], *, key: bool) -> tuple[Any, tuple[Any, ...]]:
    """Return a copy with one more letter at one place, and the path to it."""
    changed = copy.deepcopy(data)
    holder = changed
    for part in path[:-1]:
        holder = holder[part]
    if not key:
        holder[path[-1]] += "x"
        return changed, path
    renamed = {f"{name}x" if name == path[-1] else name: part for name, part in holder.items()}
    holder.clear()
    holder.update(renamed)
    return changed, (*path[:-1], f"{path[-1]}x")


def general(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(KINDS[kind]))


def loader_objects(file: Path, changed: Any, path: tuple[Any, ...], *, key: bool) -> bool:
    """Whether the loader says that the name at `path` is unknown."""
    file.write_text(json.dumps(changed, indent=1), encoding="utf-8")
    main = file.parent / "policy.yaml"
    source = read_file(file)
    # A fact is noted at its value, a bound at its matcher.
    at = {source.position(path, key=key), source.position(path), source.position(path[:-1])}
    return any(
        problem.code in UNKNOWN_NAME
        and Path(problem.file).name == file.name
        and (problem.line, problem.column) in at
        for problem in inspect(main).problems
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_shipped_file_fits_the_schema_of_its_policy(path: Path) -> None:
    data: Any = read_file(path).data
    schema = narrowed(KINDS[data["kind"]], names_of(path.parent))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert complaints(data, path.parent) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_misspelt_name_is_rejected_wherever_the_loader_rejects_it(
    path: Path, tmp_path: Path
) -> None:
    for other in path.parent.glob("*.yaml"):
        (tmp_path / other.name).write_bytes(other.read_bytes())
    data: Any = read_file(path).data
    shape = general(data["kind"])
    schema = narrowed(KINDS[data["kind"]], names_of(path.parent))
    validator = jsonschema.Draft202012Validator(schema)
    judged: dict[tuple[Any, ...], bool] = {}
    rejected = 0
    for place, key in places(data):
        changed, there = misspelt(data, place, key=key)
        if not shape.is_valid(changed):
            continue  # a word of the format itself
        # The loader judges one of the places that differ only in their position in a list.
        like = (*(part for part in place if isinstance(part, str)), key)
        if like not in judged:
            judged[like] = loader_objects(tmp_path / path.name, changed, there, key=key)
        if judged[like]:
            rejected += 1
            assert not validator.is_valid(changed), place
        elif not STRICTER & set(place):
            assert validator.is_valid(changed), place
    if path.stem != "catalog":
        assert rejected > 0


def head(kind: str) -> dict[str, Any]:
    return {"apiVersion": "modelrouter/v1", "kind": kind}


def rule(**parts: Any) -> dict[str, Any]:
    return head("Policy") | {"rules": [{"id": "a", "effect": "forbid", **parts}]}


def when(**parts: Any) -> dict[str, Any]:
    return rule(when=parts)


def asked(**parts: Any) -> dict[str, Any]:
    test = {"name": "a", "request": parts, "expect": {"decision": "deny"}}
    return head("PolicyTest") | {"policy": "policy.yaml", "tests": [test]}


def expected(**parts: Any) -> dict[str, Any]:
    test = {"name": "a", "request": "rota", "expect": parts}
    return head("PolicyTest") | {"policy": "policy.yaml", "tests": [test]}


FORMS: list[tuple[Any, Any]] = [
    *(
        (make(good), make(bad))
        for make, good, bad in [
            (lambda name: when(level=name), "internal", "intrenal"),
            (lambda name: when(categories=name), "phi", "pih"),
            (lambda name: when(task=name), "code", "cod"),
            (lambda name: when(needs=name), "vision", "visoin"),
            (lambda name: rule(models={"id": name}), "ward/small-8b", "ward/small"),
            (lambda name: rule(models={"set": name}), "outside", "outsid"),
            (lambda name: rule(models={"capabilities": name}), "tools", "tool"),
            (lambda name: rule(models={"not": {"set": name}}), "outside", "outsid"),
            (lambda name: when(facts={"purpose": name}), "care", "cure"),
            (lambda name: asked(categories=name), "phi", "pih"),
            (lambda name: asked(needs=name), "vision", "visoin"),
            (lambda name: expected(never=name), "ward/small-8b", "ward/small"),
            (lambda name: expected(rules=name), "floor-icd", "floor-idc"),
            (lambda name: expected(obligations={"redact": name}), "pii", "pi"),
        ]
        for good, bad in [(good, bad), ([good], [bad]), ([good], [good, bad])]
    ),
    *(
        (when(**{key: {word: good}}), when(**{key: {word: bad}}))
        for key, name, wrong in [("categories", "phi", "pih"), ("needs", "vision", "visoin")]
        for word in ("any", "all", "none")
        for good, bad in [(name, wrong), ([name], [wrong])]
    ),
    *(
        (
            rule(models={"capabilities": {word: "tools"}}),
            rule(models={"capabilities": {word: "tol"}}),
        )
        for word in ("any", "all", "none")
    ),
    *(
        (when(level={word: "internal"}), when(level={word: "intrenal"}))
        for word in ("at_least", "at_most")
    ),
    (when(facts={"purpose": "care"}), when(facts={"porpoise": "care"})),
    (when(facts={"facility": {"prefix": "n"}}), when(facts={"purpose": {"prefix": "n"}})),
    (when(facts={"facility": "anything"}), when(facts={"facility": 5})),
    (when(budget={"one-call": {"spent_at_least": 1}}), when(budget={"one": {"spent_at_least": 1}})),
    (rule(do={"redact": "pii"}), rule(do={"redact": ["pii", "pi"]})),
    (asked(level="internal"), asked(level="intrenal")),
    (asked(task="code"), asked(task="cod")),
    (asked(facts={"purpose": "care"}), asked(facts={"purpose": "cure"})),
    (asked(facts={"facility": "x"}), asked(facts={"facilty": "x"})),
    (asked(given={"budgets": {"one-call": 1}}), asked(given={"budgets": {"one": 1}})),
    (asked(given={"health": {"ward/small-8b": "down"}}), asked(given={"health": {"ward": "down"}})),
    (expected(model="ward/small-8b"), expected(model="ward/small")),
    (expected(models_in_order=["ward/small-8b"]), expected(models_in_order=["ward/small"])),
    (expected(rules="one-call"), expected(rules="one")),
]


@pytest.mark.parametrize(("good", "bad"), FORMS)
def test_every_form_of_a_place_is_narrowed(good: Any, bad: Any) -> None:
    folder = POLICIES / "hospital"
    assert complaints(good, folder) == []
    assert complaints(bad, folder)
    assert general(bad["kind"]).is_valid(bad)


def test_facts_take_values_and_conditions_of_their_type(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        "apiVersion: modelrouter/v1\nkind: Policy\nlabels: standard\n"
        "models: [{id: a, weights: open, hosting: self_hosted}]\n"
        "facts:\n"
        "  grade: {type: int, source: host, required: true}\n"
        "  staff: {type: bool, source: host, required: true}\n"
    )
    for good in ({"grade": 3}, {"grade": [3, 4]}, {"grade": {"at_least": 3}}, {"staff": [True]}):
        assert complaints(when(facts=good), tmp_path) == []
    for bad in (
        {"grade": "3"},
        {"grade": [3, True]},
        {"grade": {"prefix": "3"}},
        {"staff": "true"},
        {"staff": {"at_least": 1}},
    ):
        assert complaints(when(facts=bad), tmp_path)
    assert complaints(asked(facts={"grade": 3, "staff": False}), tmp_path) == []
    assert complaints(asked(facts={"grade": {"at_least": 3}}), tmp_path)
    # Nothing is declared: nothing can be named.
    assert complaints(rule(models={"set": "a"}), tmp_path)
    assert complaints(expected(decision="deny"), tmp_path)
    assert complaints(when(budget={"a": {"spent_at_least": 1}}), tmp_path)


@pytest.mark.parametrize(
    "more",
    [
        {"labels": {"levels": ["low", "new"], "categories": {"new": {}}}},
        {"tasks": ["new"]},
        {"tasks": {"new": {"carries": "phi"}, "other": None}},
        {"facts": {"new": {"type": "enum", "values": ["a"], "source": "host", "default": "a"}}},
        {"facts": {"purpose": {"type": "enum", "values": ["care", "new"], "source": "host"}}},
        {"sets": {"new": {"set": "outside"}}},
        {"rules": [{"id": "new", "effect": "forbid", "models": "all"}]},
        {"budgets": [{"id": "new", "period": "day", "limit_usd": 1}]},
        {"objectives": [{"id": "new", "order": [{"minimise": "cost"}]}]},
        {"models": [{"id": "new", "weights": "open", "hosting": "self_hosted", "tags": "new"}]},
        {"models": [{"id": "n", "weights": "open", "hosting": "vendor_api", "capabilities": "n"}]},
    ],
)
def test_a_new_name_can_be_declared(more: Any) -> None:
    assert complaints(head("Policy") | more, POLICIES / "hospital") == []


def test_evidence_is_for_declared_tasks_and_declares_them_where_none_is_listed() -> None:
    model = {"id": "a", "weights": "open", "hosting": "self_hosted"}

    def catalogue(quality: Any) -> Any:
        return head("Catalog") | {"models": [model | {"quality": quality}]}

    for quality in (0.5, {"*": 0.5}, {"code": {"score": 0.5}}):
        assert complaints(catalogue(quality), POLICIES / "hospital") == []
    assert complaints(catalogue({"cod": 0.5}), POLICIES / "hospital")
    assert names_of(POLICIES / "quickstart").tasks_listed is False
    assert complaints(catalogue({"new": 0.5}), POLICIES / "quickstart") == []


def test_words_that_stand_beside_levels_are_kept() -> None:
    folder = POLICIES / "hospital"
    for word in ("top", "detected", "internal"):
        assert complaints(head("Policy") | {"labels": {"unlabelled": word}}, folder) == []
    for word in ("top", "declared", "internal"):
        data = head("Policy") | {"classifiers": {"unscannable": {"image": word}}}
        assert complaints(data, folder) == []
    for labels in ({"unlabelled": "declared"}, {"unlabelled": "topp"}):
        assert complaints(head("Policy") | {"labels": labels}, folder)
    run = {"id": "a", "cache": {"partition": ["tenant", "label", "task", "policy", "facility"]}}
    assert complaints(head("Policy") | {"runtime": [run]}, folder) == []
    run = {"id": "a", "cache": {"partition": ["tennant"]}}
    assert complaints(head("Policy") | {"runtime": [run]}, folder)


def holds_a_name(node: Any) -> bool:
    """Whether text in the form of a name may stand here, as a value or a key."""
    if isinstance(node, list):
        return any(map(holds_a_name, node))
    if not isinstance(node, dict):
        return False
    return "pattern" in node or "patternProperties" in node or any(map(holds_a_name, node.values()))


def test_every_place_of_a_name_was_thought_of() -> None:
    found: set[str] = set()
    for name, shape in DOCUMENTS.items():
        schema: Any = schema_of(name)
        definitions = schema["$defs"] | {shape.__name__: schema}
        found |= {
            f"{definition}.{key}"
            for definition, part in definitions.items()
            for key, node in part.get("properties", {}).items()
            if holds_a_name(node)
        }
    narrow = {f"{definition}.{key}" for definition, key in PLACES}
    assert found - narrow == DECLARING | FREE_TEXT
    assert not narrow & (DECLARING | FREE_TEXT)
    assert narrow - found == set()


def test_names_are_read_alike_with_and_without_mistakes(tmp_path: Path) -> None:
    for folder in {path.parent for path in FILES}:
        assert names_alone(folder) == names_of(folder)
        assert names_alone(folder / "policy.yaml") == names_of(folder)
    for path in (POLICIES / "hospital").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "policy.yaml").read_text()
    (tmp_path / "policy.yaml").write_text(text.replace("task: icd_coding", "task: idc_coding"))
    found = read_names(tmp_path)
    assert [problem.code for problem in found.problems] == ["MR103"]
    assert found.names == names_of(POLICIES / "hospital")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("policy.yaml", "effect: permit", "effect: tolerate"),
        ("policy.yaml", "catalogs: [catalog.yaml]", "catalogs: [lost.yaml]"),
        ("policy.yaml", "rules:", "rules: {"),
        ("policy.yaml", "kind: Policy", "kind: Polcy"),
        ("catalog.yaml", "weights: open", "weights: ajar"),
    ],
)
def test_names_that_cannot_be_read_are_not_guessed(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    for path in (POLICIES / "hospital").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    found = read_names(tmp_path)
    assert found.names is None
    assert found.problems
    assert read_names(tmp_path / "lost").names is None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_narrowed_schema_is_the_same_each_time_and_not_the_general_one(name: str) -> None:
    names = names_of(POLICIES / "hospital")
    text = narrowed_text(name, names)
    assert text == narrowed_text(name, names)
    assert text.isascii()
    schema = json.loads(text)
    assert "$id" not in schema
    assert schema["title"] == f"{schema_of(name)['title']} (st-marys-hospital)"
