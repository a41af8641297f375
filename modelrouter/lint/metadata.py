"""Dates, reasons and prices: what has expired, grown old, or was never written down."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from modelrouter.engine.model_matching import expired
from modelrouter.engine.spending import places
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found, listed
from modelrouter.policy.catalogue import ModelEntry, Prices

__all__ = ["old_evidence", "overdue", "prices", "unreasoned"]

FRESH = datetime.timedelta(days=180)
"""How old a measurement or a price may be before it is spoken of."""


def unreasoned(context: LintContext) -> Iterator[Found]:
    """Yield hard rules that do not say why (MR501)."""
    for rule in context.standing:
        if rule.strength == "hard" and not rule.reason:
            yield Found(
                part=("rules", rule.id),
                at=("id",),
                message=f"rule `{rule.id}` does not say why",
                hint="add `reason:`; it is shown wherever the rule denies",
            )


def overdue(context: LintContext) -> Iterator[Found]:
    """Yield rules whose last day has passed (MR502). Only a permit lapses with it."""
    for rule in context.policy.rules:
        if rule.expires is None or not expired(rule.expires, context.at):
            continue
        day = rule.expires.isoformat()
        yield Found(
            part=("rules", rule.id),
            at=("expires",),
            message=f"permit `{rule.id}` lapsed on {day}"
            if rule.effect == "permit"
            else f"rule `{rule.id}` expired on {day}; it stays in force",
        )


def old_evidence(context: LintContext) -> Iterator[Found]:
    """Yield models whose evidence of quality is old (MR601)."""
    tasks = context.bundle.words.tasks | {"*"}
    for place in places(context.serving):
        entry = context.models[place]
        old = {
            name: evidence.measured
            for name, evidence in entry.quality.items()
            if name in tasks
            and evidence.measured is not None
            and context.at - evidence.measured > FRESH
            and not expired(evidence.expires, context.at)
        }
        if old:
            first = min(sorted(old), key=lambda name: old[name])
            yield Found(
                part=("models", entry.id),
                at=("quality", first, "measured"),
                message=f"evidence of model `{entry.id}` for {listed(sorted(old))} is more than "
                f"{FRESH.days} days old",
                hint="measure again",
            )


def prices(context: LintContext) -> Iterator[Found]:
    """Yield models whose price is old, or missing where something counts money (MR602)."""
    for place in places(context.serving):
        entry = context.models[place]
        if entry.price is None or expired(entry.price.expires, context.at):
            users = counting_money(place, context) if context.chats >> place & 1 else []
            if users:
                yield unpriced(entry, users)
        elif old(entry.price, context.at):
            yield Found(
                part=("models", entry.id),
                at=("price", "as_of"),
                message=f"the price of model `{entry.id}` is more than {FRESH.days} days old",
                hint="look it up again and write the day under `as_of`",
            )


def old(price: Prices, at: datetime.date) -> bool:
    """Whether a price is of a day long past."""
    return price.as_of is not None and at - price.as_of > FRESH


def unpriced(entry: ModelEntry, users: list[str]) -> Found:
    """Return the finding on a model without a price in force."""
    state = "has no price" if entry.price is None else "has an expired price"
    return Found(
        part=("models", entry.id),
        at=("id",) if entry.price is None else ("price", "expires"),
        message=f"model `{entry.id}` {state}; it is needed by {listed(users)}",
        hint="give it `price: {input: …, output: …}`; a server of one's own costs money too",
    )


def counting_money(place: int, context: LintContext) -> list[str]:
    """Return the budgets, floors and objectives that need the price of a model."""
    regions, bit = context.regions, 1 << place
    found = [
        f"budget `{clause.budget.id}`"
        for clause in context.engine.meters
        if clause.unit == "usd"
        and clause.mask & bit
        and regions.any_eligible(bit, regions.when(clause.budget.when, unknown=True))
    ]
    found += [
        f"floor `{rule.id}`"
        for rule in context.in_force
        if rule.set is not None
        and rule.set.max_cost_usd is not None
        and context.mask(rule.models, unknown_matches=True) & bit
        and regions.any_eligible(bit, regions.when(rule.when, unknown=True))
    ]
    found += [
        f"objective `{objective.id}`"
        for objective in context.policy.objectives
        if any(goal.minimise == "cost" for goal in objective.order)
        and regions.any_eligible(bit, regions.when(objective.when, unknown=False))
    ]
    return found
