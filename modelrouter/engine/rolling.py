"""Rollouts: one model goes first for a share of the calls, and last for all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelrouter.engine.request_matching import Missing, Subject
from modelrouter.rollouts import RolloutClause, RolloutSide, bar_of, number_of, prefix_of
from modelrouter.values import FactValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrouter.engine.request_matching import Index
    from modelrouter.policy.document import Objective

__all__ = ["compile_rollouts", "reordered"]


def compile_rollouts(
    objectives: Sequence[Objective], place: Mapping[str, int], index: Index
) -> dict[str, RolloutClause]:
    """Return the rollouts by the id of their objective.

    Args:
        objectives: The objectives of a policy whose names have been checked.
        place: Place of each model in the catalogue.
        index: Places of the facts.
    """
    found: dict[str, RolloutClause] = {}
    for part in objectives:
        rollout = part.rollout
        if rollout is not None:
            name, model = part.id, rollout.model
            found[name] = RolloutClause(
                place=place[model],
                key=tuple(index.facts[fact] for fact in rollout.key),
                bar=bar_of(rollout.share),
                prefix=prefix_of(name, model),
                inside=RolloutSide(objective=name, model=model, inside=True),
                outside=RolloutSide(objective=name, model=model, inside=False),
            )
    return found


def reordered(
    order: list[int], clause: RolloutClause | None, subject: Subject
) -> tuple[list[int], RolloutSide | None]:
    """Return the candidates in the order of a rollout, and the side of the call.

    The same places come out as went in. Where the model is not among them the rollout has no
    say, and there is no side.
    """
    if clause is None or clause.place not in order:
        return order, None
    rest = [place for place in order if place != clause.place]
    if is_inside(clause, subject):
        return [clause.place, *rest], clause.inside
    return [*rest, clause.place], clause.outside


def is_inside(clause: RolloutClause, subject: Subject) -> bool:
    """Whether a call falls into the share; one whose key is not wholly known does not."""
    values: list[FactValue] = []
    for place in clause.key:
        value = subject.facts[place]
        if isinstance(value, Missing):
            return False
        values.append(value)
    return number_of(clause.prefix, values) < clause.bar
