"""Budgets in a decision: they may remove, restrict or warn, and lower soft floors; never add.

This only reads what is spent. Whether a call may spend is settled by the ledger, when the
call reserves its worst case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from modelrouter.decision import Reason, Removal, RuleRef
from modelrouter.engine.clauses import Engine, MeterClause
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.sizing import Sizes
from modelrouter.values import Limits, pico_of, usd, usd_text

__all__ = ["Metered", "amount_on", "applies", "meter", "places"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What budgets do to a decision.

    Attributes:
        removals: What they remove.
        warnings: Budgets near their limit, and those that restrict.
        degraded: Ids of the budgets that restrict.
        soft_floor: What soft floors may be lowered to, or None.
    """

    removals: tuple[Removal, ...]
    warnings: tuple[str, ...]
    degraded: tuple[str, ...]
    soft_floor: Decimal | None


def places(mask: int) -> Iterator[int]:
    """Yield the places of the models in a mask."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def applies(clause: MeterClause, subject: Subject) -> bool:
    """Whether a budget speaks of this call; unknown counts as yes."""
    return clause.when is None or bool(clause.when(subject))


def amount_on(clause: MeterClause, sizes: Sizes, place: int) -> int | None:
    """Return the worst case of one model in the budget's unit, or None where it has no bound."""
    if clause.unit == "usd":
        return sizes.worst[place]
    return sizes.worst_tokens(place) if clause.unit == "tokens" else 1


def meter(
    subject: Subject,
    able: int,
    sizes: Sizes,
    *,
    limits: Limits,
    engine: Engine,
    spent: Mapping[str, int],
) -> Metered:
    """Return what the budgets of a call do to the models `able` to serve it."""
    removals: list[Removal] = []
    warnings: list[str] = []
    degraded: list[str] = []
    floors: list[Decimal] = []
    for clause in engine.meters:
        metered = clause.mask & able
        if not metered or not applies(clause, subject):
            continue
        gone = spent.get(clause.budget.id, 0)
        if gone >= clause.warn_from:
            share = 100 * gone // clause.limit if clause.limit else 100
            warnings.append(f"{clause.budget.id}:{share}%")
        over, boundless = exceeding(clause, metered, sizes, gone)
        action = clause.budget.on_exceed
        if action == "degrade" and over:
            degraded.append(clause.budget.id)
            warnings.append(f"{clause.budget.id}:degraded")
            if clause.budget.degrade_floor is not None:
                floors.append(clause.budget.degrade_floor)
            removals += restrict(clause, able, gone)
        if action != "warn" and over:
            # Also inside `degrade_to`: a limit is a limit.
            removals.append(refusal(clause, over, gone))
        if action != "warn" and boundless:
            money = clause.unit == "usd"
            removals += unbounded(clause.ref, boundless, clause.budget.id, sizes, money=money)
    if limits.max_cost_usd is not None:
        removals += call_limit(limits.max_cost_usd, able, sizes)
    return Metered(
        removals=tuple(removals),
        warnings=tuple(warnings),
        degraded=tuple(degraded),
        soft_floor=max(floors) if floors else None,
    )


def exceeding(clause: MeterClause, metered: int, sizes: Sizes, gone: int) -> tuple[int, int]:
    """Return the metered models that would exceed the limit, and those without a bound.

    More than the limit may be spent already; what adds nothing to it exceeds nothing.
    """
    over = boundless = 0
    room = max(clause.limit - gone, 0)
    worst = sizes.worst if clause.unit == "usd" else None
    for place in places(metered):
        amount = amount_on(clause, sizes, place) if worst is None else worst[place]
        if amount is None:
            boundless |= 1 << place
        elif amount > room:
            over |= 1 << place
    return over, boundless


def restrict(clause: MeterClause, able: int, gone: int) -> Iterable[Removal]:
    """Return what a budget that degrades removes: all but `degrade_to`."""
    removed = able & ~clause.degrade_to
    if removed:
        yield Removal(
            models=removed,
            reason=Reason(
                stage="budget",
                rule=clause.ref,
                detail=f"budget `{clause.budget.id}` degrades: {left(clause, gone)} left",
            ),
        )


def refusal(clause: MeterClause, over: int, gone: int) -> Removal:
    """Return what a budget that denies removes."""
    return Removal(
        models=over,
        reason=Reason(
            stage="budget",
            rule=clause.ref,
            detail=f"budget `{clause.budget.id}` has {left(clause, gone)} left, "
            "less than the worst case of the call",
        ),
    )


def unbounded(
    ref: RuleRef, models: int, name: str, sizes: Sizes, *, money: bool
) -> Iterable[Removal]:
    """Return the removals of models whose cost has no bound, by what they lack."""
    groups: dict[str, int] = {}
    for place in places(models):
        needed = lacking(sizes, place, money=money)
        groups[needed] = groups.get(needed, 0) | 1 << place
    for needed, mask in groups.items():
        detail = f"`{name}` cannot hold its worst case: it needs {needed}"
        yield Removal(models=mask, reason=Reason(stage="budget", rule=ref, detail=detail))


def lacking(sizes: Sizes, place: int, *, money: bool) -> str:
    """Return what a model whose cost has no bound lacks for one."""
    needed: list[str] = []
    if money and not sizes.table.linear[place]:
        needed.append("`price:`")
    if sizes.max_output is None and sizes.table.output_limits[place] is None:
        needed.append("`max_tokens` in the call or `max_output:` in the catalogue")
    return ", and ".join(needed)


def left(clause: MeterClause, gone: int) -> str:
    """Return what is left of a budget, with its unit."""
    rest = max(clause.limit - gone, 0)
    return (
        f"{usd_text(usd(rest) or Decimal(0))} USD"
        if clause.unit == "usd"
        else f"{rest} {clause.unit}"
    )


def call_limit(limit: Decimal, able: int, sizes: Sizes) -> Iterable[Removal]:
    """Return what the call's own `max_cost_usd` removes."""
    ceiling = pico_of(limit)
    over = boundless = 0
    for place in places(able):
        worst = sizes.worst[place]
        if worst is None:
            boundless |= 1 << place
        elif worst > ceiling:
            over |= 1 << place
    if over:
        yield Removal(
            models=over,
            reason=Reason(
                stage="budget",
                rule=RuleRef(),
                detail=f"its worst case is above the call's `max_cost_usd` of {limit}",
            ),
        )
    if boundless:
        yield from unbounded(RuleRef(), boundless, "max_cost_usd", sizes, money=True)
