"""The JSON Schemas: generated, shipped, and in agreement with the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from modelrouter.declared import read_names
from modelrouter.narrowing import narrowed_text
from modelrouter.schemas import DOCUMENTS, file_name, schema_of, schema_text
from modelrouter.yamlsource import read_file, read_text
from tests.cli.running import POLICIES, run

SHIPPED = Path(__file__).parents[2] / "modelrouter" / "schema"
GOLDEN = Path(__file__).parents[1] / "golden" / "policy"
NAMES = {"Policy": "policy", "Catalog": "catalog", "PolicyTest": "test", "Properties": "properties"}
HEAD = "apiVersion: modelrouter/v1\nkind: Policy\n"


def errors_of(name: str, data: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema_of(name))
    return [error.message for error in validator.iter_errors(data)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_shipped_schema_is_the_one_that_is_generated(name: str) -> None:
    # When this fails after a change of the models: modelrouter schema --write modelrouter/schema
    assert (SHIPPED / file_name(name)).read_bytes() == schema_text(name).encode()


def test_no_other_schema_is_shipped() -> None:
    assert {path.name for path in SHIPPED.iterdir()} == {file_name(name) for name in DOCUMENTS}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_is_valid_and_names_itself(name: str) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:modelrouter:schema:{name}:v1"
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_internal_form_of_shorthand_is_no_part_of_a_schema(name: str) -> None:
    assert '"="' not in schema_text(name)


def test_only_a_task_may_stand_without_a_value() -> None:
    assert schema_text("policy").count('"null"') == 1
    assert errors_of("policy", read_text(HEAD + "tasks: {code: }\n", file="p").data) == []
    for text in ("rules: \n", "defaults: \n", "facts: {a: }\n", "labels: \n", "tasks: \n"):
        assert errors_of("policy", read_text(HEAD + text, file="p").data), text


@pytest.mark.parametrize(
    "path", sorted(POLICIES.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_a_shipped_file_fits_its_schema_and_names_it(path: Path) -> None:
    data: Any = read_file(path).data
    name = NAMES[data["kind"]]
    assert errors_of(name, data) == []
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema=../../modelrouter/schema/{name}.v1.json"
    assert (path.parent / first.partition("$schema=")[2]).is_file()


@pytest.mark.parametrize(
    "text",
    [
        "models: [{id: a, weights: open, hosting: self_hosted, quality: 0.5}]",
        "models: [{id: a, weights: open, hosting: self_hosted, quality: {code: 0.5}}]",
        "rules: [{id: a, effect: forbid, when: {categories: phi, level: [a, b], tokens: 5}}]",
        "rules: [{id: a, effect: permit, models: all}]",
        "rules: [{id: a, effect: forbid, models: {hosting: [self_hosted], id: {prefix: a/}}}]",
        "labels: standard",
        "tasks: [code]",
    ],
)
def test_shorthand_fits_the_schema(text: str) -> None:
    assert errors_of("policy", read_text(f"{HEAD}{text}\n", file="p").data) == []


@pytest.mark.parametrize(
    "name", ["shape_mistakes", "empty_matchers", "unknown_keys", "missing_keys", "empty_values"]
)
def test_a_mistake_of_shape_does_not_fit_the_schema(name: str) -> None:
    assert errors_of("policy", read_file(GOLDEN / name / "policy.yaml").data)


def test_one_schema_is_printed() -> None:
    assert run("schema").json == schema_of("policy")
    for name in DOCUMENTS:
        assert run("schema", name).out == schema_text(name)


def test_schemas_are_written_into_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "schema"
    done = run("schema", "--write", str(folder))
    assert done.code == 0
    assert done.out.splitlines() == [str(folder / file_name(name)) for name in DOCUMENTS]
    for path in SHIPPED.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    done = run("schema", "test", "--write", str(tmp_path))
    assert [path.name for path in tmp_path.glob("*.json")] == ["test.v1.json"]
    assert json.loads((tmp_path / "test.v1.json").read_text()) == schema_of("test")


def test_a_folder_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run("schema", "--write", str(tmp_path / "file")).code == 2
    assert run("schema", "polcy").code == 2


def test_the_schemas_of_one_policy_are_printed_or_written(tmp_path: Path) -> None:
    names = read_names(POLICIES / "bank").names
    assert names is not None
    done = run("schema", "--for", str(POLICIES / "bank"))
    assert (done.code, done.err) == (0, "")
    assert done.out == narrowed_text("policy", names)
    done = run("schema", "--for", str(POLICIES / "bank"), "--write", str(tmp_path / "s"))
    assert done.out.splitlines() == [str(tmp_path / "s" / file_name(name)) for name in DOCUMENTS]
    for name in DOCUMENTS:
        assert (tmp_path / "s" / file_name(name)).read_text() == narrowed_text(name, names)


def test_a_policy_with_a_wrong_name_has_schemas_and_one_that_cannot_be_read_has_none(
    tmp_path: Path,
) -> None:
    text = (POLICIES / "quickstart" / "policy.yaml").read_text()
    file = tmp_path / "policy.yaml"
    file.write_text(text.replace("task: code", "task: cod"))
    done = run("schema", "--for", str(tmp_path))
    assert done.code == 0
    assert "the policy does not load: 1 error" in done.err
    assert done.out == run("schema", "--for", str(POLICIES / "quickstart")).out
    file.write_text(text.replace("effect: floor", "effect: flor"))
    done = run("schema", "--for", str(tmp_path), "--write", str(tmp_path / "s"))
    assert (done.code, done.out) == (2, "")
    assert "MR020" in done.err
    assert "its names cannot be read: 1 error" in done.err
    assert not (tmp_path / "s").exists()
    assert run("schema", "--for", str(tmp_path / "lost")).code == 2
