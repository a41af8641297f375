"""Obligations: what must be done if a candidate is used; the strictest value wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

from modelrouter.decision import NO_OBLIGATIONS, Obligations, Reason, Removal, RuleRef
from modelrouter.engine.clauses import MEMORY_ENTRIES, Engine, Memory, ObligateClause
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.spending import places
from modelrouter.labels import Label

if TYPE_CHECKING:
    from modelrouter.policy.document import Obligate

__all__ = ["combine", "matching_obligations", "unfulfilled"]

WordT = TypeVar("WordT", bound=str)
TRACE: tuple[Literal["none", "hash", "redacted", "content"], ...] = (
    "none",
    "hash",
    "redacted",
    "content",
)
CACHE: tuple[Literal["none", "exact"], ...] = ("none", "exact")
LOG: tuple[Literal["decision+hash", "decision", "none"], ...] = (
    "decision+hash",
    "decision",
    "none",
)
"""The words of each obligation, strictest first."""


def matching_obligations(subject: Subject, engine: Engine) -> list[ObligateClause]:
    """Return the obligations whose `when` holds; unknown counts as holding."""
    return [clause for clause in engine.obligates if clause.when is None or clause.when(subject)]


def combine(clauses: Sequence[ObligateClause], place: int, memory: Memory) -> Obligations:
    """Return what all clauses together ask of the model at `place`."""
    bit, together = 1 << place, 0
    for clause in clauses:
        if clause.mask & bit:
            together |= clause.bit
    if not together:
        return NO_OBLIGATIONS
    found = memory.obligations.get(together)
    if found is None:
        found = combined([clause.do for clause in clauses if clause.mask & bit])
        if len(memory.obligations) < MEMORY_ENTRIES:
            memory.obligations[together] = found
    return found


def combined(asked: Sequence[Obligate]) -> Obligations:
    """Return the strictest of each obligation."""
    return Obligations(
        trace=strictest([part.trace for part in asked], TRACE),
        cache=strictest([part.cache for part in asked], CACHE),
        log=strictest([part.log for part in asked], LOG),
        redact=tuple(sorted({name for part in asked for name in part.redact})),
        approval=tuple(sorted({name for part in asked for name in part.approval})),
    )


def strictest(words: Sequence[WordT | None], order: Sequence[WordT]) -> WordT | None:
    """Return the strictest of the words given, or None if none is."""
    return next((word for word in order if word in words), None)


def unfulfilled(
    standing: int,
    clauses: Sequence[ObligateClause],
    label: Label,
    unfulfillable: frozenset[str],
    memory: Memory,
) -> list[Removal]:
    """Return the models whose obligations nobody here can carry out."""
    if not unfulfillable or not clauses:
        return []
    carried = label.categories | label.unknown
    found: list[Removal] = []
    for place in places(standing):
        asked = combine(clauses, place, memory)
        if asked.approval and "approval" in unfulfillable:
            roles = ", ".join(asked.approval)
            found.append(refused(place, f"approval by {roles} is asked for and nobody can give it"))
        if "redact" in unfulfillable and not carried.isdisjoint(asked.redact):
            names = ", ".join(sorted(carried & {*asked.redact}))
            found.append(refused(place, f"{names} must be redacted and nothing here can do it"))
    return found


def refused(place: int, detail: str) -> Removal:
    """Return the removal of one model at the obligation stage."""
    return Removal(
        models=1 << place, reason=Reason(stage="obligation", rule=RuleRef(), detail=detail)
    )
