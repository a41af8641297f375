"""What the owner of a policy accepts, for how long, and what happens when it lapses."""

from __future__ import annotations

import pytest

from tests.lint.snippets import codes, findings, policy, report

CLOSED = "{id: a, effect: forbid, models: {operator: nobody}}"
PHI = "{id: p, effect: forbid, when: {categories: phi}, models: {hosting: self_hosted}}"


def allow(*entries: str) -> str:
    return "{allow: [" + ", ".join(f"{{{entry}, reason: known}}" for entry in entries) + "]}"


def test_an_accepted_finding_is_counted_and_not_shown() -> None:
    found = report(CLOSED, lint=allow("code: MR205, about: a"))
    assert found.problems == ()
    assert [(part.code, part.about) for part in found.accepted] == [("MR205", "a")]


def test_an_acceptance_is_for_what_it_names_alone() -> None:
    other = CLOSED.replace("id: a", "id: b").replace("nobody", "someone")
    assert codes(CLOSED, other, lint=allow("code: MR205, about: a")) == ["MR205 b"]
    assert codes(CLOSED, other, lint=allow("code: MR205")) == []
    assert codes(CLOSED, PHI, lint=allow("code: MR205")) == ["MR203 restricted+phi"]


def test_labels_are_accepted_by_name_with_their_capability() -> None:
    assert codes(PHI, lint=allow("code: MR203, about: restricted+phi")) == []
    assert codes(PHI, lint=allow("code: MR203, about: restricted")) == [
        "MR203 restricted+phi",
        "MR504 MR203",
    ]


@pytest.mark.parametrize(
    ("until", "found"),
    [
        ("2026-11-23", []),
        ("2026-11-22", ["MR205 a", "MR503 MR205"]),
    ],
)
def test_a_finding_comes_back_when_its_acceptance_lapses(until: str, found: list[str]) -> None:
    assert codes(CLOSED, lint=allow(f"code: MR205, about: a, until: '{until}'")) == found


def test_a_lapsed_acceptance_beside_a_standing_one_is_said_and_accepts_nothing() -> None:
    entries = allow("code: MR205, about: a, until: '2026-11-22'", "code: MR205, about: a")
    found = report(CLOSED, lint=entries)
    assert [part.code for part in found.problems] == ["MR503"]
    assert [part.code for part in found.accepted] == ["MR205"]


def test_an_acceptance_of_nothing_is_stale_whether_lapsed_or_not() -> None:
    for until in ("", ", until: '2026-11-22'"):
        found = findings(lint=allow(f"code: MR205, about: a{until}"))
        assert [(part.code, part.severity, part.hint) for part in found] == [
            ("MR504", "warning", "remove the entry")
        ]


def test_a_misnamed_acceptance_is_told_what_there_is() -> None:
    found = findings(CLOSED, lint=allow("code: MR205, about: b"))
    assert {(part.code, part.hint) for part in found} == {
        ("MR205", None),
        ("MR504", "MR205 is found about `a`"),
    }


@pytest.mark.parametrize("code", ["MR006", "MR020", "MR101", "MR299", "MR503", "MR504", "MR999"])
def test_what_is_no_finding_of_the_linter_cannot_be_accepted(code: str) -> None:
    sections = {
        "tasks": "{on: {}}",  # MR006: `on` is a boolean to a reader of YAML 1.1
        "lint": allow(f"code: {code}"),
    }
    floor = "{id: f, effect: floor, set: {min_quality: 0.5}}"
    assert codes(floor, **sections) == [f"MR504 {code}"]


def test_what_the_loader_finds_of_this_kind_can_be_accepted() -> None:
    rule = "{id: a, effect: forbid, when: {tokens: {above: 9, below: 5}}, models: {weights: open}}"
    found = report(rule, lint=allow("code: MR202, about: a"))
    assert found.problems == ()
    assert [part.code for part in found.accepted] == ["MR202"]


def test_an_acceptance_of_what_is_shown_on_request_is_never_stale() -> None:
    entries = allow("code: MR501, about: inside")
    assert report(lint=entries).problems == ()
    assert report(lint=entries, pedantic="yes").problems == ()


def test_findings_about_an_acceptance_point_at_it() -> None:
    lint = "\nallow:\n  - {code: MR205, about: a, reason: known, until: '2026-11-22'}\n"
    for rules, key in (((CLOSED,), "'2026-11-22'"), ((), "a, reason")):
        text = policy(*rules, lint=lint).splitlines()
        part = next(part for part in findings(*rules, lint=lint) if part.code >= "MR503")
        assert text[part.line - 1][part.column - 1 :].startswith(key)


def test_acceptances_lapse_with_the_day_asked_for() -> None:
    lint = allow("code: MR205, about: a, until: '2026-12-31'")
    assert codes(CLOSED, lint=lint) == []
    assert codes(CLOSED, lint=lint, at="2027-01-01") == ["MR205 a", "MR503 MR205"]
