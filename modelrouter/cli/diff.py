r"""Say what a changed policy newly allows, newly forbids, or no longer asks for.

The guards of both policies are compared for every call that can exist, unlabelled ones and calls
with missing facts included. Each region that is newly allowed comes with one call to try with
`modelrouter explain NEW`. What cannot be compared exactly counts as wider.

  modelrouter diff main/policies/hospital policies/hospital
  modelrouter diff OLD NEW --format github > comment.md

exit codes:
  0  exposure does not grow, or --allow-wider
  1  exposure grows: a model may receive more, less is asked of one that receives a call, data go
     elsewhere, or something is not comparable
  2  wrong usage, or a policy does not load
"""

from __future__ import annotations

import argparse
import json

from modelrouter.cli.common import FINDINGS, FINE, USAGE, add_at, bundle_or_none, out, today
from modelrouter.cli.diff_json import as_json
from modelrouter.cli.diff_markdown import markdown_of
from modelrouter.cli.diff_text import lines_of
from modelrouter.comparison.comparing import compare

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `diff`."""
    parser.add_argument("old", metavar="OLD", help="the policy as it was: a folder or a file")
    parser.add_argument("new", metavar="NEW", help="the policy as it is to be")
    parser.add_argument(
        "--format",
        choices=("text", "json", "github"),
        default="text",
        help="for people, for programs, or Markdown for a comment on a pull request",
    )
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument(
        "--allow-wider", action="store_true", help="end in 0 although exposure grows"
    )
    add_at(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare two policies and print what differs."""
    day = today(arguments)
    old, new = (bundle_or_none(path, at=day) for path in (arguments.old, arguments.new))
    if old is None or new is None:
        return USAGE
    found = compare(old, new, at=day)
    if arguments.json or arguments.format == "json":
        out(json.dumps(as_json(found, old, new), indent=2))
    elif arguments.format == "github":
        out(markdown_of(found, old, new))
    else:
        for line in lines_of(found, arguments.old, arguments.new):
            out(line)
    return FINDINGS if found.wider and not arguments.allow_wider else FINE
