"""Which unknown names are most likely known ones misspelt."""

from __future__ import annotations

import pytest

from modelrouter.lint.spelling import closest

REGIONS = {"eu-west", "eu-central", "us-east"}


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("eu-wset", REGIONS, "eu-west"),
        ("eu-wst", REGIONS, "eu-west"),
        ("eu-westt", REGIONS, "eu-west"),
        ("eu-wext", REGIONS, "eu-west"),
        ("EU-West", REGIONS, "eu-west"),
        ("eu_west", REGIONS, "eu-west"),
        ("eu-centrall", REGIONS, "eu-central"),
        ("coed", {"code", "chat"}, "code"),
        ("Straße", {"strasse"}, "strasse"),
        # another region, another number, another letter of a series
        ("us-west", {"us-east"}, None),
        ("eu-west-2", {"eu-west-1"}, None),
        ("eu-west-2", {"eu-west"}, None),
        ("vendor-c", {"vendor-a"}, None),
        ("gpt-5", {"gpt-4"}, None),
        # too short to tell, or nothing alike
        ("us", {"eu"}, None),
        ("eu", {"eus"}, None),
        ("mars", REGIONS, None),
        # two that are as close
        ("vendorx", {"vendory", "vendorz"}, None),
        ("chat", set(), None),
    ],
)
def test_a_name_stands_for_the_one_it_resembles(
    name: str, known: set[str], meant: str | None
) -> None:
    assert closest(name, known) == meant


def test_a_long_name_among_many_is_compared_in_time() -> None:
    assert closest("x" * 80, {f"{number}" + "y" * 70 for number in range(5000)}) is None
