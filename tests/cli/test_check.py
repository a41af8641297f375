"""`modelrouter check`: what it prints, and with which exit code it ends."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from modelrouter.cli.check import as_command
from modelrouter.errors import PolicyError, Problem
from modelrouter.loader import load
from tests.cli.running import POLICIES, run

GOLDEN = Path(__file__).parents[1] / "golden" / "policy"
GOOD = (
    "apiVersion: modelrouter/v1\nkind: Policy\n"
    "models: [{id: home/one, weights: open, hosting: self_hosted}]\n"
    "rules: [{id: a, effect: permit, when: {level: restricted}, models: {weights: open}}]\n"
)
TIME = re.compile(r" \(\d+ ms\)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("bank", "2 notes"),
        ("hospital", "5 notes"),
        ("quickstart", "1 note"),
        ("startup", "1 note, 1 accepted"),
    ],
)
def test_a_shipped_policy_gives_notes_alone(name: str, counts: str) -> None:
    done = run("check", str(POLICIES / name), "--strict", "--at", "2026-11-23")
    assert done.code == 0
    last = TIME.sub("", done.out).splitlines()[-1]
    assert last == f"{POLICIES / name}: 0 errors, 0 warnings, {counts}"
    assert done.err == ""


def test_the_first_and_the_last_days_of_the_calendar_are_days(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "apiVersion: modelrouter/v1\nkind: Policy\nmodels:\n"
        "  - {id: home/one, weights: open, hosting: self_hosted, retires: '9999-12-31',\n"
        "     price: {input: 1, output: 1, as_of: '0001-01-01'},\n"
        "     quality: {chat: {score: 0.5, measured: '0001-01-01'}}}\n"
        "rules: [{id: a, effect: permit, when: {level: restricted}, models: all}]\n"
    )
    dated = {"MR601", "MR602", "MR603"}
    for day, expected in (
        ("0001-01-01", set[str]()),
        ("0001-06-30", set[str]()),  # 180 days
        ("0001-07-01", {"MR601", "MR602"}),
        ("9999-11-30", {"MR601", "MR602"}),
        ("9999-12-01", dated),  # 30 days
        ("9999-12-31", {"MR603"}),  # what has retired has no price to be old
    ):
        done = run("check", str(file), "--at", day)
        assert done.err == ""
        assert {code for code in dated if code in done.out} == expected


def test_the_name_of_a_folder_is_no_workflow_command(tmp_path: Path) -> None:
    folder = tmp_path / "a\n::error::said"
    folder.mkdir()
    (folder / "policy.yaml").write_text(GOOD)
    done = run("check", str(folder), "--format", "github")
    assert "a\\n::error::said: 0 errors" in done.err
    assert not [line for line in (done.out + done.err).splitlines() if "::error" in line[:7]]


def test_a_finding_has_its_place_its_code_and_its_hint() -> None:
    done = run("check", str(GOLDEN / "tasks"))
    file = GOLDEN / "tasks" / "policy.yaml"
    assert done.code == 1
    assert TIME.sub("", done.out).splitlines() == [
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


def test_json_of_a_clean_policy_is_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD)
    assert run("check", str(tmp_path), "--format", "json").json == []


def test_the_last_line_says_how_long_it_took(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD)
    done = run("check", str(tmp_path))
    assert re.fullmatch(r".*: 0 errors, 0 warnings, 0 notes \(\d+ ms\)\n", done.out)


def test_several_policies_are_checked_one_after_another(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("weights: open}}", "operator: nobody}}"))
    done = run("check", str(good), str(bad), str(good))
    assert done.code == 1
    lines = TIME.sub("", done.out).splitlines()
    assert [line.partition(": ")[0] for line in lines if "errors" in line or "1 error" in line] == [
        str(good),
        str(bad),
        str(good),
    ]
    together = run("check", str(good), str(bad), "--format", "json")
    assert [part["code"] for part in together.json] == ["MR203"]


def test_the_worst_of_several_policies_is_the_exit_code(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text("kind: Polcy\n")
    missing = str(tmp_path / "missing.yaml")
    assert run("check", str(good), str(good)).code == 0
    assert run("check", str(bad), str(good)).code == 1
    assert run("check", missing, str(good)).code == 2
    assert run("check", missing, str(bad)).code == 2
    assert run("check", str(bad), missing).code == 2


def test_github_gets_a_command_for_each_finding_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    file = tmp_path / "100%,a:b.yaml"
    file.write_text(GOOD.replace("weights: open}}]", "operator: nobody}}]") + "tasks: [chat]\n")
    done = run("check", str(file), "--format", "github")
    assert done.code == 1
    shown = str(tmp_path / "100%25%2Ca%3Ab.yaml")
    assert done.out.splitlines() == [
        (
            f"::error file={shown},line=4,col=8,title=MR203::no model can serve `restricted`"
            "%0Ahint: `a` selects no model"
        ),
        (
            f"::warning file={shown},line=5,col=9,title=MR208::no model has evidence of "
            "quality for task `chat`: every call for it is denied%0Ahint: give some model "
            '`quality: {chat: …}`, or `"*"` for every task'
        ),
    ]
    assert TIME.sub("", done.err) == f"{file}: 1 error, 1 warning, 0 notes\n"


def test_notes_are_notices_to_github() -> None:
    done = run("check", str(POLICIES / "bank"), "--format", "github")
    assert done.code == 0
    assert [line.partition(" ")[0] for line in done.out.splitlines()] == ["::notice", "::notice"]


def test_the_message_of_a_command_stays_on_one_line() -> None:
    problem = Problem(code="MR020", file="a", message="100%\r\nx", hint="y, z: w")
    assert as_command(problem) == (
        "::error file=a,line=1,col=1,title=MR020::100%25%0D%0Ax%0Ahint: y, z: w"
    )


def test_the_reasons_of_hard_rules_are_asked_for_on_request(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD)
    assert run("check", str(tmp_path), "--strict").code == 0
    done = run("check", str(tmp_path), "--strict", "--pedantic")
    assert done.code == 1
    assert "policy.yaml:4:14: warning MR501 rule `a` does not say why" in done.out


def test_accepted_findings_are_counted_and_fail_nothing(tmp_path: Path) -> None:
    text = GOOD.replace("weights: open}}", "operator: nobody}}")
    (tmp_path / "policy.yaml").write_text(
        text + "lint: {allow: [{code: MR203, about: restricted, reason: not yet}]}\n"
    )
    done = run("check", str(tmp_path), "--strict")
    assert done.code == 0
    assert TIME.sub("", done.out) == f"{tmp_path}: 0 errors, 0 warnings, 0 notes, 1 accepted\n"
    assert run("check", str(tmp_path), "--format", "json").json == []


def test_the_day_decides_what_has_expired(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        GOOD.replace("}]\nrules", ', retires: "2026-12-31"}]\nrules')
    )
    for day, found in (("2026-11-30", []), ("2026-12-01", ["MR603"])):
        done = run("check", str(tmp_path), "--at", day, "--format", "json")
        assert [part["code"] for part in done.json] == found


def test_warnings_fail_only_when_they_are_to(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD + "facts: {on: {type: bool, source: host}}\n")
    assert run("check", str(tmp_path)).code == 0
    assert run("check", str(tmp_path), "--strict").code == 1


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
    assert "policy.yaml:5:12: error MR020 catalogue" in done.out


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
