"""Where a layer of a policy tries to allow what one above it does not.

Nothing here keeps a request from a model: the gates of the engine do, layer by layer. This finds
the permits and budgets whose author means to widen, so that the policy can be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelrouter.engine.spending import places
from modelrouter.proof.conditions import known_requests, when_region
from modelrouter.proof.examples import described, widened
from modelrouter.proof.guarding import ClauseRegion, Guardrails, guardrails_of
from modelrouter.proof.layout import Mentions, space_of
from modelrouter.proof.space import TooHardError

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Budget, Rule
    from modelrouter.proof.space import Region, Space

__all__ = ["Widening", "lowered_floors", "widening_permits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """A permit that allows what the gate of a layer above does not.

    Attributes:
        permit: Its id.
        gate: Place of the upper gate among those of the engine.
        model: A model it allows there; None if the question was too hard to settle.
        region: Requests for which it does, for people.
        nearest: The permit of the upper gate that comes nearest, or None.
    """

    permit: str
    gate: int
    model: str | None = None
    region: str = ""
    nearest: str | None = None


def widening_permits(engine: Engine) -> Iterator[Widening]:
    """Yield each permit that allows more than the nearest gate above it.

    The gates further up are no narrower where those between do not widen, and those that do are
    found themselves. It is enough to look at requests of which everything is known: what is
    unknown is no match in any permit.

    Args:
        engine: The composed policy, compiled for a day on which nothing has expired.
    """
    rules = engine.bundle.policy.rules
    mentions = Mentions(rule.when for rule in rules if rule.effect == "permit" and rule.when)
    space = space_of(engine.bundle, mentions)
    guard = guardrails_of(space, replace(engine, forbids=()))  # what they remove is no matter
    for above, (_, own) in enumerate(guard.gates[1:]):
        for permit in own:
            found = widening(guard, permit, above)
            if found is not None:
                yield found


def widening(guard: Guardrails, permit: ClauseRegion, above: int) -> Widening | None:
    """Return how a permit widens one gate above it, or None if it does not."""
    space, engine = guard.space, guard.engine
    below, permits = guard.gates[above]
    name = permit.clause.id
    try:
        start = space.less(space.meet(permit.requests, known_requests(space)), below)
        judged: set[tuple[str, ...]] = set()
        for place in places(permit.clause.mask):
            covering = [part for part in permits if part.clause.mask >> place & 1]
            signature = tuple(part.clause.id for part in covering)
            if signature in judged:  # what holds of one model holds of those covered alike
                continue
            judged.add(signature)
            allowed = [box for part in covering for box in part.requests]
            found = space.leftover(start, allowed)
            if found is not None:
                left = space.less(start, allowed)
                return Widening(
                    permit=name,
                    gate=above,
                    model=engine.ids[place],
                    region=described(space, widened(space, found, left)),
                    nearest=nearest(space, start, covering or permits),
                )
    except TooHardError:
        return Widening(permit=name, gate=above)
    return None


def nearest(space: Space, start: Region, permits: Sequence[ClauseRegion]) -> str | None:
    """Return the first permit that speaks of some of the same requests, or the first at all."""
    meeting = [part for part in permits if space.meet(start, part.requests)]
    return next((part.clause.id for part in (*meeting, *permits)), None)


def lowered_floors(bundle: Bundle, budget: Budget, above: frozenset[str]) -> Iterator[Rule]:
    """Yield the soft floors of upper layers that a spent budget could lower.

    Args:
        bundle: The composed policy.
        budget: A budget of a layer below.
        above: Ids of the rules of the layers above that one.
    """
    least = budget.degrade_floor
    for rule in bundle.policy.rules:
        floor = rule.set.min_quality if rule.set and rule.strength == "soft" else None
        if rule.id not in above or floor is None or least is None or least >= floor:
            continue
        space = space_of(bundle, Mentions(each for each in (rule.when, budget.when) if each))
        # Unknown counts as a match in both.
        one = when_region(space, rule.when, unknown=True)
        other = when_region(space, budget.when, unknown=True)
        if space.meet(one, other):
            yield rule
