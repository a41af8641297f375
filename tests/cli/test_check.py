"""`modelrouter check`: what it prints, and with which exit code it ends."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from modelrouter.errors import PolicyError
from modelrouter.loader import load
from tests.cli.running import POLICIES, run

GOLDEN = Path(__file__).parents[1] / "golden" / "policy"
GOOD = (
    "apiVersion: modelrouter/v1\nkind: Policy\n"
    "models: [{id: home/one, weights: open, hosting: self_hosted}]\n"
)


@pytest.mark.parametrize("name", ["bank", "hospital", "quickstart", "startup"])
def test_a_shipped_policy_is_clean(name: str) -> None:
    done = run("check", str(POLICIES / name), "--strict")
    assert done.code == 0
    assert done.out == f"{POLICIES / name}: 0 errors, 0 warnings, 0 notes\n"
    assert done.err == ""


def test_a_finding_has_its_place_its_code_and_its_hint() -> None:
    done = run("check", str(GOLDEN / "tasks"))
    file = GOLDEN / "tasks" / "policy.yaml"
    assert done.code == 1
    assert done.out.splitlines() == [
        f"{file}:9:48: error MR103 unknown task `chatt`",
        "    hint: did you mean `chat`?",
        f"{GOLDEN / 'tasks'}: 1 error, 0 warnings, 0 notes",
    ]


def test_json_is_exactly_the_list_of_findings() -> None:
    done = run("check", str(GOLDEN / "tasks"), "--format", "json")
    assert done.code == 1
    assert done.json == [
        {
            "code": "MR103",
            "severity": "error",
            "file": str(GOLDEN / "tasks" / "policy.yaml"),
            "line": 9,
            "column": 48,
            "message": "unknown task `chatt`",
            "hint": "did you mean `chat`?",
        }
    ]


def test_json_of_a_clean_policy_is_an_empty_list() -> None:
    assert run("check", str(POLICIES / "bank"), "--format", "json").json == []


def test_warnings_fail_only_when_they_are_to() -> None:
    path = str(GOLDEN / "yaml_1_1")
    assert run("check", path).code == 0
    assert run("check", path, "--strict").code == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.yaml", b"", 2),
        ("comment.yaml", b"# nothing\n", 2),
        ("binary.yaml", bytes(range(256)), 2),
        ("utf16.yaml", GOOD.encode("utf-16"), 2),
        ("nul.yaml", GOOD.encode() + b"\0", 2),
        ("large.yaml", b"# " + b"x" * (2 << 20), 2),
        ("syntax.yaml", b"kind: [Policy\n", 1),
        ("directive.yaml", b"%YAML 1.2\n---\nkind: Policy\n", 1),
        ("twice.yaml", GOOD.encode() + b"kind: Policy\n", 1),
        ("deep.yaml", b"a: " + b"[" * 40 + b"]" * 40, 1),
        ("kind.yaml", b"kind: Catalog\n", 1),
        ("list.yaml", b"- 1\n", 1),
        ("scalar.yaml", b"Policy\n", 1),
        ("kinds.yaml", b"kind: {a: b}\n", 1),
        ("good.yaml", GOOD.encode(), 0),
    ],
)
def test_what_cannot_be_read_is_told_from_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, code: int
) -> None:
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path):
        done = run("check", str(path), "--format", "json")
        catalogue = name == "kind.yaml" and path == tmp_path
        assert done.code == (2 if catalogue else code), path
        assert bool(done.json) is bool(done.code)
        if done.code:
            with pytest.raises(PolicyError):
                load(path)


def test_a_path_that_leads_nowhere_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kind: Policy\n")
    for path in ("missing", "missing/policy.yaml", "file/policy.yaml", "a" * 5000, "nul\0", ""):
        done = run("check", f"{tmp_path}/{path}")
        assert done.code == 2, path
        assert "1 error, 0 warnings, 0 notes" in done.out


def test_a_folder_without_exactly_one_policy_is_unreadable(tmp_path: Path) -> None:
    assert run("check", str(tmp_path)).code == 2
    (tmp_path / "a.yaml").write_text(GOOD)
    assert run("check", str(tmp_path)).code == 0
    (tmp_path / "b.yaml").write_text(GOOD)
    done = run("check", str(tmp_path))
    assert done.code == 2
    assert "the folder holds 2 policies: a.yaml, b.yaml" in done.out


def test_a_folder_with_too_many_files_is_refused_whole(tmp_path: Path) -> None:
    for number in range(201):
        (tmp_path / f"{number:03}.yaml").write_text("kind: Catalog\n")
    (tmp_path / "policy.yaml").write_text(GOOD)
    done = run("check", str(tmp_path))
    assert done.code == 2
    assert "MR001" in done.out


def test_an_unreadable_catalogue_beside_a_readable_policy_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD + "catalogs: [catalog.bin]\n")
    (tmp_path / "catalog.bin").write_bytes(b"\xff\xfe")
    done = run("check", str(tmp_path))
    assert done.code == 1
    assert "catalog.bin:1:1: error MR000 not UTF-8 text" in done.out


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.yaml", '"a\\0b"', "x" * 1000, "link.yaml"])
def test_a_catalogue_is_read_from_the_folder_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "policy"
    folder.mkdir()
    (tmp_path / "x.yaml").write_text("kind: Catalog\n")
    (folder / "link.yaml").symlink_to(tmp_path / "x.yaml")
    (folder / "policy.yaml").write_text(GOOD + f"catalogs: [{name}]\n")
    done = run("check", str(folder / "policy.yaml"))
    assert done.code == 1
    assert "policy.yaml:4:12: error MR020 catalogue" in done.out


def test_a_loop_of_links_is_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "a.yml").symlink_to(tmp_path / "b.yml")
    (tmp_path / "b.yml").symlink_to(tmp_path / "a.yml")
    (tmp_path / "policy.txt").write_text(GOOD + "catalogs: [a.yml]\n")
    assert run("check", str(tmp_path / "policy.txt")).code == 1


def test_tests_that_name_no_policy_are_not_lost(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD)
    (tmp_path / "policy_test.yaml").write_text(
        "apiVersion: modelrouter/v1\nkind: PolicyTest\npolicy: polcy.yaml\n"
        "tests: [{name: a, request: {}, expect: {decision: deny}}]\n"
    )
    done = run("check", str(tmp_path / "policy.yaml"))
    assert done.code == 1
    assert "policy_test.yaml:3:9: error MR020 there is no policy `polcy.yaml`" in done.out


def test_thousands_of_mistakes_are_found_in_seconds(tmp_path: Path) -> None:
    categories = ", ".join(f"known{number}: {{includes: [k{number}]}}" for number in range(4000))
    text = GOOD + f"labels: {{categories: {{{categories}}}}}\n"
    (tmp_path / "policy.yaml").write_text(text)
    done = run("check", str(tmp_path), "--format", "json")
    assert len(done.json) == 4000


def test_a_long_chain_of_categories_is_no_cycle(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(8000)]
    chain = ", ".join(f"{a}: {{includes: {b}}}" for a, b in itertools.pairwise(names))
    text = GOOD + f"labels: {{categories: {{{chain}, {names[-1]}: {{}}}}}}\n"
    (tmp_path / "policy.yaml").write_text(text)
    assert run("check", str(tmp_path)).code == 0
