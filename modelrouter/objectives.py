"""Objectives order the candidates. They never add or remove one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from modelrouter.engine.compiled import Engine
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.sizing import Sizes
from modelrouter.engine.spending import places
from modelrouter.engine.truth import TRUE
from modelrouter.values import PICO_PER_USD

if TYPE_CHECKING:
    from modelrouter.policy.document import Goal

__all__ = ["Ordering", "choose_objective", "rank"]

Figure = int | Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """One goal, ready to compare: smaller is better, None comes last."""

    figure: Callable[[int], Figure]
    within: int | Decimal


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
    ids = engine.ids
    found = sorted(places(candidates), key=lambda place: ids[place])
    if len(found) < 2:  # noqa: PLR2004 - one model needs no order
        return found
    orderings = [ordering(goal, sizes, quality, engine) for goal in goals] or [
        Ordering(figure=sizes.expected, within=0)
    ]
    if not any(part.within for part in orderings):
        return sorted(found, key=lambda place: [keyed(part, place) for part in orderings])
    return grouped(found, orderings)


def keyed(part: Ordering, place: int) -> tuple[bool, int | Decimal]:
    """Return a sort key that puts unknown figures last."""
    value = part.figure(place)
    return (True, 0) if value is None else (False, value)


def ordering(
    goal: Goal, sizes: Sizes, quality: Sequence[Decimal | None], engine: Engine
) -> Ordering:
    """Return how one goal compares models."""
    within = goal.within or 0
    if goal.maximise == "quality":

        def worse(place: int) -> Figure:
            value = quality[place]
            return None if value is None else -value

        return Ordering(figure=worse, within=within)
    if goal.minimise == "ttft":
        return Ordering(figure=engine.table.ttft_values.__getitem__, within=within)
    if goal.minimise == "retention":
        return Ordering(figure=engine.table.retention.__getitem__, within=within)
    return Ordering(figure=sizes.expected, within=within * PICO_PER_USD)


def grouped(found: Sequence[int], orderings: Sequence[Ordering]) -> list[int]:
    """Order by the first goal in groups of equals, each ordered by the goals after it.

    The best of what is left leads a group of all within the goal's tolerance of it; then
    the rest likewise. `found` comes in order of id and sorting is stable.
    """
    if not orderings or len(found) < 2:  # noqa: PLR2004 - one model needs no order
        return [*found]
    first, rest = orderings[0], orderings[1:]
    waiting = sorted(found, key=lambda place: keyed(first, place))
    done: list[int] = []
    while waiting:
        best = first.figure(waiting[0])
        group = [place for place in waiting if alike(first, best, place)]
        waiting = [place for place in waiting if place not in group]
        done += grouped(sorted(group, key=found.index), rest)
    return done


def alike(part: Ordering, best: Figure, place: int) -> bool:
    """Whether a model counts as equal to the best of its group."""
    value = part.figure(place)
    if best is None or value is None:
        return best is value
    return value - best <= part.within
