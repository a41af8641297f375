"""Compiles a bundle for one day: every model matcher to a bitmask, every `when` to a closure.

Bit `i` of a mask stands for the model at place `i` of the catalogue. Reasons are built
here, once, so that deciding only collects them.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from modelrouter.decision import Reason, Removal, RuleRef
from modelrouter.engine.clauses import (
    NO_CERTAIN_PERMIT,
    NO_PERMIT,
    Clause,
    Engine,
    FloorClause,
    Memory,
    MeterClause,
    ObligateClause,
    PermitGate,
)
from modelrouter.engine.costs import table_of
from modelrouter.engine.model_matching import ModelFacts, expired, facts_of, match_model, unstated
from modelrouter.engine.request_matching import Index, compile_when
from modelrouter.engine.rolling import compile_rollouts
from modelrouter.engine.truth import TRUE, UNKNOWN
from modelrouter.values import pico_of

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Budget, Floors, Obligate, Rule
    from modelrouter.policy.layering import Layer
    from modelrouter.policy.matchers import ModelMatcher

WARN_AT = Decimal("0.8")
WARNED_DAYS = 30
"""Days before its retirement from which a model that is chosen carries a warning."""

__all__ = ["compile_bundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """The parts that every clause is compiled with."""

    bundle: Bundle
    index: Index
    facts: tuple[ModelFacts, ...]

    def mask(self, matcher: ModelMatcher | None, *, unknown_matches: bool) -> int:
        """Return the models a matcher covers; None covers all."""
        surely, perhaps = self.matching(matcher)
        return surely | perhaps if unknown_matches else surely

    def matching(self, matcher: ModelMatcher | None) -> tuple[int, int]:
        """Return the models that match, and those for which it is unknown."""
        if matcher is None:
            return (1 << len(self.facts)) - 1, 0
        surely = perhaps = 0
        for place, facts in enumerate(self.facts):
            value = match_model(matcher, facts, self.bundle.sets)
            if value == TRUE:
                surely |= 1 << place
            elif value == UNKNOWN:
                perhaps |= 1 << place
        return surely, perhaps

    def guard(self, rule: Rule) -> Clause:
        """Compile a forbid, require or permit."""
        surely, perhaps = self.matching(rule.models)
        mask = surely | perhaps if rule.effect == "forbid" else surely
        if rule.effect == "require":
            mask = (1 << len(self.facts)) - 1 & ~surely
        ref = self.bundle.place("rules", rule.id)
        verb = {"forbid": "forbidden", "require": "not among the required models"}
        said = f": {rule.reason}" if rule.reason else ""
        detail = f"{verb.get(rule.effect, 'permitted')} by `{rule.id}`{said}"
        reason = Reason(stage="guard", rule=ref, detail=detail)
        doubt = replace(reason, detail=f"could be {detail}", unclassified=True)
        caught = self.caught(rule.models, mask & perhaps, mask & ~perhaps)
        return Clause(
            id=rule.id,
            when=compile_when(rule.when, self.index),
            mask=mask,
            known=removals_of(caught, reason),
            unclassified=removals_of(caught, doubt),
        )

    def caught(
        self, matcher: ModelMatcher | None, perhaps: int, surely: int
    ) -> tuple[tuple[int, str], ...]:
        """Return the models of a clause, apart by what is not known of them, with a remark."""
        groups = {"": surely} if surely else {}
        for place, facts in enumerate(self.facts):
            if matcher is not None and perhaps >> place & 1:
                remark = not_known(unstated(matcher, facts, self.bundle.sets))
                groups[remark] = groups.get(remark, 0) | 1 << place
        return tuple((models, remark) for remark, models in groups.items())

    def gates(self, rules: Sequence[Rule], at: datetime.date) -> tuple[PermitGate, ...]:
        """Compile the default deny of every layer that has one; a model must pass each."""
        rank = self.bundle.scheme.rank
        permits = tuple(
            self.guard(rule)
            for rule in rules
            if rule.effect == "permit" and not expired(rule.expires, at)
        )
        if len(self.bundle.layers) <= 1:
            deny_from = self.bundle.policy.defaults.default_deny_from or self.bundle.scheme.highest
            return (PermitGate(deny_from=rank[deny_from], permits=permits),)
        return tuple(
            PermitGate(
                deny_from=rank[layer.deny_from],
                permits=tuple(part for part in permits if part.id in layer.rules),
                missing=reason_of(NO_PERMIT, layer),
                uncertain=reason_of(NO_CERTAIN_PERMIT, layer),
            )
            for layer in self.bundle.layers
            if layer.deny_from is not None
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
            warn_from=math.ceil(Fraction(warn_at) * limit),
            ref=self.bundle.place("budgets", budget.id),
            when=compile_when(budget.when, self.index),
            mask=metered,
            degrade_to=everything & ~metered
            if budget.degrade_to is None
            else self.mask(budget.degrade_to, unknown_matches=False),
        )


def reason_of(reason: Reason, layer: Layer) -> Reason:
    """Return a reason that says whose permit is missing."""
    detail = reason.detail.replace("no permit", f"no permit of layer `{layer.name}`", 1)
    ref = RuleRef(file=layer.file, line=layer.deny_line)
    return replace(reason, rule=ref, detail=detail)


def removals_of(caught: Iterable[tuple[int, str]], reason: Reason) -> tuple[Removal, ...]:
    """Return what a clause removes, with the reason and what is remarked of the models."""
    return tuple(
        Removal(models=models, reason=replace(reason, detail=reason.detail + remark))
        for models, remark in caught
    )


def not_known(names: tuple[str, ...]) -> str:
    """Return the remark that a model is caught because of what is not known of it, or nothing."""
    if not names:
        return ""
    listed = " and ".join(f"`{name}`" for name in names)
    return f" (its {listed} {'is' if len(names) == 1 else 'are'} not known)"


def limit_of(budget: Budget) -> tuple[Literal["usd", "tokens", "calls"], int]:
    """Return the unit and the limit of a budget, money in pico-dollars."""
    if budget.limit_usd is not None:
        return "usd", pico_of(budget.limit_usd)
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
    place = {entry.id: number for number, entry in enumerate(bundle.models)}
    return Engine(
        bundle=bundle,
        at=at,
        scheme=scheme,
        index=index,
        ids=tuple(entry.id for entry in bundle.models),
        by_id=tuple(sorted(range(len(facts)), key=lambda place: bundle.models[place].id)),
        place=place,
        table=table_of(bundle, facts, at),
        everything=(1 << len(facts)) - 1,
        retired=retired(bundle, at),
        forbids=tuple(make.guard(rule) for rule in rules if rule.effect in {"forbid", "require"}),
        gates=make.gates(rules, at),
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
            for rule in sorted(bundle.policy.rules, key=lambda rule: rule.id)
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
        rollouts=compile_rollouts(bundle.policy.objectives, place, index),
        retiring=retiring(bundle, at),
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


def retiring(bundle: Bundle, at: datetime.date) -> dict[int, str]:
    """Return the warnings of models that still serve on the day `at`, but not for long."""
    return {
        place: f"{entry.id}:retires {entry.retires.isoformat()}"
        for place, entry in enumerate(bundle.models)
        if entry.retires is not None and 0 < (entry.retires - at).days <= WARNED_DAYS
    }
