"""The guard and the obligations of one policy over a joint space, and what one side gains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.comparison.reading import Reading
from modelrouter.proof.guarding import ClauseRegion, clause_regions

if TYPE_CHECKING:
    from modelrouter.comparison.effort import Effort
    from modelrouter.engine.clauses import Engine, ObligateClause
    from modelrouter.proof.space import Region

__all__ = ["Side", "Standing", "gained", "side_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decides for which calls one model passes the guard.

    Attributes:
        permitted: What each gate lets pass: the model must pass all of them.
        removed: What forbids and requires take away, and what the policy refuses to read.
    """

    permitted: tuple[Region, ...]
    removed: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the policies that are compared.

    Attributes:
        reading: How it reads a call.
        engine: The policy, compiled for the day.
        forbids: Forbids and requires with the calls they apply to.
        gates: For each gate the calls below its level, and its permits.
        obligates: Obligations with the calls they apply to.
        refused: Calls that the policy does not read.
    """

    reading: Reading
    engine: Engine
    forbids: tuple[ClauseRegion, ...]
    gates: tuple[tuple[Region, tuple[ClauseRegion, ...]], ...]
    obligates: tuple[tuple[ObligateClause, Region], ...]
    refused: Region

    def standing(self, model: str) -> Standing | None:
        """Return what decides for a model; None if nothing can let it pass."""
        place = self.engine.place.get(model)
        if place is None or any(part.models >> place & 1 for part in self.engine.retired):
            return None
        removed = [part.requests for part in self.forbids if part.clause.mask >> place & 1]
        return Standing(
            permitted=tuple(
                self.reading.space.join(
                    below, *(part.requests for part in permits if part.clause.mask >> place & 1)
                )
                for below, permits in self.gates
            ),
            removed=tuple(
                dict.fromkeys((*self.refused, *(box for part in removed for box in part)))
            ),
        )

    def signature(self, model: str) -> tuple[int, ...]:
        """Return which clauses speak of a model: two models with the same fare the same."""
        place = self.engine.place.get(model)
        if place is None:
            return ()
        clauses = [*self.forbids, *(part for _, permits in self.gates for part in permits)]
        masks = [part.models for part in self.engine.retired]
        masks += [part.clause.mask for part in clauses]
        masks += [clause.mask for clause, _ in self.obligates]
        return (1, *(number for number, mask in enumerate(masks) if mask >> place & 1))


def side_of(reading: Reading, engine: Engine) -> Side:
    """Return one policy over a joint space.

    Args:
        reading: How it reads a call.
        engine: The policy, compiled for the day.
    """
    whens = {rule.id: rule.when for rule in reading.bundle.policy.rules}

    def surely(name: str) -> Region:
        return reading.when(whens[name], unknown=False)

    def perhaps(name: str) -> Region:
        return reading.when(whens[name], unknown=True)

    return Side(
        reading=reading,
        engine=engine,
        forbids=clause_regions(engine.forbids, perhaps),
        gates=tuple(
            (reading.below(gate.deny_from), clause_regions(gate.permits, surely))
            for gate in engine.gates
        ),
        obligates=tuple(
            (clause, reading.when(whens[clause.id], unknown=True)) for clause in engine.obligates
        ),
        refused=reading.refused(),
    )


def gained(effort: Effort, before: Standing | None, after: Standing | None) -> Region:
    """Return the calls that are allowed after and were not before.

    The work grows with what differs, not with the size of the policies: what stands in both
    takes nothing away.

    Raises:
        TooHardError: The question needs too many boxes.
    """
    if after is None:
        return ()
    if before is None:
        return allowed(effort, after, [(effort.space.everything,)])
    removed = frozenset(after.removed)
    starts: list[Sequence[int]] = [[box for box in before.removed if box not in removed]]
    # What a gate lets pass that was closed before, box by box where the gate is the same one.
    for place, gate in enumerate(before.permitted):
        same = after.permitted[place] if place < len(after.permitted) else effort.space.all
        starts.append(effort.less(same, gate))
    return allowed(effort, after, starts)


def allowed(effort: Effort, standing: Standing, starts: Iterable[Sequence[int]]) -> Region:
    """Return the calls among some for which the guard leaves a model."""
    found: list[int] = []
    for start in starts:
        region: Region = tuple(start)
        for gate in standing.permitted:
            region = effort.meet(region, gate)
        found += effort.less(region, standing.removed)
    return effort.space.distinct(found)
