"""Hypothesis strategies for policies with properties, some made to hold, some to fail by little.

The policies are those of `tests/strategies.py` with a few more guardrails, as plain data.
A property is the mapping that stands under `properties:`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests import strategies
from tests.strategies import Dice, Json, World

__all__ = ["Claimed", "claims", "deny_from", "guardrails", "worlds"]

Claimed = tuple[Json, list[Json], list[Json]]
"""A policy, its catalogue and properties."""


def guardrails(policy: Json) -> list[Json]:
    """Return the rules that a proof counts: forbid, require and permit, not the advisory ones."""
    return [
        rule
        for rule in policy.get("rules") or []
        if rule["effect"] in ("forbid", "require", "permit") and rule.get("strength") != "advisory"
    ]


def deny_from(policy: Json, world: World) -> str:
    """Return the level from which only permits make a model eligible."""
    return str((policy.get("defaults") or {}).get("default_deny_from", world.levels[-1]))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Dice, World, Json, list[Json]]:
    """Draw a policy with its catalogue, and the names its clauses use."""
    dice = Dice(draw)
    world, (policy, catalogue, _) = strategies.draw_case(dice)
    policy.pop("objectives", None)
    rules = policy.setdefault("rules", [])
    for number in range(dice.pick((1, 1, 2, 3, 4))):
        rules.append({"id": f"extra-{number}", **_guardrail(world)})
    if not rules:
        del policy["rules"]
    return dice, world, policy, catalogue


def _guardrail(world: World) -> Json:
    """Draw a rule with more conditions than those of the other strategies have."""
    dice = world.dice
    effect = dice.pick(("forbid", "require", "permit", "permit", "forbid"))
    rule = strategies._rule(world, effect)
    if dice.chance(50):
        rule["when"] = _when(world)
    elif world.categories and dice.chance(60):
        # What is unknown decides most often where rules read categories.
        rule["when"] = {"categories": strategies._collection(dice, world.categories)}
    if effect != "permit" or dice.chance(50):
        rule["models"] = _matcher(world)
    return rule


@st.composite
def claims(draw: st.DrawFn) -> Claimed:
    """Draw a policy and four properties: random ones, and ones derived from its rules."""
    dice, world, policy, catalogue = draw(worlds())
    makers: list[Callable[[World, Json], Json]] = [
        _random_claim,
        _likely_claim,
        _likely_claim,
        _served_claim,
    ]
    found = []
    for number, make in enumerate(makers):
        claim = {"id": f"claim-{number}", **make(world, policy)}
        if "never_sent" in claim and dice.chance((25, 60, 50)[number]):
            claim["over"] = "any"
        found.append(claim)
    return policy, catalogue, found


def _random_claim(world: World, policy: Json) -> Json:
    claim: Json = {"never_sent": _matcher(world)}
    if world.dice.chance(85):
        claim["when"] = _when(world)
    return claim


def _when(world: World) -> Json:
    when = strategies._when(world)
    if world.dice.chance(30):
        when = {**strategies._when(world), **when}
    if isinstance((when.get("facts") or {}).get("tenant"), dict):
        when["facts"]["tenant"] = {
            "prefix": world.dice.pick(("acme-", "acme", "acme-eu", "b", "a"))
        }
    return _roughened(world.dice, when, "tokens")


def _matcher(world: World) -> Any:
    dice = world.dice
    matcher: Any = strategies._models(world)
    form = dice.pick(("plain", "plain", "plain", "not", "two", "sets", "all"))
    if form == "not":
        matcher = {"not": matcher}
    elif form == "two":
        matcher = {**strategies._models(world), **matcher}
    elif form == "sets" and len(world.sets) > 1:
        matcher = {"set": list(world.sets)[:2]}
    elif form == "all":
        return "all"
    prefixes = {
        "region": ("eu-", "eu", "eu-w", "us-"),
        "operator": ("a", "ac"),
        "id": ("a/", "a/o"),
    }
    for key, some in prefixes.items():
        if isinstance(matcher.get(key), dict):
            matcher[key] = {"prefix": dice.pick(some)}
    return _roughened(dice, matcher, "retention_days")


def _roughened(dice: Dice, clause: Json, key: str) -> Json:
    """Sometimes put bounds between the whole numbers, where rounding shows."""
    bounds = clause.get(key)
    if isinstance(bounds, dict) and len(bounds) == 1 and dice.chance(30):
        step = dice.pick((0.5, -0.5))
        return {**clause, key: {side: value + step for side, value in bounds.items()}}
    return clause


def _likely_claim(world: World, policy: Json) -> Json:
    """Claim what a rule says, sometimes a little more."""
    dice = world.dice
    rules = guardrails(policy)
    removing = [rule for rule in rules if rule["effect"] != "permit"]
    if removing and dice.chance(65):
        rule = dice.pick(removing)
        when = rule.get("when")
        models = rule.get("models", "all")
        if rule["effect"] == "require":
            models = {"not": models} if isinstance(models, dict) else {"not": {"set": []}}
            if models == {"not": {"set": []}}:
                models = strategies._models(world)
    else:
        permits = [rule["models"] for rule in rules if rule["effect"] == "permit"]
        narrow = [models for models in permits if models != "all"]
        when = {"level": {"at_least": deny_from(policy, world)}}
        models = {"not": dice.pick(narrow)} if narrow else strategies._models(world)
        beyond = [
            names
            for rule in rules
            if rule["effect"] == "permit" and "categories" in rule.get("when", {})
            for names in [rule["when"]["categories"]]
            if not isinstance(names, dict) or list(names) == ["any"]
        ]
        if beyond and dice.chance(50):
            # Where the call surely carries none of these, no permit speaks of it.
            names = dice.pick(beyond)
            when["categories"] = {"none": names["any"] if isinstance(names, dict) else names}
            models = "all"
        if not permits:
            models = "all"
    return _varied(world, when, models)


def _varied(world: World, when: Json | None, models: Any) -> Json:
    """Narrow a claim, which keeps it true, or change it, which may not."""
    dice = world.dice
    change = dice.pick(
        ("none", "narrow", "narrow", "when", "widen", "not", "models", "none", "narrow", "none")
    )
    if change == "narrow":
        when = {**strategies._when(world), **(when or {})}
        if isinstance(models, dict) and dice.chance(40):
            models = {**strategies._models(world), **models}
    elif change == "when":
        when = _when(world)
    elif change == "widen" and when:
        keys = list(when)
        when = {key: when[key] for key in keys if key != dice.pick(keys)} or None
    elif change == "not" and isinstance(models, dict):
        models = {"not": models}
    elif change == "models":
        models = _matcher(world)
    claim: Json = {"never_sent": models}
    if when:
        claim["when"] = when
    return claim


def _served_claim(world: World, policy: Json) -> Json:
    """Claim that calls are served: anywhere, or where no default denies."""
    dice = world.dice
    lowest = world.levels.index(deny_from(policy, world))
    if lowest == 0 or dice.chance(15):
        return {"when": _when(world), "always_served": True}
    when: Json = {"level": {"at_most": world.levels[lowest - 1]}}
    if dice.chance(60):
        when["categories"] = {"none": list(world.categories)}
    if dice.chance(60):
        when = {**_when(world), **when}
    elif dice.chance(30):
        when["tokens"] = strategies._range(dice, (500, 1000, 2000))
    if world.capabilities and dice.chance(25):
        when["needs"] = strategies._collection(dice, world.capabilities)
    return {"when": when, "always_served": True}
