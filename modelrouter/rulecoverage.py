"""Which clauses of a policy its tests exercise: those that shaped a decision of a passed test.

Worked out from the compiled policy and the decision, after the fact: deciding does not pay
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from modelrouter.asking import request_from
from modelrouter.decide import NOTHING_SPENT
from modelrouter.decision import Decision, RuleRef
from modelrouter.engine.clauses import Engine
from modelrouter.engine.guard import permitted
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.subject import read_request
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.layering import Layer
from modelrouter.policytest import Outcome

__all__ = ["Clause", "Coverage", "Effect", "clauses_of", "coverage_of", "effects_of"]

Effect = Literal["applied", "matched only", "metered only", "one candidate only"]
"""What a clause did. All but `applied` are weak: the decision would have been the same."""

APPLIED: Effect = "applied"
Key = tuple[str, str]
DEFAULT_DENY: Key = ("defaults", "default_deny_from")
EARLIER_THAN_FLOORS = frozenset({"guard", "capability", "budget"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause that a test can exercise.

    Attributes:
        section: `rules`, `budgets`, `objectives`, `runtime` or `defaults`.
        noun: What an author calls it.
        place: Its id, file and line.
    """

    section: str
    noun: str
    place: RuleRef

    @property
    def key(self) -> Key:
        """Section and id."""
        return self.section, self.place.id or ""

    def __str__(self) -> str:
        """Return noun and id; a default deny is known by its place."""
        named = "" if self.section == "defaults" else f" `{self.place.id}`"
        return f"{self.noun}{named}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The clauses of a policy, and what they did in passed tests.

    Attributes:
        clauses: Every clause, in the order of the policy file.
        effects: The strongest effect of each covered clause.
    """

    clauses: tuple[Clause, ...]
    effects: Mapping[Key, Effect]

    @property
    def covered(self) -> int:
        """How many clauses some passed test exercised, weakly or not."""
        return sum(part.key in self.effects for part in self.clauses)

    @property
    def uncovered(self) -> tuple[Clause, ...]:
        """The clauses that no passed test exercised."""
        return tuple(part for part in self.clauses if part.key not in self.effects)

    @property
    def weak(self) -> tuple[tuple[Clause, Effect], ...]:
        """The clauses that were looked at and changed nothing in any passed test."""
        found: list[tuple[Clause, Effect]] = []
        for part in self.clauses:
            effect = self.effects.get(part.key)
            if effect is not None and effect != APPLIED:
                found.append((part, effect))
        return tuple(found)

    @property
    def percent(self) -> Fraction:
        """The covered share of the clauses, 0 to 100, exactly."""
        return Fraction(100 * self.covered, len(self.clauses)) if self.clauses else Fraction(100)


def clauses_of(bundle: Bundle) -> tuple[Clause, ...]:
    """Return every clause of a policy, in the order of its sections.

    Of a policy below others only its own count: the layers above have tests of their own.
    """
    policy = bundle.policy
    named: list[tuple[str, str, str]] = [("rules", part.effect, part.id) for part in policy.rules]
    named += [("budgets", "budget", part.id) for part in policy.budgets]
    named += [("objectives", "objective", part.id) for part in policy.objectives]
    named += [("runtime", "runtime", part.id) for part in policy.runtime]
    clauses = [
        Clause(section=section, noun=noun, place=bundle.place(section, name))
        for section, noun, name in named
    ]
    clauses += [default_deny(bundle, layer) for layer in denying_layers(bundle)]
    return tuple(part for part in clauses if bundle.owns(part.place))


def denying_layers(bundle: Bundle) -> tuple[Layer | None, ...]:
    """Return the layers with a default deny, in the order of the gates; None for a single one."""
    if len(bundle.layers) <= 1:
        return (None,)
    return tuple(layer for layer in bundle.layers if layer.deny_from is not None)


def default_deny(bundle: Bundle, layer: Layer | None) -> Clause:
    """Return the default deny of a layer, or of a policy without layers."""
    if layer is None:
        return Clause(section="defaults", noun="default deny", place=bundle.place(*DEFAULT_DENY))
    place = RuleRef(id=layer.file, file=layer.file, line=layer.deny_line)
    return Clause(section="defaults", noun="default deny", place=place)


def coverage_of(bundle: Bundle, outcomes: Iterable[Outcome]) -> Coverage:
    """Return what the passed tests among `outcomes` exercise."""
    effects: dict[Key, Effect] = {}
    for outcome in outcomes:
        if outcome.passed:
            for key, effect in effects_of(outcome):
                if effects.get(key) != "applied":
                    effects[key] = effect
    return Coverage(clauses=clauses_of(bundle), effects=effects)


def effects_of(outcome: Outcome) -> Iterator[tuple[Key, Effect]]:
    """Yield the clauses that had an effect on a test's decision; a clause may come twice."""
    decision, engine = outcome.decision, outcome.engine
    if decision is None or (decision.deny_stage or "").startswith("missing_fact:"):
        return  # nothing else was looked at
    request = request_from(outcome.trial.asked, engine)
    subject = read_request(request, engine, NOTHING_SPENT).subject
    for name in decision.advisory:
        yield ("rules", name), APPLIED
    yield from guard_effects(decision, subject, engine)
    yield from floor_effects(decision, subject, engine)
    yield from candidate_effects(decision, subject, engine)
    yield from budget_effects(decision)


def guard_effects(
    decision: Decision, subject: Subject, engine: Engine
) -> Iterator[tuple[Key, Effect]]:
    """Yield forbids and requires that removed a model, permits where one was needed."""
    chats = engine.everything & ~engine.table.not_chat
    for part in decision.removals:
        name = part.reason.rule.id
        if part.reason.stage == "guard" and name is not None and part.models & chats:
            yield ("rules", name), "applied"
    for gate, layer in zip(engine.gates, denying_layers(engine.bundle), strict=True):
        if subject.level < gate.deny_from:
            continue
        applied, allowed, _ = permitted(subject, gate)
        masks = {clause.id: clause.mask for clause in gate.permits}
        for name in applied:
            if masks[name] & chats:
                yield ("rules", name), APPLIED
        if chats & ~allowed:
            yield default_deny(engine.bundle, layer).key, APPLIED


def floor_effects(
    decision: Decision, subject: Subject, engine: Engine
) -> Iterator[tuple[Key, Effect]]:
    """Yield floors that removed a model which had come that far, and those that only matched."""
    gone = engine.table.not_chat
    for part in decision.removals:
        if part.reason.stage in EARLIER_THAN_FLOORS:
            gone |= part.models
    for part in decision.removals:
        name = part.reason.rule.id
        if part.reason.stage == "floor" and name is not None and part.models & ~gone:
            yield ("rules", name), "applied"
    for clause in engine.floors:
        if clause.when is None or clause.when(subject):
            yield ("rules", clause.id), "matched only"


def candidate_effects(
    decision: Decision, subject: Subject, engine: Engine
) -> Iterator[tuple[Key, Effect]]:
    """Yield what speaks of candidates alone: obligations, meters, the order, the runtime."""
    left = sum(1 << engine.place[part.model] for part in decision.candidates)
    if not left:
        return
    for obligation in engine.obligates:
        matches = obligation.when is None or obligation.when(subject)
        if matches and obligation.mask & left:
            yield ("rules", obligation.id), "applied"
    for meter in engine.meters:
        if meter.mask & left and (meter.when is None or meter.when(subject)):
            yield ("budgets", meter.budget.id), "metered only"
    if decision.objective is not None:
        several = len(decision.candidates) > 1
        yield ("objectives", decision.objective), "applied" if several else "one candidate only"
    if decision.runtime is not None:
        yield ("runtime", engine.runtimes[decision.runtime][0].id), "applied"


def budget_effects(decision: Decision) -> Iterator[tuple[Key, Effect]]:
    """Yield budgets that removed, degraded or warned."""
    for part in decision.removals:
        name = part.reason.rule.id
        if part.reason.stage == "budget" and name is not None:
            yield ("budgets", name), "applied"
    for warning in decision.warnings:  # `month:100%`, `month:degraded`; models and floors warn too
        name, _, told = warning.rpartition(":")
        if told == "degraded" or told.endswith("%"):
            yield ("budgets", name), "applied"
