"""Finds the command, runs it, and ends quietly where a user or a pipe ends it.

A command's module is imported when the command is used: `modelrouter --help` reads no policy
model and no provider.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from modelrouter.cli.common import FINE, INTERRUPTED, PIPE_CLOSED, USAGE, note, out
from modelrouter.errors import ModelRouterError

__all__ = ["COMMANDS", "Command", "main"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One verb.

    Attributes:
        name: What the user types.
        group: Who uses it.
        summary: What it does, in one line.
        module: Where `add_arguments(parser)` and `run(arguments) -> int` stand; its docstring
            is the description that `--help` prints.
        verbs: Whether the first argument is a verb with arguments of its own.
    """

    name: str
    group: str
    summary: str
    module: str
    verbs: bool = False


EVERYONE = "for everyone"
OWNERS = "for owners and reviewers of policies"
DEVELOPERS = "for applications and scripts"
COMMANDS = (
    Command(
        name="demo",
        group=EVERYONE,
        summary="see calls routed, without keys",
        module="modelrouter.demo.command",
    ),
    Command(
        name="check",
        group=OWNERS,
        summary="find mistakes in a policy",
        module="modelrouter.cli.check",
    ),
    Command(
        name="test",
        group=OWNERS,
        summary="run the unit tests of policies",
        module="modelrouter.cli.test",
    ),
    Command(
        name="prove",
        group=OWNERS,
        summary="prove what a policy claims, for every request",
        module="modelrouter.cli.prove",
    ),
    Command(
        name="explain",
        group=OWNERS,
        summary="say which models may serve a call, and why no others",
        module="modelrouter.cli.explain",
    ),
    Command(
        name="bundle",
        group=OWNERS,
        summary="sign a policy as one file, and verify it",
        module="modelrouter.cli.bundle",
        verbs=True,
    ),
    Command(
        name="diff",
        group=OWNERS,
        summary="say what a changed policy newly allows, forbids or no longer asks for",
        module="modelrouter.cli.diff",
    ),
    Command(
        name="who-can",
        group=OWNERS,
        summary="say which models may receive a call, or what a model may receive",
        module="modelrouter.cli.who_can",
    ),
    Command(
        name="decide",
        group=DEVELOPERS,
        summary="answer requests with decisions, as JSON lines",
        module="modelrouter.cli.decide",
    ),
    Command(
        name="schema",
        group=DEVELOPERS,
        summary="print the JSON Schemas of the policy files",
        module="modelrouter.cli.schema",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; never raises for what a user can do.

    Args:
        argv: Arguments without the program's name; those of the process by default.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name need not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        code = dispatch(sys.argv[1:] if argv is None else argv)
        if sys.stdout is not None:  # closed by the shell, as in `>&-`
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `| head`
        discard_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModelRouterError as error:
        note(f"error: {error}")
        if error.hint:
            note(f"    hint: {error.hint}")
        return USAGE
    except OSError as error:  # no space on the disk, no access to a file that is written
        note(f"error: {error.strerror or type(error).__name__}")
        return USAGE
    return code


def dispatch(argv: Sequence[str]) -> int:
    """Run the command that `argv` names."""
    named = {command.name: command for command in COMMANDS}
    if argv and argv[0] in named:
        return run(named[argv[0]], argv[1:])
    if not argv or argv[0] in {"-h", "--help", "help"}:
        (out if argv else note)(overview())
        return FINE if argv else USAGE
    if argv[0] in {"-V", "--version"}:
        out(f"modelrouter {version()}")
        return FINE
    noun = "option" if argv[0].startswith("-") else "command"
    note(f"modelrouter: unknown {noun} `{argv[0][:80]}`")
    close = difflib.get_close_matches(argv[0][:80], named, n=1)
    note(f"    hint: did you mean `{close[0]}`?" if close else f"    hint: {', '.join(named)}")
    return USAGE


def run(command: Command, argv: Sequence[str]) -> int:
    """Run one command with its own arguments."""
    try:
        module = importlib.import_module(command.module)
    except ImportError as error:
        note(f"error: `modelrouter {command.name}` cannot be loaded: {error}")
        note("    hint: install the package again, with its dependencies")
        return USAGE
    parser = Parser(
        prog=f"modelrouter {command.name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    try:
        # Intermixed for `explain P --json REQUEST`; argparse knows no verbs there.
        parse = parser.parse_args if command.verbs else parser.parse_intermixed_args
        arguments = parse(argv)
    except SystemExit as end:  # after --help, or a wrong argument
        return end.code if isinstance(end.code, int) else USAGE
    return int(module.run(arguments))


class Parser(argparse.ArgumentParser):
    """A parser whose complaints read like every other message."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and end."""
        note(f"{self.prog}: {message}")
        note(f"    hint: `{self.prog} --help` lists the arguments")
        raise SystemExit(USAGE)


def overview() -> str:
    """Return the text of `modelrouter --help`."""
    width = max(len(command.name) for command in COMMANDS)
    lines = [
        "usage: modelrouter COMMAND [ARGUMENTS]",
        "       modelrouter --help | --version",
        "",
        "Route model calls by policy: what is forbidden is separated from what is preferred.",
    ]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += ["", f"{group}:"]
        lines += [
            f"  {command.name:<{width}}  {command.summary}"
            for command in COMMANDS
            if command.group == group
        ]
    lines += [
        "",
        "`modelrouter COMMAND --help` lists the arguments of a command.",
        "Exit codes: 0 fine, 1 findings, 2 wrong usage or a policy that does not load.",
    ]
    return "\n".join(lines)


def version() -> str:
    """Return the version of the installed package."""
    try:
        return importlib.metadata.version("modelrouter")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def discard_output() -> None:
    """Let what is still buffered for a closed pipe go nowhere, also when Python exits."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # not a stream of the operating system
        pass
