"""Codes, places, subjects and hints for policies full of mistakes, and for the shipped ones."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from modelrouter.errors import Problem
from modelrouter.lint import examine
from modelrouter.loader import inspect

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "lint"
SHIPPED = ROOT / "policies"
DAY = datetime.date(2026, 11, 23)
Row = tuple[str, str | None]


def expected() -> dict[str, list[Row]]:
    """Return head and hint of each finding that must come out, by file."""
    found: dict[str, list[Row]] = {}
    file = ""
    for line in (DATA / "expected.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("    hint: "):
            found[file][-1] = (found[file][-1][0], line.removeprefix("    hint: "))
            continue
        file = line.partition(":")[0]
        found.setdefault(file, []).append((line, None))
    return found


def found_in(file: str) -> list[Row]:
    path = SHIPPED / file if "/" in file else DATA / file
    seen = inspect(path, at=DAY)
    problems = seen.problems if seen.bundle is None else examine(seen.bundle, DAY).problems
    return [(head(file, part), part.hint) for part in problems]


def head(file: str, part: Problem) -> str:
    place = f"{file}:{part.line}:{part.column}"
    return f"{place}: {part.severity} {part.code} {part.about or '-'}"


@pytest.mark.parametrize("file", expected())
def test_nothing_more_and_nothing_less_is_found(file: str) -> None:
    assert found_in(file) == expected()[file]


def test_every_shipped_policy_is_expected_to_give_notes_alone() -> None:
    shipped = {f"{path.parent.name}/policy.yaml" for path in SHIPPED.glob("*/policy.yaml")}
    rows = {file: rows for file, rows in expected().items() if "/" in file}
    assert set(rows) == shipped
    assert {line.split()[1] for part in rows.values() for line, _ in part} == {"info"}


@pytest.mark.parametrize("layer", ["organisation", "team", "application"])
def test_of_the_shipped_layers_nothing_is_said(layer: str) -> None:
    seen = inspect(SHIPPED / "layered" / layer, at=DAY)
    assert seen.bundle is not None
    assert examine(seen.bundle, DAY).problems == ()


def test_the_startup_accepts_that_nobody_reads_pictures_with_secrets() -> None:
    seen = inspect(SHIPPED / "startup", at=DAY)
    assert seen.bundle is not None
    accepted = examine(seen.bundle, DAY).accepted
    assert [(part.code, part.about) for part in accepted] == [("MR203", "restricted+vision")]
