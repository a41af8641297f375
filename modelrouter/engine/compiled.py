"""Compiles a bundle for one day: every model matcher to a bitmask, every `when` to a closure.

Bit `i` of a mask stands for the model at place `i` of the catalogue. Reasons are built
here, once, so that deciding only collects them.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from modelrouter.decision import Obligations, Reason, Removal, RuleRef
from modelrouter.engine.costs import ModelTable, table_of
from modelrouter.engine.model_matching import ModelFacts, expired, facts_of, match_model
from modelrouter.engine.request_matching import Condition, Index, compile_when
from modelrouter.engine.truth import FALSE, TRUE
from modelrouter.labels import Label, LabelScheme
from modelrouter.values import PICO_PER_USD

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Budget, Floors, Objective, Obligate, Rule, Runtime
    from modelrouter.policy.matchers import ModelMatcher

WARN_AT = Decimal("0.8")

__all__ = [
    "MEMORY_ENTRIES",
    "Clause",
    "Closed",
    "Engine",
    "FloorClause",
    "MeterClause",
    "ObligateClause",
    "compile_bundle",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A forbid, require or permit.

    Attributes:
        when: When it applies, or None for always.
        mask: The models it removes (forbid, require) or allows (permit).
        known: What happens when `when` is true.
        unclassified: What happens when `when` is unknown.
    """

    id: str
    when: Condition | None
    mask: int
    known: Removal
    unclassified: Removal


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
    warn_from: Decimal
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
        retired: What retirement removes.
        forbids: Forbids and requires, by id.
        permits: Permits in force, by id.
        deny_from: Place of the lowest level at which only a permit makes a model eligible.
        reads_budgets: Whether an objective or advisory rule reads how much is spent.
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
    permits: tuple[Clause, ...]
    deny_from: int
    floors: tuple[FloorClause, ...]
    meters: tuple[MeterClause, ...]
    obligates: tuple[ObligateClause, ...]
    objectives: tuple[tuple[Objective, Condition | None], ...]
    runtimes: tuple[tuple[Runtime, Condition | None], ...]
    advisory: tuple[tuple[str, Condition | None], ...]
    reads_budgets: bool
    category_bits: Mapping[str, int] = field(repr=False)
    memory: Memory = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """The parts that every clause is compiled with."""

    bundle: Bundle
    index: Index
    facts: tuple[ModelFacts, ...]

    def mask(self, matcher: ModelMatcher | None, *, unknown_matches: bool) -> int:
        """Return the models a matcher covers; None covers all."""
        if matcher is None:
            return (1 << len(self.facts)) - 1
        found = 0
        for place, facts in enumerate(self.facts):
            value = match_model(matcher, facts, self.bundle.sets)
            if value == TRUE or (unknown_matches and value != FALSE):
                found |= 1 << place
        return found

    def guard(self, rule: Rule) -> Clause:
        """Compile a forbid, require or permit."""
        everything = (1 << len(self.facts)) - 1
        mask = self.mask(rule.models, unknown_matches=rule.effect == "forbid")
        if rule.effect == "require":
            mask = everything & ~mask
        ref = self.bundle.place("rules", rule.id)
        verb = {"forbid": "forbidden", "require": "not among the required models"}
        said = f": {rule.reason}" if rule.reason else ""
        detail = f"{verb.get(rule.effect, 'permitted')} by `{rule.id}`{said}"
        return Clause(
            id=rule.id,
            when=compile_when(rule.when, self.index),
            mask=mask,
            known=Removal(models=mask, reason=Reason(stage="guard", rule=ref, detail=detail)),
            unclassified=Removal(
                models=mask,
                reason=Reason(
                    stage="guard",
                    rule=ref,
                    detail=f"could be {detail}",
                    unclassified=True,
                ),
            ),
        )

    def floor(self, rule: Rule, bounds: Floors) -> FloorClause:
        """Compile a floor."""
        return FloorClause(
            id=rule.id,
            ref=self.bundle.place("rules", rule.id),
            when=compile_when(rule.when, self.index),
            mask=self.mask(rule.models, unknown_matches=True),
            bounds=bounds,
            soft=rule.strength == "soft",
        )

    def obligate(self, rule: Rule, do: Obligate, place: int) -> ObligateClause:
        """Compile an obligation."""
        return ObligateClause(
            id=rule.id,
            bit=1 << place,
            when=compile_when(rule.when, self.index),
            mask=self.mask(rule.models, unknown_matches=True),
            do=do,
        )

    def meter(self, budget: Budget) -> MeterClause:
        """Compile a budget."""
        everything = (1 << len(self.facts)) - 1
        metered = self.mask(budget.models, unknown_matches=True)
        unit, limit = limit_of(budget)
        warn_at = WARN_AT if budget.warn_at is None else budget.warn_at
        return MeterClause(
            budget=budget,
            unit=unit,
            limit=limit,
            warn_from=warn_at * limit,
            ref=self.bundle.place("budgets", budget.id),
            when=compile_when(budget.when, self.index),
            mask=metered,
            degrade_to=everything & ~metered
            if budget.degrade_to is None
            else self.mask(budget.degrade_to, unknown_matches=False),
        )


def limit_of(budget: Budget) -> tuple[Literal["usd", "tokens", "calls"], int]:
    """Return the unit and the limit of a budget, money in pico-dollars."""
    if budget.limit_usd is not None:
        return "usd", int(budget.limit_usd * PICO_PER_USD)
    if budget.limit_tokens is not None:
        return "tokens", budget.limit_tokens
    return "calls", budget.limit_calls or 0


def compile_bundle(bundle: Bundle, at: datetime.date) -> Engine:
    """Compile `bundle` for the day `at`."""
    scheme = bundle.scheme
    categories = tuple(sorted(scheme.categories))
    index = Index(
        levels=scheme.rank,
        categories={name: place for place, name in enumerate(categories)},
        facts={name: place for place, name in enumerate(bundle.policy.facts)},
    )
    facts = tuple(facts_of(entry, at) for entry in bundle.models)
    make = Compiler(bundle=bundle, index=index, facts=facts)
    # Sorted by id: the order of the file must not show in any decision.
    rules = sorted(
        (rule for rule in bundle.policy.rules if rule.strength != "advisory"),
        key=lambda rule: rule.id,
    )
    deny_from = bundle.policy.defaults.default_deny_from or scheme.highest
    return Engine(
        bundle=bundle,
        at=at,
        scheme=scheme,
        index=index,
        ids=tuple(entry.id for entry in bundle.models),
        by_id=tuple(sorted(range(len(facts)), key=lambda place: bundle.models[place].id)),
        place={entry.id: place for place, entry in enumerate(bundle.models)},
        table=table_of(bundle, facts, at),
        everything=(1 << len(facts)) - 1,
        retired=retired(bundle, at),
        forbids=tuple(make.guard(rule) for rule in rules if rule.effect in {"forbid", "require"}),
        permits=tuple(
            make.guard(rule)
            for rule in rules
            if rule.effect == "permit" and not expired(rule.expires, at)
        ),
        deny_from=scheme.rank[deny_from],
        floors=tuple(make.floor(rule, rule.set) for rule in rules if rule.set is not None),
        meters=tuple(make.meter(budget) for budget in bundle.policy.budgets),
        obligates=tuple(
            make.obligate(rule, rule.do, place)
            for place, rule in enumerate(rules)
            if rule.do is not None
        ),
        objectives=tuple(
            (part, compile_when(part.when, index)) for part in bundle.policy.objectives
        ),
        runtimes=tuple((part, compile_when(part.when, index)) for part in bundle.policy.runtime),
        advisory=tuple(
            (rule.id, compile_when(rule.when, index))
            for rule in bundle.policy.rules
            if rule.strength == "advisory"
        ),
        category_bits={name: 1 << place for name, place in index.categories.items()},
        reads_budgets=any(
            when is not None and when.budget is not None
            for when in (
                *(part.when for part in bundle.policy.objectives),
                *(part.when for part in bundle.policy.rules),
            )
        ),
        memory=Memory(),
    )


def retired(bundle: Bundle, at: datetime.date) -> tuple[Removal, ...]:
    """Return what the retirement of models removes."""
    return tuple(
        Removal(
            models=1 << place,
            reason=Reason(
                stage="guard",
                rule=RuleRef(),
                detail=f"retired on {entry.retires.isoformat()}",
            ),
        )
        for place, entry in enumerate(bundle.models)
        if entry.retires is not None and entry.retires <= at
    )
