"""When nobody serves a call, as formulas: capability, budgets and floors after the guard."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import z3

from tests.proof.smt import (
    CERTAIN,
    Call,
    Json,
    Policy,
    as_list,
    covers,
    every,
    exact,
    negation,
    past,
    some,
)

__all__ = ["unserved"]

OUTPUT = 500
TOKENS = 1000


def unserved(world: Policy, call: Call, claim: Json) -> Iterator[Any]:
    """Yield what holds of a call that no chat model serves, with budgets in some state."""
    when = claim.get("when") or {}
    if "tokens" not in when:
        yield call.tokens == TOKENS
    mentioned = set()
    if "needs" in when:
        wanted = when["needs"]
        parts = wanted.values() if isinstance(wanted, dict) else [wanted]
        mentioned = {name for part in parts for name in as_list(part)}
    yield from (z3.Not(need) for name, need in call.needs.items() if name not in mentioned)

    chats = [m for m in world.catalogue if m.get("role", "chat") == "chat"]
    seen = world.seen
    able = {m["id"]: every([world.passing[m["id"]], *capable(world, call, m)]) for m in chats}
    removed: dict[str, list[Any]] = {name: [] for name in able}
    acting: list[tuple[Any, Any]] = []  # when a budget degrades, and its floor
    for budget in world.policy.get("budgets") or []:
        meter(world, call, budget, chats, seen, able, removed, acting)
    for model in chats:
        name = model["id"]
        floored = list(below_floors(world, call, model, seen[name], acting))
        yield negation(every([able[name], *(negation(r) for r in (*removed[name], *floored))]))


def capable(world: Policy, call: Call, model: Json) -> Iterator[Any]:
    """Yield what must hold for a model to be able to serve the call."""
    has = set(as_list(model.get("capabilities"))) if not past(model, world.at) else set()
    yield from (z3.Not(need) for name, need in call.needs.items() if name not in has)
    if "context_window" in model:
        yield call.tokens + OUTPUT <= model["context_window"]
    if "max_output" in model:
        yield model["max_output"] >= OUTPUT


def worst(world: Policy, call: Call, model: Json) -> Any:
    """Return the worst-case cost in US dollars, or None where there is no price."""
    price = model.get("price")
    if price is None or past(price, world.at):
        return None
    rate = max(Fraction(str(price.get(k, 0))) for k in ("input", "cache_write"))
    output = max(Fraction(str(price.get(k, 0))) for k in ("output", "reasoning"))
    fixed = OUTPUT * output / 1_000_000 + Fraction(str(price.get("request", 0)))
    return call.tokens * exact(rate / 1_000_000) + exact(fixed)


def meter(
    world: Policy,
    call: Call,
    budget: Json,
    chats: list[Json],
    seen: dict[str, Any],
    able: dict[str, Any],
    removed: dict[str, list[Any]],
    acting: list[tuple[Any, Any]],
) -> None:
    """Add what one budget removes, and when it lowers soft floors."""
    applies = call.when(budget.get("when")).possible
    unit = next(key for key in budget if key.startswith("limit_"))
    limit = exact(budget[unit])
    spent: Any = exact(0)
    if budget["period"] != "call":
        spent = z3.If(z3.Bool(f"exhausted.{budget['id']}"), limit, exact(0))
    over, metered = {}, {}
    for model in chats:
        name = model["id"]
        covered = covers(budget.get("models"), seen[name], world.sets).possible
        metered[name] = every([applies, covered])
        cost = worst(world, call, model)
        amount = {
            "limit_usd": cost,
            "limit_tokens": call.tokens + OUTPUT,
            "limit_calls": exact(1),
        }[unit]
        if amount is None:
            if budget.get("on_exceed", "deny") != "warn":
                removed[name].append(metered[name])
            continue
        over[name] = every([able[name], metered[name], spent + amount > limit])
    if budget.get("on_exceed", "deny") == "warn":
        return
    for name, exceeds in over.items():
        removed[name].append(exceeds)
    if budget.get("on_exceed", "deny") == "degrade":
        acts = some(over.values())
        if "degrade_floor" in budget:
            acting.append((acts, exact(budget["degrade_floor"])))
        for model in chats:
            name = model["id"]
            if "degrade_to" in budget:
                stays = covers(budget["degrade_to"], seen[name], world.sets).true
            else:
                stays = covers(budget.get("models"), seen[name], world.sets).false
            removed[name].append(every([acts, negation(stays)]))


def below_floors(
    world: Policy, call: Call, model: Json, seen: Any, acting: list[tuple[Any, Any]]
) -> Iterator[Any]:
    """Yield when floors remove a model."""
    defaults = world.policy.get("defaults") or {}
    quality = [quality_at(world, model, task, defaults) for task in world.words.names]
    known = some(call.task == place for place, value in enumerate(quality) if value is not None)
    value: Any = exact(0)
    for place, one in enumerate(quality):
        if one is not None:
            value = z3.If(call.task == place, exact(one), value)
    for rule in world.rules:
        if rule["effect"] != "floor":
            continue
        covered = covers(rule.get("models"), seen, world.sets)
        applies = every([world.whens[rule["id"]].possible, covered.possible])
        bounds = rule["set"]
        if "min_quality" in bounds:
            least = exact(bounds["min_quality"])
            reached = value >= least
            if rule.get("strength") == "soft":
                for acts, lowest in acting:
                    # Of several budgets that act, the highest floor holds.
                    others = [some([negation(a), other <= lowest]) for a, other in acting]
                    reached = some([reached, every([acts, value >= lowest, *others])])
            yield every([applies, negation(every([known, reached]))])
        if "max_ttft_ms" in bounds:
            latency = model.get("latency") or {}
            speed = None if past(latency, world.at) else latency.get("ttft_ms_p95")
            if speed is None or speed > bounds["max_ttft_ms"]:
                yield applies
        if "max_cost_usd" in bounds:
            cost = worst(world, call, model)
            dear = CERTAIN if cost is None else cost > exact(bounds["max_cost_usd"])
            yield every([applies, dear])
    if defaults.get("unknown_quality", "exclude") == "exclude":
        yield negation(known)


def quality_at(world: Policy, model: Json, task: str, defaults: Json) -> Any:
    """Return the quality that floors compare, or None where it is unknown."""
    table = model.get("quality")
    if not isinstance(table, dict):
        return table
    record = table.get(task, table.get("*"))
    if not isinstance(record, dict):
        return record
    column = defaults.get("compare_quality", "lower")
    return None if past(record, world.at) else record.get(column)
