"""What the guard of a policy allows, as regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.engine.clauses import Clause, Engine
from modelrouter.proof.conditions import models_region, when_region
from modelrouter.proof.space import Region, Space

if TYPE_CHECKING:
    from modelrouter.policy.document import Rule

__all__ = [
    "ClauseRegion",
    "Guardrails",
    "Question",
    "clause_regions",
    "effect_region",
    "guardrails_of",
    "subtracted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseRegion:
    """A forbid, require or permit with the requests it applies to.

    Attributes:
        clause: The compiled clause.
        requests: Where it applies: unknown counts for a forbid or require, not for a permit.
    """

    clause: Clause
    requests: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What decides whether the guard leaves anything.

    Attributes:
        permitted: What no gate closes.
        removed: What forbids and requires take away of it.
    """

    permitted: Region
    removed: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """The guard of one policy over one space.

    Attributes:
        space: The space.
        engine: The policy, compiled for a day.
        forbids: Forbids and requires that remove some model.
        gates: For each gate the requests below its level, and its permits.
    """

    space: Space
    engine: Engine
    forbids: tuple[ClauseRegion, ...]
    gates: tuple[tuple[Region, tuple[ClauseRegion, ...]], ...]

    def allowed(self, place: int, within: Region | None = None) -> Region:
        """Return the requests for which the guard leaves a model of the catalogue.

        Args:
            place: The model's place in the catalogue.
            within: Only these requests; all by default.

        Raises:
            TooHardError: The region needs too many boxes.
        """
        question = self.question(place, self.space.all if within is None else within)
        left = subtracted(self.space, question.permitted, question.removed)
        return tuple(box for box in left if self.space.possible(box))

    def question(self, place: int, within: Region) -> Question:
        """Return what decides for which requests the guard leaves a model."""
        space, bit = self.space, 1 << place
        if any(part.models & bit for part in self.engine.retired):
            return Question(permitted=(), removed=())
        for below, permits in self.gates:
            covering = [below, *(part.requests for part in permits if part.clause.mask & bit)]
            within = space.meet(within, space.join(*covering))
        against = [part.requests for part in self.forbids if part.clause.mask & bit]
        return Question(permitted=within, removed=tuple(box for part in against for box in part))

    def signature(self, place: int) -> int:
        """Return which clauses speak of a model: two with the same are allowed the same."""
        bit = 1 << place
        clauses = [*self.forbids, *(part for _, permits in self.gates for part in permits)]
        masks = [part.models for part in self.engine.retired]
        masks += [part.clause.mask for part in clauses]
        return sum(1 << number for number, mask in enumerate(masks) if mask & bit)


def subtracted(space: Space, region: Region, removed: Region) -> Region:
    """Return a region without another; the boxes that take whole boxes go first."""
    whole = [box for box in removed if any(one & ~box == 0 for one in region)]
    return space.less(space.less(region, whole), removed)


def clause_regions(
    clauses: Iterable[Clause], requests_of: Callable[[str], Region]
) -> tuple[ClauseRegion, ...]:
    """Return the clauses that concern some model of the catalogue, with their requests.

    Args:
        clauses: Forbids and requires, or permits.
        requests_of: Returns the requests that the clause of an id applies to.
    """
    return tuple(
        ClauseRegion(clause=clause, requests=requests_of(clause.id))
        for clause in clauses
        if clause.mask
    )


def guardrails_of(space: Space, engine: Engine) -> Guardrails:
    """Return the guard of a compiled policy over a space that tells its conditions apart."""
    whens = {rule.id: rule.when for rule in engine.bundle.policy.rules}

    def surely(name: str) -> Region:
        return when_region(space, whens[name], unknown=False)

    def perhaps(name: str) -> Region:
        return when_region(space, whens[name], unknown=True)

    return Guardrails(
        space=space,
        engine=engine,
        forbids=clause_regions(engine.forbids, perhaps),
        gates=tuple(
            (
                (space.only("level", (1 << gate.deny_from) - 1),),
                clause_regions(gate.permits, surely),
            )
            for gate in engine.gates
        ),
    )


def effect_region(space: Space, rule: Rule, engine: Engine) -> Region:
    """Return the requests and conceivable models that a clause of the guard speaks of.

    For a forbid or require: what it removes, whatever is unknown. For a permit: what it
    allows for sure.
    """
    sets = engine.bundle.sets
    if rule.effect == "permit":
        requests = when_region(space, rule.when, unknown=False)
        return space.meet(requests, models_region(space, rule.models, sets, unknown=False))
    requests = when_region(space, rule.when, unknown=True)
    if rule.effect == "forbid":
        return space.meet(requests, models_region(space, rule.models, sets, unknown=True))
    required = models_region(space, rule.models, sets, unknown=False)
    return space.meet(requests, space.less(space.all, required))
