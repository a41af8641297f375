"""Run the unit tests of policies: the `kind: PolicyTest` files beside each one.

Nothing is sent; a test compares a decision with what it expects. Coverage counts the clauses
of a policy that shaped a decision of a passed test. `--mutate` changes one thing of a policy at
a time and lists the changes that no test and no claim notices.

exit codes:
  0  every test passed
  1  a test failed, a policy has no tests, or too little is covered or noticed
  2  a policy does not load, or the report cannot be written
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from modelrouter.cli.common import FINDINGS, FINE, USAGE, add_at, note, today
from modelrouter.cli.junit import write_junit
from modelrouter.cli.testreport import Report, Wanted, as_suites, show, show_json
from modelrouter.loader import inspect
from modelrouter.mutation.judging import Judged, Score, judge, score_of
from modelrouter.policytest import run_tests
from modelrouter.rulecoverage import coverage_of

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["add_arguments", "run"]

LONGEST_PERCENT = 20
PATIENCE_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `test`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="policy folders or policy files")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each policy")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print failed tests and the summaries alone"
    )
    parser.add_argument(
        "-k", metavar="TEXT", default="", help="run only tests with this text in their name"
    )
    parser.add_argument(
        "--require",
        metavar="PERCENT",
        type=percent,
        help="fail if fewer of a policy's clauses are covered",
    )
    parser.add_argument(
        "--mutate", action="store_true", help="say which changes of a policy nobody would notice"
    )
    parser.add_argument(
        "--require-score",
        metavar="PERCENT",
        type=percent,
        help="--mutate, and fail if a smaller share of a policy's changes is noticed",
    )
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit report for CI")
    add_at(parser)


def percent(text: str) -> Decimal:
    """Return the percentage an argument states, exactly."""
    number = text.strip().removesuffix("%").rstrip()
    plain = len(number) <= LONGEST_PERCENT and number.replace(".", "", 1).isdecimal()
    if not plain or Decimal(number) > 100:  # noqa: PLR2004 - per cent
        raise argparse.ArgumentTypeError("not a percentage such as 80")
    if 0 < Decimal(number) <= 1:
        meant = format((Decimal(number) * 100).normalize(), "f")
        raise argparse.ArgumentTypeError(f"a percentage from 0 to 100: did you mean {meant}?")
    return Decimal(number)


def run(arguments: argparse.Namespace) -> int:
    """Run the tests of every policy; the worst result is the exit code."""
    wanted = Wanted(coverage=arguments.require, score=arguments.require_score)
    whole = {"--require": wanted.coverage, "--require-score": wanted.score}
    whole |= {"--mutate": arguments.mutate or None}
    for option, value in whole.items():
        if arguments.k and value is not None:
            note(f"`{option}` speaks of all tests")
            note(f"    hint: leave out `-k` or `{option}`")
            return USAGE
    reports: list[Report] = []
    for path in arguments.paths:
        report = tested(path, arguments)
        reports.append(report)
        if arguments.json:
            show_json(report, wanted, today(arguments))
        else:
            show(report, wanted, quiet=arguments.quiet)
    worst = max(report.code(wanted) for report in reports)
    if arguments.k and worst == FINE and not any(report.outcomes for report in reports):
        note(f"no test has `{arguments.k}` in its name")
        worst = FINDINGS
    if arguments.junit is not None:
        file = Path(arguments.junit)
        try:
            write_junit(file, (suite for part in reports for suite in as_suites(part, wanted)))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            note(f"`{file}` cannot be written: {reason}")
            return USAGE
    return worst


def tested(path: str, arguments: argparse.Namespace) -> Report:
    """Return what came of one policy's tests."""
    found = inspect(path, at=today(arguments))
    if found.bundle is None:
        return Report(path=path, problems=found.problems)
    outcomes = tuple(run_tests(found.bundle, today=today(arguments), containing=arguments.k))
    wanted = arguments.mutate or arguments.require_score is not None
    return Report(
        path=path,
        bundle=found.bundle,
        outcomes=outcomes,
        coverage=coverage_of(found.bundle, outcomes),
        score=scored(found.bundle, path, today(arguments)) if wanted else None,
        filtered=bool(arguments.k),
        at=today(arguments) if arguments.at is not None else None,
    )


def scored(bundle: Bundle, path: str, at: datetime.date) -> Score:
    """Return how many changes of a policy are noticed; say how far it is if it takes long."""
    judged: list[Judged] = []
    told = time.monotonic()
    for part in judge(bundle, today=at):
        judged.append(part)
        watched = sys.stderr is not None and sys.stderr.isatty()
        if watched and time.monotonic() - told > PATIENCE_S:
            told = time.monotonic()
            note(f"{path}: {len(judged)} changes judged, now {part.mutant}")
    return score_of(judged)
