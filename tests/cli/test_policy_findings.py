"""What is said of broken policies, compared with golden files.

Each folder below tests/golden/policy is one policy; its expected.txt holds every finding.
After a change that is meant, write the files anew and review the difference:

    MODELROUTER_REWRITE_GOLDEN=1 .venv/bin/python -m pytest tests/cli/test_policy_findings.py
"""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path

import pytest

from modelrouter.errors import Problem
from modelrouter.lint.linting import examine
from modelrouter.lint.table import CHECKS
from modelrouter.loader import inspect, load

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "policy"
CASES = sorted(path for path in GOLDEN.iterdir() if path.is_dir())
REWRITE = os.environ.get("MODELROUTER_REWRITE_GOLDEN") == "1"


def found_in(folder: Path) -> tuple[Problem, ...]:
    return inspect(folder).problems


def shown(folder: Path) -> str:
    text = "".join(f"{problem}\n" for problem in found_in(folder))
    return text.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_a_broken_policy_is_described_as_in_its_golden_file(folder: Path) -> None:
    expected = folder / "expected.txt"
    if REWRITE:
        expected.write_text(shown(folder), encoding="utf-8")
    assert shown(folder) == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_every_finding_points_into_its_file(folder: Path) -> None:
    for problem in found_in(folder):
        file = Path(problem.file)
        if file.is_dir():
            assert (problem.line, problem.column) == (1, 1)
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        assert problem.line <= len(lines) + 1
        # A finding at the end of the file stands behind its last line.
        line = lines[problem.line - 1] if problem.line <= len(lines) else ""
        assert 1 <= problem.column <= len(line) + 1


def test_the_golden_files_show_every_code_of_the_loader() -> None:
    codes = {problem.code for folder in CASES for problem in found_in(folder)}
    named = {"MR000", "MR003", "MR006", "MR012", "MR020"}
    names = {f"MR{number}" for number in range(101, 111)}
    endpoints = {f"MR{number}" for number in range(120, 125)}
    layers = {f"MR{number}" for number in range(130, 138)}
    assert codes >= named | names | endpoints | layers
    assert len(CASES) >= 25


RELOADING = ("accepting.py", "watching.py")
"""Modules whose problems are told by `router.policy_status()`; `check` cannot show them."""


def test_every_code_is_in_the_reference() -> None:
    reference = Path(__file__).parents[2] / "docs" / "reference" / "problem-codes.md"
    documented = set(
        re.findall(r"^### (MR\d{3})", reference.read_text(encoding="utf-8"), re.MULTILINE)
    )
    package = Path(__file__).parents[2] / "modelrouter"
    used: set[str] = set()
    readers = ("yamlsource", "yamlsyntax", "documents", "lineage", "tightening", "loader")
    for name in (
        *(f"{reader}.py" for reader in readers),
        *RELOADING,
        *sorted_modules(package),
    ):
        used |= set(re.findall(r'"(MR\d{3})"', (package / name).read_text(encoding="utf-8")))
    assert used == documented


def sorted_modules(package: Path) -> list[str]:
    return sorted(
        f"{family}/{path.name}"
        for family in ("lint", "policy")
        for path in (package / family).glob("*.py")
    )


def test_nothing_is_said_twice() -> None:
    for folder in CASES:
        places = [(part.file, part.line, part.column, part.message) for part in found_in(folder)]
        assert len(places) == len(set(places))


DAY = datetime.date(2026, 11, 23)
HEAD = "apiVersion: modelrouter/v1\nkind: Policy\n"
PERMIT = (
    "  - {id: inside, effect: permit, when: {level: restricted}, models: {hosting: self_hosted}}\n"
)
SECTIONS = {
    "models": "models:\n"
    "  - {id: home/one, weights: open, hosting: self_hosted, operator: acme,\n"
    "     quality: {code: 0.7}, price: {input: 0.1, output: 0.1}, max_output: 900}\n"
    "  - {id: home/two, weights: open, hosting: self_hosted, operator: acme,\n"
    "     quality: {code: 0.6}, price: {input: 0.2, output: 0.2}, max_output: 900}\n"
    "  - {id: vendor/two, weights: closed, hosting: vendor_api, operator: vendor,\n"
    "     quality: {code: 0.8}, price: {input: 1, output: 4}, max_output: 900}\n",
    "labels": "labels: standard\n",
    "rules": f"rules:\n{PERMIT}",
}
"""What stands around an example: a policy of which nothing is said."""

BOTH = {"MR503": {"MR205", "MR503"}}
"""An acceptance that has lapsed is found beside what it accepted."""


def examples() -> dict[str, str]:
    text = (ROOT / "docs" / "reference" / "problem-codes.md").read_text(encoding="utf-8")
    pattern = r"^### (MR\d{3}).*?$(.*?)(?=^##|\Z)"
    sections = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    blocks = {code: re.search(r"```text\n(.*?)```", body, re.DOTALL) for code, body in sections}
    return {code: block[1] for code, block in blocks.items() if block}


def around(example: str, *, permit: bool = True) -> str:
    """Return an example with what it leaves out of a policy."""
    if example.startswith("apiVersion:"):
        return example
    given = set(re.findall(r"^(\w+):", example, re.MULTILINE))
    if permit and "rules:\n" in example and "effect: permit" not in example:
        example = example.replace("rules:\n", f"rules:\n{PERMIT}")
    rest = [text for name, text in SECTIONS.items() if name not in given]
    return HEAD + "".join(rest) + example


def codes_of(path: Path, *, pedantic: bool) -> set[str]:
    found = inspect(path, at=DAY)
    if found.bundle is None:
        return {problem.code for problem in found.problems}
    report = examine(found.bundle, DAY, pedantic=pedantic)
    return {problem.code for problem in (*found.problems, *report.problems)}


@pytest.mark.parametrize("code", examples())
def test_an_example_of_the_reference_gives_its_code_and_no_other(code: str, tmp_path: Path) -> None:
    above, _, example = examples()[code].rpartition("# below\n")
    if above:
        (tmp_path / "above.yaml").write_text(around(above, permit=False), encoding="utf-8")
        lower = f"apiVersion: modelrouter/v1\nkind: Policy\nextends: above.yaml\n{example}"
        (tmp_path / "policy.yaml").write_text(lower, encoding="utf-8")
        assert load(tmp_path / "above.yaml")
        assert {part.code for part in inspect(tmp_path / "policy.yaml").problems} == {code}
        return
    if code == "MR501":  # asked for the permit as well, which the reader does not see
        example += PERMIT.replace("models:", "reason: law, models:")
    (tmp_path / "policy.yaml").write_text(around(example), encoding="utf-8")
    found = codes_of(tmp_path / "policy.yaml", pedantic=code == "MR501")
    assert found == BOTH.get(code, {code})


def test_every_check_of_the_linter_has_an_example() -> None:
    assert {row.code for row in CHECKS} <= set(examples())


def test_what_stands_around_the_examples_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(around("metadata: {name: a}\n"), encoding="utf-8")
    assert codes_of(tmp_path / "policy.yaml", pedantic=False) == set()


def test_the_reference_says_how_grave_each_code_is() -> None:
    text = (ROOT / "docs" / "reference" / "problem-codes.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^### (MR\d{3}): .*?(?: \((warning|info)\))?$", text, re.MULTILINE))
    wanted = {row.code: row.severity.replace("error", "") for row in CHECKS}
    assert {code: said[code] for code in wanted} == wanted
