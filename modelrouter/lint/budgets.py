"""Budgets: those that never apply, that deny everything, or that save nothing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from modelrouter.engine.clauses import MeterClause
from modelrouter.engine.spending import places
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found, listed
from modelrouter.lint.regions import lowest_place
from modelrouter.values import usd

__all__ = [
    "below_one_call",
    "dearer",
    "degrade_floor_unused",
    "degrade_nowhere",
    "never_applicable",
    "without_bound",
]

INPUT_TOKENS = 1000
OUTPUT_TOKENS = 500
"""One call, as unit tests assume it where they do not say."""


def never_applicable(context: LintContext) -> Iterator[Found]:
    """Yield budgets whose models are forbidden wherever they are metered (MR401)."""
    for clause in context.engine.meters:
        metered = clause.mask & context.chats
        asked = context.regions.when(clause.budget.when, unknown=True)
        if not metered or context.regions.any_eligible(metered, asked):
            continue
        name = clause.budget.id
        yield Found(
            part=("budgets", name),
            at=("id",),
            message=f"budget `{name}` can never apply: every model it meters is forbidden "
            "for the requests it matches",
            hint=f"metered models: {listed(context.ids(metered))}",
        )


def metered_where_asked(clause: MeterClause, context: LintContext) -> int:
    """Return the metered models that some request of the budget may use."""
    asked = context.regions.when(clause.budget.when, unknown=True)
    return context.regions.eligible_within(clause.mask & context.chats, asked)


def replacements(clause: MeterClause, context: LintContext) -> int:
    """Return the models of `degrade_to` that a request with a metered model may use."""
    regions = context.regions
    asked = regions.when(clause.budget.when, unknown=True)
    found = 0
    for kind in regions.kinds(clause.degrade_to & context.chats):
        for metered in regions.kinds(clause.mask & context.chats):
            if regions.served([lowest_place(kind), lowest_place(metered)], asked) is not None:
                found |= kind
                break
    return found


def degrade_nowhere(context: LintContext) -> Iterator[Found]:
    """Yield budgets that leave no model once they degrade (MR402)."""
    for clause in context.engine.meters:
        if clause.budget.on_exceed != "degrade" or not clause.mask & context.chats:
            continue
        if replacements(clause, context):
            continue
        name = clause.budget.id
        stated = clause.budget.degrade_to is not None
        if not stated and not context.chats & ~clause.mask:
            message = f"budget `{name}` meters every model, so nothing is left to degrade to"
            hint = "give it `models:` or `degrade_to:`"
        else:
            message = (
                f"budget `{name}`: no eligible model in degrade_to, "
                "so exceeding it denies every call"
            )
            hint = None
        yield Found(
            part=("budgets", name),
            at=("degrade_to",) if stated else ("on_exceed",),
            message=message,
            hint=hint,
        )


def degrade_floor_unused(context: LintContext) -> Iterator[Found]:
    """Yield a `degrade_floor` below which no soft floor can fall (MR403)."""
    space = context.regions.requests
    soft = [rule for rule in context.in_force if rule.strength == "soft" and rule.set is not None]
    for budget in context.policy.budgets:
        if budget.degrade_floor is None:
            continue
        asked = context.regions.when(budget.when, unknown=True)
        lowest = budget.degrade_floor
        reached = any(
            rule.set is not None
            and (rule.set.min_quality or Decimal(0)) > lowest
            and space.touches(asked, context.regions.when(rule.when, unknown=True))
            for rule in soft
        )
        if not reached:
            yield Found(
                part=("budgets", budget.id),
                at=("degrade_floor",),
                message=f"budget `{budget.id}` lowers no floor to {lowest}: "
                "no soft floor above it is in reach",
                hint="write `strength: soft` at the floor that may fall, or leave the key out",
            )


def dearer(context: LintContext) -> Iterator[Found]:
    """Yield budgets whose `degrade_to` costs no less than what it replaces (MR404)."""
    for clause in context.engine.meters:
        if clause.budget.on_exceed != "degrade" or clause.unit != "usd":
            continue
        before = costs(metered_where_asked(clause, context), context)
        after = costs(replacements(clause, context), context)
        if not before or not after or min(after.values()) < max(before.values()):
            continue
        name = clause.budget.id
        cheapest = min(sorted(after), key=lambda model: after[model])
        dearest = max(sorted(before), key=lambda model: before[model])
        yield Found(
            part=("budgets", name),
            at=("on_exceed",) if clause.budget.degrade_to is None else ("degrade_to",),
            message=f"budget `{name}` saves nothing: what it degrades to is not cheaper",
            hint=f"a usual call costs {usd(after[cheapest])} USD on `{cheapest}`, "
            f"{usd(before[dearest])} USD on `{dearest}`",
        )


def below_one_call(context: LintContext) -> Iterator[Found]:
    """Yield limits that not even the cheapest call of a metered model fits into (MR405)."""
    for clause in context.engine.meters:
        metered = clause.mask & context.chats
        amounts = [*costs(metered, context).values()] if clause.unit == "usd" else []
        if metered and clause.unit != "usd":
            amounts = [INPUT_TOKENS + OUTPUT_TOKENS if clause.unit == "tokens" else 1]
        if not amounts or min(amounts) <= clause.limit:
            continue
        name = clause.budget.id
        need = f"{usd(min(amounts))} USD" if clause.unit == "usd" else f"{min(amounts)}"
        yield Found(
            part=("budgets", name),
            at=(f"limit_{clause.unit}",),
            message=f"budget `{name}` has no room for a call of the usual size",
            hint=f"a call of {INPUT_TOKENS} tokens with {OUTPUT_TOKENS} of output needs {need}"
            if clause.unit != "calls"
            else "a forbid says more clearly that no call is meant",
        )


def without_bound(context: LintContext) -> Iterator[Found]:
    """Yield models that a budget keeps from calls that state no output limit (MR406).

    A model without a price has no bound in money either: MR602 says so.
    """
    budgets: dict[int, list[str]] = {}
    for clause in context.engine.meters:
        if clause.unit == "calls" or clause.budget.on_exceed == "warn":
            continue
        for place in places(metered_where_asked(clause, context)):
            unpriced = clause.unit == "usd" and context.engine.table.rates[place] is None
            if context.models[place].max_output is None and not unpriced:
                budgets.setdefault(place, []).append(f"`{clause.budget.id}`")
    for place in sorted(budgets):
        model, names = context.models[place].id, budgets[place]
        yield Found(
            part=("models", model),
            at=("id",),
            message=f"a call without `max_tokens` cannot use `{model}`: "
            f"budget{'s' if len(names) > 1 else ''} {listed(names)} cannot hold its worst case",
            hint="state `max_output`",
        )


def costs(mask: int, context: LintContext) -> dict[str, int]:
    """Return what a usual call costs in the worst case, by model, in pico-dollars."""
    found: dict[str, int] = {}
    for place in places(mask):
        rates = context.engine.table.rates[place]
        if rates is not None:
            tokens = INPUT_TOKENS * rates.worst_input + OUTPUT_TOKENS * rates.worst_output
            found[context.models[place].id] = tokens + rates.request
    return found
