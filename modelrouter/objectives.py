"""Objectives order the candidates. They never add or remove one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from modelrouter.engine.clauses import Engine
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.sizing import Sizes
from modelrouter.engine.truth import TRUE
from modelrouter.values import PICO_PER_USD

if TYPE_CHECKING:
    from modelrouter.policy.document import Goal

__all__ = ["Ordering", "choose_objective", "rank"]

Figure = int | Decimal | float
UNKNOWN_LAST = math.inf
EXACTLY = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """One goal, ready to compare.

    Attributes:
        column: A figure by place; smaller is better, infinity stands for unknown.
        within: How close to the best counts as equal.
    """

    column: Sequence[Figure]
    within: Fraction


def choose_objective(subject: Subject, engine: Engine) -> tuple[str | None, tuple[Goal, ...]]:
    """Return the first objective whose `when` holds; unknown counts as not holding."""
    for objective, when in engine.objectives:
        if when is None or when(subject) == TRUE:
            return objective.id, objective.order
    return None, ()


def rank(
    candidates: int,
    goals: Sequence[Goal],
    sizes: Sizes,
    quality: Sequence[Decimal | None],
    engine: Engine,
) -> list[int]:
    """Return the places of `candidates`, best first; the last tie goes to the smaller id."""
    found = [place for place in engine.by_id if candidates >> place & 1]
    if len(found) <= 1:
        return found
    orderings = [ordering(goal, sizes, quality, engine) for goal in goals] or [
        Ordering(column=known(sizes.expected), within=EXACTLY)
    ]
    if any(part.within for part in orderings):
        return grouped(found, orderings)
    for part in reversed(orderings):
        found.sort(key=part.column.__getitem__)  # stable: later goals break earlier ties
    return found


def known(column: Sequence[int | Decimal | None]) -> Sequence[Figure]:
    """Return a column in which unknown figures come last."""
    return [UNKNOWN_LAST if value is None else value for value in column]


def ordering(
    goal: Goal, sizes: Sizes, quality: Sequence[Decimal | None], engine: Engine
) -> Ordering:
    """Return how one goal compares models."""
    within = Fraction(goal.within) if goal.within else EXACTLY
    if goal.maximise == "quality":
        return Ordering(
            column=known([None if value is None else value.copy_negate() for value in quality]),
            within=within,
        )
    if goal.minimise == "ttft":
        return Ordering(column=known(engine.table.ttft_values), within=within)
    if goal.minimise == "retention":
        return Ordering(column=known(engine.table.retention), within=within)
    return Ordering(
        column=known(sizes.expected), within=within * PICO_PER_USD if within else EXACTLY
    )


def grouped(found: Sequence[int], orderings: Sequence[Ordering]) -> list[int]:
    """Order by the first goal in groups of equals, each ordered by the goals after it.

    The best of what is left leads a group of all within the goal's tolerance of it; then
    the rest likewise. `found` comes in order of id and sorting is stable.
    """
    if not orderings or len(found) <= 1:
        return [*found]
    first, rest = orderings[0], orderings[1:]
    waiting = sorted(found, key=first.column.__getitem__)
    done: list[int] = []
    while waiting:
        best = first.column[waiting[0]]
        group = [place for place in waiting if alike(first, best, place)]
        waiting = [place for place in waiting if place not in group]
        done += grouped(sorted(group, key=found.index), rest)
    return done


def alike(part: Ordering, best: Figure, place: int) -> bool:
    """Whether a model counts as equal to the best of its group."""
    value = part.column[place]
    if isinstance(value, float) or isinstance(best, float):
        return value == best  # both unknown
    return Fraction(value) - Fraction(best) <= part.within
