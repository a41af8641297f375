"""Answer requests with decisions: JSON lines in, JSON lines out, one for one.

A request holds `level`, `categories`, `task`, `needs`, `tokens` (1000), `max_output` (500),
`facts`, `stream` and `given` (`budgets`, `health`, `at`); all may be left out. Blank lines are
skipped. A line that is no request is answered with {"error": "...", "line": N}.

exit codes:
  0  every line was answered with a decision; a denial is one
  1  some line was no request
  2  the policy does not load
"""

from __future__ import annotations

import argparse
import sys

from modelrouter.cli.common import (
    FINDINGS,
    FINE,
    USAGE,
    add_at,
    bundle_or_none,
    note,
    out_json,
    today,
)
from modelrouter.cli.requests import BadRequest, Desk, numbered_lines, parse_json, validated

__all__ = ["add_arguments", "run", "waiting_note"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `decide`."""
    parser.add_argument("policy", metavar="POLICY", help="a policy folder or a policy file")
    parser.add_argument(
        "--json", action="store_true", help="accepted for symmetry: the answer is always JSON"
    )
    add_at(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer standard input line by line."""
    bundle = bundle_or_none(arguments.policy, at=today(arguments))
    if bundle is None:
        return USAGE
    desk = Desk(bundle=bundle, today=today(arguments))
    bad = False
    waiting_note()
    for number, line in numbered_lines(sys.stdout.flush):
        try:
            out_json(desk.decide(validated(parse_json(line))).as_json())
        except BadRequest as error:
            bad = True
            remedy = f"; {error.hint}" if error.hint else ""
            out_json({"error": f"{error}{remedy}", "line": number})
    return FINDINGS if bad else FINE


def waiting_note() -> None:
    """Tell a person at a terminal what is waited for."""
    if sys.stdin is not None and sys.stdin.isatty():
        note("reading requests from standard input, one JSON object a line; Ctrl-D ends")
