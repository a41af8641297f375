"""The guard over every conceivable model: the catalogue of the day plays no part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrouter.proof.guarding import Question, effect_region

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.proof.space import Region, Space

__all__ = ["universal_question"]


def universal_question(space: Space, engine: Engine, within: Region) -> Question:
    """Return what decides which requests and conceivable models the guard leaves.

    Args:
        space: A space with conceivable models.
        engine: The policy, compiled for a day; its catalogue is not looked at.
        within: Requests and models.

    Raises:
        TooHardError: The question needs too many boxes.
    """
    rules = {rule.id: rule for rule in engine.bundle.policy.rules}
    for gate in engine.gates:
        below = (space.only("level", (1 << gate.deny_from) - 1),)
        permitted = [effect_region(space, rules[clause.id], engine) for clause in gate.permits]
        within = space.meet(within, space.join(below, *permitted))
    removed = [effect_region(space, rules[clause.id], engine) for clause in engine.forbids]
    return Question(permitted=within, removed=tuple(box for part in removed for box in part))
