"""Find mistakes in policies: a folder with one, or a policy file.

First what keeps a policy from loading; then, if it loads, what it says and cannot mean: rules
that change nothing, labels that nobody can serve, floors out of reach. Every finding has a place,
a code and, where there is one, a remedy. The reference of the codes is
docs/reference/problem-codes.md. Findings that `lint.allow` accepts are counted, not shown.

The worst result of all paths is the exit code.

exit codes:
  0  no errors; warnings and notes are allowed
  1  errors, or warnings under --strict; broken YAML is an error like any other
  2  there was no policy to check: no such path, no access, an empty, binary or too large
     file, a folder that does not hold exactly one policy
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.cli.common import FINDINGS, FINE, USAGE, add_at, counts, note, out, today
from modelrouter.errors import Problem, Severity
from modelrouter.lint import examine
from modelrouter.lint.table import ACCEPTABLE_FROM
from modelrouter.loader import inspect
from modelrouter.policytest import printable

if TYPE_CHECKING:
    from modelrouter.values import Json

__all__ = ["add_arguments", "run"]

COMMANDS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}
"""What GitHub's runners call each severity."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="policy folders or policy files")
    parser.add_argument(
        "--format",
        choices=("text", "json", "github"),
        default="text",
        help="how to print the findings; `github` annotates the files of a pull request",
    )
    parser.add_argument("--strict", action="store_true", help="let warnings fail as errors do")
    parser.add_argument(
        "--pedantic", action="store_true", help="ask for the reason of every hard rule as well"
    )
    add_at(parser)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of checking one path.

    Attributes:
        problems: The findings, in the order of the files.
        accepted: How many findings the policy accepts.
        readable: Whether there was a policy to check.
        taken_ms: How long it took.
    """

    problems: tuple[Problem, ...]
    accepted: int
    readable: bool
    taken_ms: float

    def summary(self, path: str) -> str:
        """Return the counts in one line."""
        accepted = f", {self.accepted} accepted" if self.accepted else ""
        return f"{path}: {counts(self.problems)}{accepted} ({self.taken_ms:.0f} ms)"


def run(arguments: argparse.Namespace) -> int:
    """Check every policy and print what was found; the worst result is the exit code.

    Reading and judging are told apart by the document, not by the code: MR000 and MR001 stand
    for both. A policy of which there is no text at all ends in 2; text that is not YAML, a
    document of another kind and an unreadable catalogue beside a readable policy end in 1.
    """
    failing = {"error", "warning"} if arguments.strict else {"error"}
    worst = FINE
    every: list[Problem] = []
    for path in arguments.paths:
        checked = check(path, at=today(arguments), pedantic=arguments.pedantic)
        every += checked.problems
        if arguments.format == "text":
            for problem in checked.problems:
                out(str(problem))
            out(checked.summary(path))
        elif arguments.format == "github":
            for problem in checked.problems:
                out(as_command(problem))
            note(printable(checked.summary(path)))
        if not checked.readable:
            worst = USAGE
        elif any(problem.severity in failing for problem in checked.problems):
            worst = max(worst, FINDINGS)
    if arguments.format == "json":
        out(json.dumps([as_json(problem) for problem in every], indent=2))
    return worst


def check(path: str, *, at: datetime.date, pedantic: bool) -> Checked:
    """Return what there is to say of one policy: what loading found, then the linter."""
    begun = time.perf_counter()
    found = inspect(path, at=at)
    problems, accepted = list(found.problems), 0
    if found.bundle is not None:
        report = examine(found.bundle, at, pedantic=pedantic)
        # The linter passes on what the loader found of its kind, unless it is accepted.
        problems = [part for part in problems if part.code < ACCEPTABLE_FROM]
        problems += report.problems
        problems.sort(key=lambda part: (part.file, part.line, part.column, part.code))
        accepted = len(report.accepted)
    taken_ms = (time.perf_counter() - begun) * 1000
    return Checked(
        problems=tuple(problems), accepted=accepted, readable=found.readable, taken_ms=taken_ms
    )


def as_json(problem: Problem) -> dict[str, Json]:
    """Return a finding as `--format json` prints it."""
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def as_command(problem: Problem) -> str:
    """Return a finding as a workflow command, the hint on a line of its own.

    Source: GitHub Docs, "Workflow commands for GitHub Actions"; `command.ts` of actions/toolkit
    for what is escaped where.
    """
    hint = f"\nhint: {problem.hint}" if problem.hint else ""
    place = f"line={problem.line},col={problem.column}"
    return (
        f"::{COMMANDS[problem.severity]} file={as_property(problem.file)},{place},"
        f"title={as_property(problem.code)}::{as_data(problem.message + hint)}"
    )


def as_data(text: str) -> str:
    """Escape the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def as_property(text: str) -> str:
    """Escape a property of a workflow command."""
    return as_data(text).replace(":", "%3A").replace(",", "%2C")
