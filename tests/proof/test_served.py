"""`always_served`, worked out by hand where several budgets have to come together."""

from __future__ import annotations

import pytest

from modelrouter.policy.suite import AskedRequest
from tests.proof.judging import AT, asked, bundle_of, outcome
from tests.proof.smt import Policy
from tests.strategies import Json


def model(name: str, quality: float) -> Json:
    """Return a model with a tag of its own, at 2 USD per 1M tokens."""
    return {
        "id": name,
        "weights": "open",
        "hosting": "self_hosted",
        "tags": [name],
        "price": {"input": 2, "output": 2},
        "quality": quality,
    }


CATALOGUE = [model("best", 0.95), model("plain", 0.75), model("other", 0.95)]
CLAIM: Json = {"id": "c", "always_served": True}


def policy(second_floor: float) -> Json:
    """Return a policy with a soft floor that either of two budgets lowers.

    The first leaves `plain` alone; the second takes `other` away and leaves `best`.
    """
    month: Json = {"period": "month", "limit_usd": 9, "on_exceed": "degrade"}
    return {
        "labels": "standard",
        "rules": [
            {"id": "open", "effect": "permit", "when": {"level": "restricted"}, "models": "all"},
            {"id": "good", "effect": "floor", "strength": "soft", "set": {"min_quality": 0.9}},
        ],
        "budgets": [
            {**month, "id": "first", "models": {"tags": ["best", "other"]}, "degrade_floor": 0.7},
            {
                **month,
                "id": "second",
                "models": {"tags": "other"},
                "degrade_to": {"tags": ["best", "plain"]},
                "degrade_floor": second_floor,
            },
        ],
    }


@pytest.mark.parametrize(("second_floor", "proved"), [(0.8, False), (0.75, True), (0.7, True)])
def test_of_several_floors_that_budgets_fall_to_the_highest_holds(
    second_floor: float, *, proved: bool
) -> None:
    """With both budgets gone only `plain` is left, at 0.75."""
    bundle = bundle_of(policy(second_floor), CATALOGUE)
    found = outcome(bundle, CLAIM)
    assert found.holds == proved
    assert Policy(policy(second_floor), CATALOGUE, AT).holds(CLAIM) == proved
    if not proved:
        assert found.request is not None
        assert dict(found.request.given.budgets) == {"first": 9, "second": 9}
        assert asked(bundle, found.request).deny_stage == "floor"


@pytest.mark.parametrize(("stays", "proved"), [("plain", True), ("other", False)])
def test_only_what_a_budget_degrades_to_serves_once_it_is_gone(stays: str, *, proved: bool) -> None:
    """The budget meters `best` alone; `other` is then lost to it where `plain` is to stay.

    Where `other` is to stay, the call that has to avoid it finds nobody.
    """
    document: Json = {
        "labels": "standard",
        "rules": [
            {"id": "open", "effect": "permit", "when": {"level": "restricted"}, "models": "all"},
            {"id": "avoid", "effect": "forbid", "models": {"tags": "other"}},
        ],
        "budgets": [
            {
                "id": "month",
                "period": "month",
                "limit_usd": 9,
                "models": {"tags": "best"},
                "on_exceed": "degrade",
                "degrade_to": {"tags": stays},
            }
        ],
    }
    assert outcome(bundle_of(document, CATALOGUE), CLAIM).holds == proved
    assert Policy(document, CATALOGUE, AT).holds(CLAIM) == proved


@pytest.mark.parametrize(("limit", "proved"), [(2000, True), (1999, False)])
def test_the_last_token_that_a_budget_pays_for_is_served(limit: int, *, proved: bool) -> None:
    """1,500 input and 500 output tokens at 2 USD per 1M cost 0.004 USD."""
    open_: Json = {"id": "open", "effect": "permit", "when": {"level": "restricted"}}
    budget: Json = {"id": "each", "period": "call", "limit_usd": limit / 500_000}
    document: Json = {
        "labels": "standard",
        "rules": [{**open_, "models": "all"}],
        "budgets": [budget],
    }
    claim: Json = {**CLAIM, "when": {"tokens": {"at_most": 1500}}}
    assert outcome(bundle_of(document, CATALOGUE), claim).holds == proved
    assert Policy(document, CATALOGUE, AT).holds(claim) == proved


def test_a_call_with_a_missing_fact_is_none_of_those_that_must_be_served() -> None:
    """Whatever is said of urgency permits; saying nothing does not."""
    document: Json = {
        "labels": "standard",
        "facts": {"urgent": {"type": "bool", "source": "host"}},
        "rules": [
            {
                "id": "said",
                "effect": "permit",
                "when": {"facts": {"urgent": [True, False]}},
                "models": "all",
            }
        ],
    }
    assert outcome(bundle_of(document, CATALOGUE), CLAIM).holds
    assert Policy(document, CATALOGUE, AT).holds(CLAIM)


@pytest.mark.parametrize(("price", "proved"), [(0, True), (0.000001, False)])
@pytest.mark.parametrize("gone", [9, 10])
def test_a_budget_that_is_spent_and_more_leaves_what_costs_nothing(
    gone: int, price: float, *, proved: bool
) -> None:
    free = {**model("free", 0.8), "price": {"input": price, "output": price}}
    document: Json = {
        "labels": "standard",
        "rules": [
            {"id": "open", "effect": "permit", "when": {"level": "restricted"}, "models": "all"}
        ],
        "budgets": [{"id": "month", "period": "month", "limit_usd": 9}],
    }
    bundle = bundle_of(document, [free])
    assert outcome(bundle, CLAIM).holds == proved
    spent = AskedRequest.model_validate({"level": "public", "given": {"budgets": {"month": gone}}})
    assert (asked(bundle, spent).outcome == "route") == proved


@pytest.mark.parametrize("when", [{}, {"level": "public"}, {"facts": {"topic": "a"}}])
def test_where_a_classifier_has_to_supply_a_fact_nobody_is_served(when: Json) -> None:
    """No router takes such a fact from anybody, so every call lacks it."""
    topic: Json = {"type": "enum", "values": ["a", "b"], "source": "classifier"}
    rules = [{"id": "open", "effect": "permit", "when": {"level": "restricted"}, "models": "all"}]
    claim = {**CLAIM, **({"when": when} if when else {})}
    document: Json = {"labels": "standard", "facts": {"topic": topic}, "rules": rules}
    assert outcome(bundle_of(document, CATALOGUE), claim).holds
    document["facts"] = {"topic": {**topic, "required": True}}
    bundle = bundle_of(document, CATALOGUE)
    found = outcome(bundle, claim)
    assert found.outcome == "refuted"
    assert found.request is not None
    assert asked(bundle, found.request).deny_stage == "missing_fact:topic"
    # What nobody asks is served vacuously; and nothing of this widens what is never sent.
    nobody = {**claim, "when": {"level": "public", "categories": ["phi"]}}
    assert (outcome(bundle, nobody).outcome, outcome(bundle, nobody).vacuous) == ("proved", True)
    assert (
        outcome(
            bundle,
            {"id": "c", "when": {**when}, "never_sent": "all"}
            if when
            else {"id": "c", "never_sent": "all"},
        ).outcome
        == "refuted"
    )
