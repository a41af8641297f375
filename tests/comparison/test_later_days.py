"""What a change opens on a later day, on which something lapses in the old policy alone."""

from __future__ import annotations

import datetime

import pytest

from modelrouter.cli.diff_json import as_json
from modelrouter.cli.diff_markdown import markdown_of
from modelrouter.cli.diff_text import lines_of
from modelrouter.comparison.comparing import DAYS_AT_MOST, TOO_MANY_DAYS, compare
from modelrouter.comparison.outcome import Comparison
from tests.comparison.policies import TODAY, small

CLOUD, HOME = "cloud/one", "home/one"
PERMIT = "models: {hosting: self_hosted}}"
UNTIL = (PERMIT, "models: {hosting: self_hosted}, expires: 2026-12-01}")
LATER = (PERMIT, "models: {hosting: self_hosted}, expires: 2026-12-03}")
DATA = "data: {retention_days: 0,"
RULE = (
    "rules:\n",
    "rules:\n  - {id: kept-by-nobody, effect: require, models: {retention_days: 0}}\n",
)
HOME_DATA = ("region: eu, operator: us", "region: eu, operator: us, data: {retention_days: 0}")


def gains(found: Comparison) -> list[tuple[str, list[str]]]:
    """Return each later day with the models for which exposure grows."""
    return [(part.day.isoformat(), [one.model for one in part.differences]) for part in found.later]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        # a permit that is not to lapse, or later
        ([UNTIL], [], [("2026-12-02", [HOME])]),
        ([UNTIL], [LATER], [("2026-12-02", [HOME])]),
        ([LATER], [UNTIL], []),
        ([UNTIL], [UNTIL], []),
        ([], [UNTIL], []),
        # the same under another name
        ([UNTIL], [("id: vault-at-home", "id: vault")], [("2026-12-02", [HOME])]),
        # a model that is not to retire, or later
        ([("quality: 0.8", "quality: 0.8, retires: 2026-12-01")], [], [("2026-12-01", [HOME])]),
        ([], [("quality: 0.8", "quality: 0.8, retires: 2026-12-01")], []),
        # facts that are not to expire: until then nothing says who keeps data
        (
            [RULE, HOME_DATA, (DATA, "data: {expires: 2026-12-01, retention_days: 0,")],
            [RULE, HOME_DATA],
            [("2026-12-02", [CLOUD])],
        ),
        (
            [RULE, HOME_DATA],
            [RULE, HOME_DATA, (DATA, "data: {expires: 2026-12-01, retention_days: 0,")],
            [],
        ),
        # what nobody knows any more is to be masked; what stays known to be harmless is not
        (
            [("models: {hosting: vendor_api},\n     do", "models: {region: asia},\n     do"),
             ("quality: 0.8", "quality: 0.8, expires: 2026-12-01")],
            [("models: {hosting: vendor_api},\n     do", "models: {region: asia},\n     do")],
            [("2026-12-02", [HOME])],
        ),
        # what has lapsed already shows on the day itself
        ([(PERMIT, "models: {hosting: self_hosted}, expires: 2026-11-01}")], [], []),
        # two days, and on the second one nothing that was not told for the first
        (
            [UNTIL, ("quality: 0.8", "quality: 0.8, retires: 2027-01-01")],
            [],
            [("2026-12-02", [HOME]), ("2027-01-01", [HOME])],
        ),
    ],
)  # fmt: skip
def test_what_lapses_in_the_old_policy_alone_is_wider_from_that_day(
    old: list[tuple[str, str]], new: list[tuple[str, str]], found: list[tuple[str, list[str]]]
) -> None:
    compared = compare(small(*old), small(*new), at=TODAY)
    assert gains(compared) == found
    today = any(part.wider for part in compared.differences)
    assert compared.wider == (today or bool(found))
    # On the day itself it is told as any difference is.
    for day, models in found:
        then = compare(small(*old), small(*new), at=datetime.date.fromisoformat(day))
        assert {*models} <= {part.model for part in then.differences if part.wider}


def test_every_form_says_from_which_day() -> None:
    old, new = small(UNTIL), small()
    found = compare(old, new, at=TODAY)
    lines = [*lines_of(found, "OLD", "NEW")]
    assert lines[1] == "exposure grows: 1 later day on which it grows"
    assert "home/one, from 2026-12-02 on" in lines
    assert any("explain NEW" in line and '"at": "2026-12-02"' in line for line in lines)
    assert "**From 2026-12-02 on**" in markdown_of(found, old, new)
    later = as_json(found, old, new)["later"]
    assert isinstance(later, list)
    assert [part["from"] for part in later if isinstance(part, dict)] == ["2026-12-02"]


def test_of_too_many_days_the_rest_is_not_comparable() -> None:
    def lapsing(count: int) -> tuple[str, str]:
        days = [TODAY + datetime.timedelta(days=number) for number in range(1, count + 1)]
        entries = "".join(
            f"  - {{id: m/{number}, weights: open, hosting: self_hosted, retires: {day}}}\n"
            for number, day in enumerate(days)
        )
        return ("models:\n", f"models:\n{entries}")

    quality = ("quality: 0.9", "quality: 0.8")
    for count, wider in ((DAYS_AT_MOST, False), (DAYS_AT_MOST + 1, True)):
        found = compare(small(lapsing(count)), small(lapsing(count), quality), at=TODAY)
        assert (found.not_comparable == TOO_MANY_DAYS, found.wider) == (wider, wider)


def test_what_lasts_to_the_last_day_there_is_never_lapses() -> None:
    for_ever = (PERMIT, "models: {hosting: self_hosted}, expires: 9999-12-31}")
    assert not compare(small(for_ever), small(), at=TODAY).wider


@pytest.mark.parametrize(
    ("old", "new"), [("", "role: embed, "), ("role: embed, ", ""), ("role: chat, ", "")]
)
def test_who_is_sent_chats_is_part_of_who_receives_them(old: str, new: str) -> None:
    def role(text: str) -> tuple[str, str]:
        return ("{id: cloud/one, ", f"{{id: cloud/one, {text}")

    found = compare(small(role(old)), small(role(new)), at=TODAY)
    assert found.wider == (old != "role: chat, ")
    wider = [part.wider for part in found.changes]
    assert (
        wider
        == {
            "": ["others are sent its chats now"],
            "role: embed, ": ["it is sent chats now"],
            "role: chat, ": [],
        }[old]
    )
