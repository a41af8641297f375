"""Find mistakes in a policy: a folder with one, or a policy file.

Every finding has a place, a code and, where there is one, a remedy. The reference of the codes
is docs/reference/problem-codes.md.

exit codes:
  0  no errors; warnings and notes are allowed
  1  errors, or warnings under --strict; broken YAML is an error like any other
  2  there was no policy to check: no such path, no access, an empty, binary or too large
     file, a folder that does not hold exactly one policy
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from modelrouter.cli.common import FINDINGS, FINE, USAGE, add_at, counts, out
from modelrouter.errors import Problem
from modelrouter.loader import inspect

if TYPE_CHECKING:
    from modelrouter.values import Json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`."""
    parser.add_argument("path", metavar="PATH", help="a policy folder or a policy file")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print the findings"
    )
    parser.add_argument("--strict", action="store_true", help="let warnings fail as errors do")
    add_at(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check one policy and print what was found.

    Reading and judging are told apart by the document, not by the code: MR000 and MR001 stand
    for both. A policy of which there is no text at all ends in 2; text that is not YAML, a
    document of another kind and an unreadable catalogue beside a readable policy end in 1.
    """
    found = inspect(arguments.path)
    if arguments.format == "json":
        out(json.dumps([as_json(problem) for problem in found.problems], indent=2))
    else:
        for problem in found.problems:
            out(str(problem))
        out(f"{arguments.path}: {counts(found.problems)}")
    if not found.readable:
        return USAGE
    failing = {"error", "warning"} if arguments.strict else {"error"}
    failed = any(problem.severity in failing for problem in found.problems)
    return FINDINGS if failed else FINE


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
