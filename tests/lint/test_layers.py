"""A policy below others: what the layers above say counts, and findings point into their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelrouter.lint.linting import examine
from modelrouter.loader import load
from tests.lint.snippets import DAY

TOP = """
apiVersion: modelrouter/v1
kind: Policy
metadata: {name: top, version: "1"}
labels: standard
models:
  - {id: home/one, weights: open, hosting: self_hosted, quality: 1}
  - {id: home/two, weights: open, hosting: self_hosted, quality: 1}
  - {id: vendor/one, weights: closed, hosting: vendor_api, quality: 1}
rules:
  - {id: top-permit, effect: permit, when: {level: restricted}, models: {hosting: self_hosted}}
  - {id: top-forbid, effect: forbid, when: {categories: pii}, models: {hosting: vendor_api}}
"""
BOTTOM = """
apiVersion: modelrouter/v1
kind: Policy
metadata: {name: bottom, version: "1"}
extends: ../top
"""
Place = tuple[str, str, str, int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("top", "bottom"):
        (tmp_path / name).mkdir()
    (tmp_path / "top" / "policy.yaml").write_text(TOP)
    return tmp_path


def found(folder: Path, rest: str) -> list[Place]:
    """Return code, subject, layer and line of every finding."""
    (folder / "bottom" / "policy.yaml").write_text(BOTTOM + rest)
    problems = examine(load(folder / "bottom", at=DAY), DAY).problems
    return [
        (part.code, str(part.about), Path(part.file).parent.name, part.line) for part in problems
    ]


def test_a_layer_that_adds_nothing_is_clean(folder: Path) -> None:
    assert found(folder, "") == []


def test_a_rule_that_a_layer_above_covers_changes_nothing_in_its_own_file(folder: Path) -> None:
    rule = "{id: own, effect: forbid, when: {categories: phi}, models: {hosting: vendor_api}}"
    assert found(folder, f"rules:\n  - {rule}\n") == [("MR201", "own", "bottom", 7)]


def test_a_permit_above_does_not_cover_one_below_that_closes_its_own_gate(folder: Path) -> None:
    permit = "{id: own, effect: permit, when: {level: restricted}, models: {hosting: self_hosted}}"
    rest = f"defaults: {{default_deny_from: restricted}}\nrules:\n  - {permit}\n"
    assert found(folder, rest) == []


def test_a_gate_below_that_nothing_passes_is_found(folder: Path) -> None:
    assert found(folder, "defaults: {default_deny_from: internal}\n") == [
        ("MR203", "internal", "bottom", 2)
    ]


def test_a_layer_accepts_what_it_brings_about(folder: Path) -> None:
    rule = "{id: own, effect: forbid, when: {categories: phi}, models: {hosting: vendor_api}}"
    allow = "lint: {allow: [{code: MR201, about: own, reason: stated again on purpose}]}"
    assert found(folder, f"rules:\n  - {rule}\n{allow}\n") == []
