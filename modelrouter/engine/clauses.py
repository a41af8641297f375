"""A compiled policy as values: its clauses, and the engine that holds them.

Bit `i` of a mask stands for the model at place `i` of the catalogue.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from modelrouter.decision import Obligations, Reason, Removal, RuleRef
from modelrouter.engine.costs import ModelTable
from modelrouter.engine.request_matching import Condition, Index
from modelrouter.labels import Label, LabelScheme
from modelrouter.rollouts import RolloutClause

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Budget, Floors, Objective, Obligate, Runtime

__all__ = [
    "MEMORY_ENTRIES",
    "NO_CERTAIN_PERMIT",
    "NO_PERMIT",
    "Clause",
    "Closed",
    "Engine",
    "FloorClause",
    "Memory",
    "MeterClause",
    "ObligateClause",
    "PermitGate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A forbid, require or permit.

    Attributes:
        when: When it applies, or None for always.
        mask: The models it removes (forbid, require) or allows (permit).
        known: What happens when `when` is true; apart for models that it catches because they
            do not state what it reads.
        unclassified: What happens when `when` is unknown.
    """

    id: str
    when: Condition | None
    mask: int
    known: tuple[Removal, ...]
    unclassified: tuple[Removal, ...]


NO_PERMIT = Reason(stage="guard", rule=RuleRef(), detail="no permit covers it at this level")
NO_CERTAIN_PERMIT = Reason(
    stage="guard",
    rule=RuleRef(),
    detail="no permit is sure to cover it while part of the call is unclassified",
    unclassified=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitGate:
    """Default deny of one policy: at or above a level, only its permits make a model eligible.

    A model passes every gate of the engine: where policies are layered, each layer has its own.

    Attributes:
        deny_from: Place of the lowest level at which the gate closes.
        permits: Permits in force, by id.
        missing: Why a model that no permit covers is out.
        uncertain: Why a model is out that a permit might cover.
    """

    deny_from: int
    permits: tuple[Clause, ...]
    missing: Reason = NO_PERMIT
    uncertain: Reason = NO_CERTAIN_PERMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorClause:
    """A floor and the models it binds."""

    id: str
    ref: RuleRef
    when: Condition | None
    mask: int
    bounds: Floors
    soft: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterClause:
    """A budget: the models it meters, and those that stay once it degrades.

    Attributes:
        unit: `usd` (counted in pico-dollars), `tokens` or `calls`.
        limit: The limit in that unit.
        warn_from: What must be spent for a warning, in that unit.
    """

    budget: Budget
    unit: Literal["usd", "tokens", "calls"]
    limit: int
    warn_from: int
    ref: RuleRef
    when: Condition | None
    mask: int
    degrade_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObligateClause:
    """An obligation and the models it comes with.

    Attributes:
        bit: Stands for this clause in a set of clauses.
    """

    id: str
    bit: int
    when: Condition | None
    mask: int
    do: Obligate


class Memory:
    """Results of pure functions, so that a value met again is not computed again.

    It never changes an answer. Threads may fill it at once: an entry is written whole, and
    two writers write the same.
    """

    __slots__ = ("labels", "obligations")

    def __init__(self) -> None:
        self.labels: dict[tuple[Label | None, tuple[Label, ...], str], Closed] = {}
        self.obligations: dict[int, Obligations] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A closed label, and the same as place and bits."""

    label: Label
    level: int
    known: int
    unknown: int


MEMORY_ENTRIES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A policy ready to decide, for one day.

    Attributes:
        bundle: What it was compiled from.
        at: The day for which facts and permits were judged.
        index: Places of names.
        table: Figures of the models, in catalogue order.
        everything: The mask of all models.
        retired: What is removed for every request: retired models, and in a router every model
            on a day for which an invariant is not proved.
        forbids: Forbids and requires, by id.
        gates: Where only a permit makes a model eligible.
        reads_budgets: Whether an objective or advisory rule reads how much is spent.
        rollouts: Rollouts by the id of their objective.
        retiring: The warning that a model retires soon, by its place.
    """

    bundle: Bundle
    at: datetime.date
    scheme: LabelScheme
    index: Index
    ids: tuple[str, ...]
    by_id: tuple[int, ...]
    place: Mapping[str, int]
    table: ModelTable
    everything: int
    retired: tuple[Removal, ...]
    forbids: tuple[Clause, ...]
    gates: tuple[PermitGate, ...]
    floors: tuple[FloorClause, ...]
    meters: tuple[MeterClause, ...]
    obligates: tuple[ObligateClause, ...]
    objectives: tuple[tuple[Objective, Condition | None], ...]
    runtimes: tuple[tuple[Runtime, Condition | None], ...]
    advisory: tuple[tuple[str, Condition | None], ...]
    reads_budgets: bool
    rollouts: Mapping[str, RolloutClause]
    retiring: Mapping[int, str]
    category_bits: Mapping[str, int] = field(repr=False)
    memory: Memory = field(repr=False, compare=False)
