"""Run the unit tests of policies: the `kind: PolicyTest` files beside each one.

Nothing is sent; a test compares a decision with what it expects.

exit codes:
  0  every test passed
  1  a test failed, or a policy has no tests
  2  a policy does not load
"""

from __future__ import annotations

import argparse
import datetime
from typing import TYPE_CHECKING

from modelrouter.cli.check import as_json
from modelrouter.cli.common import (
    FINDINGS,
    FINE,
    USAGE,
    add_at,
    counts,
    note,
    out,
    out_json,
    today,
)
from modelrouter.loader import inspect
from modelrouter.policytest import Outcome, run_tests

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.values import Json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `test`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="policy folders or policy files")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each policy")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print failed tests and the summaries alone"
    )
    add_at(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the tests of every policy; the worst result is the exit code."""
    worst = FINE
    for path in arguments.paths:
        found = inspect(path)
        if found.bundle is None:
            worst = USAGE
            if arguments.json:
                problems: list[Json] = [as_json(problem) for problem in found.problems]
                out_json({"policy": path, "loads": False, "problems": problems})
            else:
                for problem in found.problems:
                    note(str(problem))
                note(f"{path}: the policy does not load: {counts(found.problems)}")
            continue
        outcomes = tuple(run_tests(found.bundle, today=today(arguments)))
        if arguments.json:
            out_json(report(path, found.bundle, outcomes, today(arguments)))
        else:
            show(path, outcomes, quiet=arguments.quiet)
        if not outcomes or not all(part.passed for part in outcomes):
            worst = max(worst, FINDINGS)
    return worst


def show(path: str, outcomes: tuple[Outcome, ...], *, quiet: bool) -> None:
    """Print each test, what differs, and how many passed."""
    for part in outcomes:
        if part.passed and quiet:
            continue
        out(f"{'passed' if part.passed else 'FAILED'}  {part.name}")
        if part.passed:
            continue
        out(f"    in {part.file}; {summary(part)}")
        for text in part.failures:
            out(f"    {text}")
    failed = sum(not part.passed for part in outcomes)
    if outcomes:
        out(f"{path}: {len(outcomes) - failed} passed, {failed} failed")
    else:
        out(f"{path}: no tests")
        note("    hint: put them into a file `policy_test.yaml` beside the policy")


def summary(outcome: Outcome) -> str:
    """Return what was decided, in a few words."""
    decision = outcome.decision
    if decision is None:
        return "nothing was decided"
    if decision.allowed:
        return f"decided: {decision.model}"
    clauses = f" by {', '.join(decision.rules)}" if decision.rules else ""
    return f"decided: deny at {decision.deny_stage}{clauses}"


def report(
    path: str, bundle: Bundle, outcomes: tuple[Outcome, ...], at: datetime.date
) -> dict[str, Json]:
    """Return the tests of one policy as `--json` prints them."""
    tests: list[Json] = [
        {
            "file": part.file,
            "name": part.name,
            "passed": part.passed,
            "failures": [*part.failures],
            "decision": None if part.decision is None else part.decision.outcome,
            "model": None if part.decision is None else part.decision.model,
            "deny_stage": None if part.decision is None else part.decision.deny_stage,
        }
        for part in outcomes
    ]
    failed = sum(not part.passed for part in outcomes)
    return {
        "policy": path,
        "loads": True,
        "name": bundle.name,
        "policy_digest": bundle.digest,
        "at": at.isoformat(),
        "passed": len(outcomes) - failed,
        "failed": failed,
        "tests": tests,
    }
