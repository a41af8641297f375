"""The guard: what is forbidden. Its clauses are a set; their order means nothing."""

from __future__ import annotations

from dataclasses import dataclass

from modelrouter.decision import Reason, Removal, RuleRef
from modelrouter.engine.clauses import Engine, PermitGate
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.truth import TRUE

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


def guard(subject: Subject, engine: Engine, closed_from: int | None = None) -> Guarded:
    """Return the models that forbids, requires and permits leave.

    A `when` that is unknown counts as a match in a forbid or require and as no match in a
    permit, so ignorance never widens.

    Args:
        subject: What closures read.
        engine: The policy.
        closed_from: Place of the lowest level that is closed to every model, or None.
    """
    removals = [*engine.retired]
    if closed_from is not None and subject.level >= closed_from:
        removals.append(closed(engine, closed_from))
    definite = doubtful = 0
    for part in removals:
        definite |= part.models
    for clause in engine.forbids:
        found = TRUE if clause.when is None else clause.when(subject)
        if found and clause.mask:
            if found == TRUE:
                removals += clause.known
                definite |= clause.mask
            else:
                removals += clause.unclassified
                doubtful |= clause.mask
    permits: tuple[str, ...] = ()
    for gate in engine.gates:
        if subject.level < gate.deny_from:
            continue
        applied, allowed, perhaps = permitted(subject, gate)
        permits += applied
        missing = engine.everything & ~allowed
        unsure, sure = missing & perhaps, missing & ~perhaps
        reasons = ((sure, gate.missing), (unsure, gate.uncertain))
        removals += [Removal(models=mask, reason=reason) for mask, reason in reasons if mask]
        definite |= sure
        doubtful |= unsure
    return Guarded(
        eligible=engine.everything & ~definite & ~doubtful,
        removals=tuple(removals),
        permits=permits,
        definite=definite,
    )


def permitted(subject: Subject, gate: PermitGate) -> tuple[tuple[str, ...], int, int]:
    """Return the permits that apply, the models they allow, and those they might allow."""
    applied: list[str] = []
    allowed = perhaps = 0
    for clause in gate.permits:
        found = TRUE if clause.when is None else clause.when(subject)
        if found == TRUE:
            allowed |= clause.mask
            applied.append(clause.id)
        elif found:
            perhaps |= clause.mask
    return tuple(applied), allowed, perhaps


def closed(engine: Engine, closed_from: int) -> Removal:
    """Return what a policy that may be out of date removes: every model."""
    detail = (
        f"calls from level `{engine.scheme.levels[closed_from]}` up are closed while the policy "
        "is stale: its files could not be verified for too long"
    )
    reason = Reason(stage="guard", rule=RuleRef(), detail=detail)
    return Removal(models=engine.everything, reason=reason)
