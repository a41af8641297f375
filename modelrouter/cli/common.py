"""What every command shares: exit codes, the printer, dates, and reading a policy."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelrouter.errors import Problem

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.values import Json

__all__ = [
    "FINDINGS",
    "FINE",
    "INTERRUPTED",
    "PIPE_CLOSED",
    "USAGE",
    "add_at",
    "bundle_or_none",
    "counted",
    "counts",
    "day",
    "note",
    "out",
    "out_json",
    "today",
]

FINE = 0
FINDINGS = 1
USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


def out(text: str) -> None:
    """Print data: to standard output."""
    print(text)


def out_json(value: Json) -> None:
    """Print one JSON value on one line, in ASCII."""
    print(json.dumps(value))


def note(text: str) -> None:
    """Print anything that is not data: to standard error, or nowhere if that is closed."""
    if sys.stderr is not None:  # `print` would take standard output for None
        print(text, file=sys.stderr, flush=True)


def add_at(parser: argparse.ArgumentParser) -> None:
    """Add `--at DATE`."""
    parser.add_argument(
        "--at",
        metavar="DATE",
        type=day,
        default=None,
        help="the day to decide on, such as 2026-11-23; today (UTC) by default",
    )


def day(text: str) -> datetime.date:
    """Return the date an argument states."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not a date such as 2026-11-23") from None


def today(arguments: argparse.Namespace) -> datetime.date:
    """Return the day `--at` states, or today in UTC: budgets turn over at 00:00 UTC."""
    at = arguments.at
    return at if isinstance(at, datetime.date) else datetime.datetime.now(tz=datetime.UTC).date()


def counted(number: int, noun: str) -> str:
    """Return `1 error`, `2 errors`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def counts(problems: Iterable[Problem]) -> str:
    """Return `6 errors, 5 warnings, 3 notes`."""
    severities: list[str] = [problem.severity for problem in problems]
    return ", ".join(
        counted(severities.count(severity), noun)
        for severity, noun in (("error", "error"), ("warning", "warning"), ("info", "note"))
    )


def bundle_or_none(path: str, *, at: datetime.date | None = None) -> Bundle | None:
    """Return the policy at `path`, or None after saying why it does not load.

    A policy that only breaks an invariant is returned as well, after saying so: these are the
    commands by which somebody finds out why.

    Args:
        path: The policy.
        at: The day for which its invariants are proved; today by default.
    """
    from modelrouter.loader import inspect  # noqa: PLC0415 - pydantic only when a policy loads

    found = inspect(path, at=at)
    if found.unproved is not None:
        for problem in found.problems:
            if problem.severity == "error":
                note(str(problem))
        note(f"{path}: no router loads this policy while an invariant is not proved")
        return found.unproved
    if found.bundle is None:
        for problem in found.problems:
            note(str(problem))
        note(f"{path}: the policy does not load: {counts(found.problems)}")
    return found.bundle
