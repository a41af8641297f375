"""Runs the unit tests of a policy: pure decisions, compared with what each test expects."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from modelrouter.asking import day_of, merged, request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.decision import Decision, RuleRef
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.errors import CallError
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.suite import AskedRequest, Expected, Given, TestCase

__all__ = [
    "Outcome",
    "Trial",
    "differences",
    "engines_of",
    "printable",
    "run_tests",
    "run_trial",
    "trials_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One test with everything it speaks of.

    Attributes:
        file: Name of the test file.
        case: The test as it is written.
        asked: Its request; a named one is looked up.
        given: The state of the world, of the test and of its request.
        place: Where the test stands.
    """

    file: str
    case: TestCase
    asked: AskedRequest
    given: Given
    place: RuleRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one test.

    Attributes:
        trial: The test.
        engine: The policy it was decided by.
        failures: What differs from what was expected; empty when the test passed.
        decision: What was decided, or None where the request itself was wrong.
        seconds: How long it took.
    """

    trial: Trial
    engine: Engine
    failures: tuple[str, ...]
    decision: Decision | None
    seconds: float

    @property
    def file(self) -> str:
        """The test file."""
        return self.trial.file

    @property
    def name(self) -> str:
        """The test's name."""
        return self.trial.case.name

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures

    @property
    def summary(self) -> str:
        """What was decided, in a few words."""
        decision = self.decision
        if decision is None:
            return "nothing was decided"
        if decision.allowed:
            return f"decided: {decision.model}"
        clauses = f" by {', '.join(decision.rules)}" if decision.rules else ""
        return f"decided: deny at {decision.deny_stage}{clauses}"


def trials_of(bundle: Bundle) -> Iterator[Trial]:
    """Yield every test of `bundle`, in the order of its files."""
    for file, suite in bundle.tests.items():
        for case in suite.tests:
            named = case.request.named
            asked = case.request if named is None else suite.requests[named]
            yield Trial(
                file=file,
                case=case,
                asked=asked,
                given=merged(asked.given, case.given),
                place=bundle.place(file, case.name),
            )


def engines_of(bundle: Bundle, *, today: datetime.date) -> Callable[[Trial], Engine]:
    """Return what gives the policy compiled for a test's day; each day is compiled once."""
    engines: dict[datetime.date, Engine] = {}

    def engine_for(trial: Trial) -> Engine:
        day = day_of(trial.given, today)
        if day not in engines:
            engines[day] = compile_bundle(bundle, day)
        return engines[day]

    return engine_for


def run_tests(bundle: Bundle, *, today: datetime.date, containing: str = "") -> Iterator[Outcome]:
    """Yield the outcome of every test of `bundle`, in the order of its files.

    Args:
        bundle: The policy and its tests.
        today: The day of tests that state none.
        containing: Run only tests with this text in their name, in whatever case.
    """
    engine_for = engines_of(bundle, today=today)
    wanted = containing.casefold()
    for trial in trials_of(bundle):
        if wanted in trial.case.name.casefold():
            yield run_trial(trial, engine_for(trial))


def run_trial(trial: Trial, engine: Engine) -> Outcome:
    """Return the outcome of one test."""
    begun = time.perf_counter()
    decision: Decision | None = None
    try:
        decision = decide(request_from(trial.asked, engine), snapshot_from(trial.given, engine))
        failures = tuple(differences(trial.case.expect, decision, engine))
    except CallError as error:
        failures = (str(error),)
    return Outcome(
        trial=trial,
        engine=engine,
        failures=failures,
        decision=decision,
        seconds=time.perf_counter() - begun,
    )


def differences(expected: Expected, decision: Decision, engine: Engine) -> Iterator[str]:
    """Yield every way in which a decision is not what a test expects."""
    yield from exact_differences(expected, decision)
    order = tuple(part.model for part in decision.candidates)
    for name, wanted_names, found_names in (
        ("rules", expected.rules, decision.rules),
        ("warnings", expected.warnings, decision.warnings),
    ):
        lacking = [part for part in wanted_names or () if part not in found_names]
        if lacking:
            yield f"{name}: expected {listed(lacking)} among {listed(found_names)}"
    yield from obligation_differences(expected, decision)
    for model in expected.never or ():
        if model in order:
            yield f"never: {model} is a candidate"
    if expected.only_hosting is not None:
        hosting = {entry.id: entry.hosting for entry in engine.bundle.models}
        for model in order:
            if hosting[model] not in expected.only_hosting:
                yield f"only_hosting: {model} is {hosting[model]}"


def exact_differences(expected: Expected, decision: Decision) -> Iterator[str]:
    """Yield what differs of that which a test states exactly."""
    exact: tuple[tuple[str, object, object], ...] = (
        ("decision", expected.decision, decision.outcome),
        ("model", expected.model, decision.model),
        ("deny_stage", expected.deny_stage, decision.deny_stage),
    )
    for name, wanted, found in exact:
        if wanted is not None and wanted != found:
            yield f"{name}: expected {wanted}, got {shown(found)}"
    order = tuple(part.model for part in decision.candidates)
    if expected.models_in_order is not None and expected.models_in_order != order:
        yield f"models_in_order: expected {listed(expected.models_in_order)}, got {listed(order)}"


def obligation_differences(expected: Expected, decision: Decision) -> Iterator[str]:
    """Yield the obligations of the first candidate that a test misses."""
    asked = expected.obligations
    if asked is None:
        return
    if not decision.candidates:
        yield "obligations: expected some, but no model is a candidate"
        return
    found = decision.candidates[0].obligations
    scalars = (
        ("trace", asked.trace, found.trace),
        ("cache", asked.cache, found.cache),
        ("log", asked.log, found.log),
    )
    for name, wanted, got in scalars:
        if wanted is not None and wanted != got:
            yield f"obligations.{name}: expected {wanted}, got {shown(got)}"
    for name, wanted_names, found_names in (
        ("redact", asked.redact, found.redact),
        ("approval", asked.approval, found.approval),
    ):
        lacking = [part for part in wanted_names or () if part not in found_names]
        if lacking:
            yield f"obligations.{name}: expected {listed(lacking)} among {listed(found_names)}"


def shown(value: object) -> str:
    """Return a value as people read it."""
    return "nothing" if value is None else str(value)


def listed(names: Iterable[str]) -> str:
    """Return names in brackets."""
    return f"[{', '.join(names)}]"


def printable(name: str) -> str:
    """Return a name on one line that no terminal obeys: what does not print is escaped."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)
