"""The guard: what is forbidden. Its clauses are a set; their order means nothing."""

from __future__ import annotations

from dataclasses import dataclass

from modelrouter.engine.compiled import Engine
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.truth import TRUE
from modelrouter.decision import Reason, Removal, RuleRef

__all__ = ["Guarded", "guard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What the guard leaves.

    Attributes:
        eligible: Models no clause removed.
        removals: Every clause that removed something.
        permits: Ids of the permits that applied.
        definite: Models that some clause removed whatever is unknown.
    """

    eligible: int
    removals: tuple[Removal, ...]
    permits: tuple[str, ...]
    definite: int


def guard(subject: Subject, engine: Engine) -> Guarded:
    """Return the models that forbids, requires and permits leave.

    A `when` that is unknown counts as a match in a forbid or require and as no match in a
    permit, so ignorance never widens.
    """
    removals = [*engine.retired]
    definite = 0
    for part in engine.retired:
        definite |= part.models
    doubtful = 0
    for clause in engine.forbids:
        found = TRUE if clause.when is None else clause.when(subject)
        if found and clause.mask:
            if found == TRUE:
                removals.append(clause.known)
                definite |= clause.mask
            else:
                removals.append(clause.unclassified)
                doubtful |= clause.mask
    permits: list[str] = []
    if subject.level >= engine.deny_from:
        allowed = perhaps = 0
        for clause in engine.permits:
            found = TRUE if clause.when is None else clause.when(subject)
            if found == TRUE:
                allowed |= clause.mask
                permits.append(clause.id)
            elif found:
                perhaps |= clause.mask
        missing = engine.everything & ~allowed
        unsure, sure = missing & perhaps, missing & ~perhaps
        if sure:
            removals.append(Removal(models=sure, reason=NO_PERMIT))
        if unsure:
            removals.append(Removal(models=unsure, reason=NO_CERTAIN_PERMIT))
        definite |= sure
        doubtful |= unsure
    return Guarded(
        eligible=engine.everything & ~definite & ~doubtful,
        removals=tuple(removals),
        permits=tuple(permits),
        definite=definite,
    )


NO_PERMIT = Reason(stage="guard", rule=RuleRef(), detail="no permit covers it at this level")
NO_CERTAIN_PERMIT = Reason(
    stage="guard",
    rule=RuleRef(),
    detail="no permit is sure to cover it while part of the call is unclassified",
    unclassified=True,
)
