"""What came of a policy's tests: for people, as JSON, and for CI."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from modelrouter.cli.check import as_json
from modelrouter.cli.common import FINDINGS, FINE, USAGE, counts, note, out, out_json
from modelrouter.cli.junit import Case, Suite
from modelrouter.cli.scorereport import score_json, show_score, survivor_line
from modelrouter.errors import Problem
from modelrouter.mutation.judging import Score
from modelrouter.policytest import Outcome, printable
from modelrouter.rulecoverage import Clause, Coverage

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.values import Json

__all__ = ["Report", "Wanted", "as_suites", "show", "show_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asks for beyond passed tests.

    Attributes:
        coverage: The least percentage of clauses covered, or None.
        score: The least percentage of mutants noticed, or None.
    """

    coverage: Decimal | None = None
    score: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of one policy's tests.

    Attributes:
        path: The policy as the user gave it.
        bundle: The policy, or None if it does not load.
        problems: Why it does not load.
        outcomes: Its tests.
        coverage: What they cover.
        score: How many mutants are noticed; None if nobody asked.
        filtered: Whether the user asked for some of the tests alone.
        at: The day that the user asked about; None for today.
    """

    path: str
    bundle: Bundle | None = None
    problems: tuple[Problem, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    coverage: Coverage | None = None
    score: Score | None = None
    filtered: bool = False
    at: datetime.date | None = None

    @property
    def failed(self) -> int:
        """How many tests failed."""
        return sum(not part.passed for part in self.outcomes)

    @property
    def seconds(self) -> float:
        """How long the tests took."""
        return sum(part.seconds for part in self.outcomes)

    def short(self, wanted: Wanted) -> str | None:
        """Return how coverage falls short of what is wanted, or None."""
        found = None if self.coverage is None else self.coverage.percent
        return below("coverage", found, wanted.coverage)

    def weak(self, wanted: Wanted) -> str | None:
        """Return how the mutation score falls short of what is wanted, or None."""
        found = None if self.score is None else self.score.percent
        return below("the mutation score", found, wanted.score)

    def code(self, wanted: Wanted) -> int:
        """Return the exit code for this policy."""
        if self.bundle is None:
            return USAGE
        lacking = not self.outcomes and not self.filtered
        falls_short = self.short(wanted) or self.weak(wanted)
        return FINDINGS if self.failed or lacking or falls_short else FINE


def below(noun: str, found: Fraction | None, wanted: Decimal | None) -> str | None:
    """Return that a percentage is below what is wanted, compared exactly, or None."""
    if found is None or wanted is None or found >= Fraction(wanted):
        return None
    return f"{noun} is below {wanted} %"


def show(report: Report, wanted: Wanted, *, quiet: bool) -> None:
    """Print each test, what differs, how many passed, and what they cover."""
    if report.bundle is None:
        for problem in report.problems:
            note(str(problem))
        note(f"{report.path}: the policy does not load: {counts(report.problems)}")
        return
    show_tests(report.outcomes, quiet=quiet)
    if not report.outcomes:
        out(f"{report.path}: {'no such tests' if report.filtered else 'no tests'}")
        if not report.filtered:
            note("    hint: put them into a file `policy_test.yaml` beside the policy")
            return
    else:
        passed = len(report.outcomes) - report.failed
        out(f"{report.path}: {passed} passed, {report.failed} failed ({report.seconds:.3f} s)")
    if report.coverage is not None and not report.filtered:
        show_coverage(report.coverage, report.short(wanted), quiet=quiet)
    if report.score is not None:
        show_score(report.path, report.score, report.weak(wanted), quiet=quiet, at=report.at)


def show_tests(outcomes: tuple[Outcome, ...], *, quiet: bool) -> None:
    """Print each test, and what differs."""
    for part in outcomes:
        if part.passed and quiet:
            continue
        out(f"{'passed' if part.passed else 'FAILED'}  {printable(part.name)}")
        for text in () if part.passed else failure_lines(part):
            out(f"    {text}")


def failure_lines(outcome: Outcome) -> Iterator[str]:
    """Yield where a failed test stands, what was decided, and every difference."""
    place = outcome.trial.place
    where = outcome.file if place.line is None else f"{outcome.file}:{place.line}"
    yield f"in {where}; {outcome.summary}"
    yield from outcome.failures


def show_coverage(coverage: Coverage, short: str | None, *, quiet: bool) -> None:
    """Print how much is covered, and what is not."""
    covered, every = coverage.covered, len(coverage.clauses)
    out(f"coverage: {covered} of {every} clauses ({int(coverage.percent)} %)")
    if quiet and short is None:
        return
    for part in coverage.uncovered:
        out(f"    {where(part)}: not covered: {part}")
    for part, effect in coverage.weak:
        out(f"    {where(part)}: {effect}: {part}")
    if short is not None:
        out(short)


def where(clause: Clause) -> str:
    """Return file and line of a clause."""
    return f"{clause.place.file}:{clause.place.line}"


def show_json(report: Report, wanted: Wanted, at: datetime.date) -> None:
    """Print one policy's tests as one JSON object."""
    bundle = report.bundle
    if bundle is None:
        problems: list[Json] = [as_json(problem) for problem in report.problems]
        out_json({"policy": report.path, "loads": False, "problems": problems})
        return
    tests: list[Json] = [
        {
            "file": part.file,
            "line": part.trial.place.line,
            "name": part.name,
            "passed": part.passed,
            "seconds": round(part.seconds, 6),
            "failures": [*part.failures],
            "decision": None if part.decision is None else part.decision.outcome,
            "model": None if part.decision is None else part.decision.model,
            "deny_stage": None if part.decision is None else part.decision.deny_stage,
        }
        for part in report.outcomes
    ]
    out_json(
        {
            "policy": report.path,
            "loads": True,
            "name": bundle.name,
            "policy_digest": bundle.digest,
            "at": at.isoformat(),
            "passed": len(report.outcomes) - report.failed,
            "failed": report.failed,
            "seconds": round(report.seconds, 6),
            "tests": tests,
            "coverage": coverage_json(report, wanted),
            "mutation": None
            if report.score is None
            else score_json(report.score, enough=report.weak(wanted) is None, at=report.at),
        }
    )


def coverage_json(report: Report, wanted: Wanted) -> Json:
    """Return what is covered; None where only some of the tests ran."""
    found = report.coverage
    if found is None or report.filtered:
        return None
    return {
        "clauses": len(found.clauses),
        "covered": found.covered,
        "percent": int(found.percent),
        "enough": report.short(wanted) is None,
        "uncovered": [clause_json(part) for part in found.uncovered],
        "weak": [clause_json(part) | {"effect": effect} for part, effect in found.weak],
    }


def clause_json(clause: Clause) -> dict[str, Json]:
    """Return one clause with its place."""
    place = clause.place
    return {
        "section": clause.section,
        "kind": clause.noun,
        "id": place.id,
        "file": place.file,
        "line": place.line,
    }


def as_suites(report: Report, wanted: Wanted) -> Iterator[Suite]:
    """Yield a suite for each test file, and one for what fails beside the tests."""
    files: dict[str, list[Case]] = {}
    for part in report.outcomes:
        place = part.trial.place
        case = Case(
            name=part.name,
            file=place.file,
            line=place.line,
            seconds=part.seconds,
            failures=part.failures,
            text=part.summary,
        )
        files.setdefault(place.file or part.file, []).append(case)
    yield from (Suite(name=file, cases=tuple(cases)) for file, cases in files.items())
    beside = tuple(failures_beside(report, wanted))
    if beside:
        yield Suite(name=report.path, cases=beside)


def failures_beside(report: Report, wanted: Wanted) -> Iterator[Case]:
    """Yield what makes the command fail and is no test."""
    if report.bundle is None:
        said = tuple(str(part) for part in report.problems if part.severity == "error")
        yield Case(name="the policy loads", file=report.path, failures=said)
    elif not report.outcomes and not report.filtered:
        yield Case(name="the policy has tests", file=report.path, failures=("no tests",))
    short = report.short(wanted)
    if report.coverage is not None and short is not None:
        lacking = [f"{where(part)}: not covered: {part}" for part in report.coverage.uncovered]
        yield Case(name="coverage of clauses", file=report.path, failures=(short, *lacking))
    weak = report.weak(wanted)
    if report.score is not None and weak is not None:
        alive = [survivor_line(part) for part in report.score.survivors]
        yield Case(name="mutation score", file=report.path, failures=(weak, *alive))
