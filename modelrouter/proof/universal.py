"""The guard over every conceivable model: the catalogue of the day plays no part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrouter.proof.guarding import effect_region, subtracted

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.proof.space import Region, Space

__all__ = ["allowed_anywhere"]


def allowed_anywhere(space: Space, engine: Engine, within: Region) -> Region:
    """Return the part of `within` that the guard leaves, model attributes included.

    Args:
        space: A space with conceivable models.
        engine: The policy, compiled for a day; its catalogue is not looked at.
        within: Requests and models.

    Raises:
        TooHardError: The region needs too many boxes.
    """
    rules = {rule.id: rule for rule in engine.bundle.policy.rules}
    against = [effect_region(space, rules[clause.id], engine) for clause in engine.forbids]
    region = subtracted(space, within, against)
    for gate in engine.gates:
        if not region:
            break
        below = (space.only("level", (1 << gate.deny_from) - 1),)
        permitted = [effect_region(space, rules[clause.id], engine) for clause in gate.permits]
        region = space.meet(region, space.join(below, *permitted))
    return region
