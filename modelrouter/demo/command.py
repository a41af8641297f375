"""The command `modelrouter demo`: seven calls through the quickstart policy, checked."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack

from modelrouter.demo.expectations import checked
from modelrouter.demo.playing import opened
from modelrouter.demo.progress import Progress
from modelrouter.demo.telling import KILLED, call_as_text, ending, opening, summary_as_json
from modelrouter.errors import ConfigurationError, ModelRouterError

__all__ = ["add_arguments", "run"]

EXPECTATION_BROKEN = 1
CANNOT_RUN = 2
INTERRUPTED = 130  # as a shell reports SIGINT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `modelrouter demo`."""
    parser.description = (
        "Runs seven calls through the quickstart policy: a small open model on this machine, "
        "and a closed one. The closed one is simulated on 127.0.0.1 unless OPENAI_API_KEY is "
        "set. Exit status: 0 if everything was as promised, 1 if not, 2 if it cannot run here."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--simulate",
        action="store_true",
        help="simulate the closed model although OPENAI_API_KEY is set",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return its exit status.

    Args:
        arguments: What `add_arguments` has declared.
    """
    try:
        return play(as_json=bool(arguments.json), simulate=bool(arguments.simulate))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except TimeoutError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXPECTATION_BROKEN
    except ModelRouterError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return CANNOT_RUN if isinstance(error, ConfigurationError) else EXPECTATION_BROKEN


def play(*, as_json: bool, simulate: bool) -> int:
    """Play the demo and tell it."""
    started = time.monotonic()
    with ExitStack() as stack:
        with Progress("starting the model, loading LiteLLM") as progress:
            session = stack.enter_context(opened(simulate=simulate, on_progress=progress.update))
        if not as_json:
            say(opening(session))
        killed = False
        for number, outcome in enumerate(session.play(), start=1):
            if not as_json:
                say(
                    (KILLED + "\n" if outcome.step.killed and not killed else "")
                    + call_as_text(number, outcome)
                )
            killed = outcome.step.killed
        checks = checked(session)
        seconds = time.monotonic() - started
        if as_json:
            say(json.dumps(summary_as_json(session, checks, seconds=seconds), indent=2))
        else:
            say(ending(session, checks, seconds=seconds))
    return 0 if all(check.holds for check in checks) else EXPECTATION_BROKEN


def say(text: str) -> None:
    """Print at once, also where standard output cannot spell every character."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)
