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
from modelrouter.errors import Problem
from modelrouter.policytest import Outcome
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
    """

    coverage: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of one policy's tests.

    Attributes:
        path: The policy as the user gave it.
        bundle: The policy, or None if it does not load.
        problems: Why it does not load.
        outcomes: Its tests.
        coverage: What they cover.
        filtered: Whether the user asked for some of the tests alone.
    """

    path: str
    bundle: Bundle | None = None
    problems: tuple[Problem, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    coverage: Coverage | None = None
    filtered: bool = False

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
        if self.coverage is None or wanted.coverage is None:
            return None
        if self.coverage.percent >= Fraction(wanted.coverage):
            return None
        return f"coverage is below {wanted.coverage} %"

    def code(self, wanted: Wanted) -> int:
        """Return the exit code for this policy."""
        if self.bundle is None:
            return USAGE
        lacking = not self.outcomes and not self.filtered
        return FINDINGS if self.failed or lacking or self.short(wanted) else FINE


def show(report: Report, wanted: Wanted, *, quiet: bool) -> None:
    """Print each test, what differs, how many passed, and what they cover."""
    if report.bundle is None:
        for problem in report.problems:
            note(str(problem))
        note(f"{report.path}: the policy does not load: {counts(report.problems)}")
        return
    for part in report.outcomes:
        if part.passed and quiet:
            continue
        out(f"{'passed' if part.passed else 'FAILED'}  {part.name}")
        if not part.passed:
            for text in failure_lines(part):
                out(f"    {text}")
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
