"""What the demo asks: seven calls, what each shows, and their prompts.

The prompts were chosen with the weights at hand: a model of this size answers few questions
well, and greedily decoded it answers these the same way every time.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelrouter.arguments import CallArguments

__all__ = ["PATIENT", "STEPS", "Step"]

PATIENT = "Patient Ada Example"
"""Opens the restricted text, and stands in no other prompt."""

LETTER = f"{PATIENT}, 54, has had a dry cough for three weeks and no fever."
CAPITAL = "What is the capital of France?"
CODE = "Write a function is_even(n) in Python."
SPIDER = "How many legs does a spider have?"

GREEDY: CallArguments = {"temperature": 0, "max_tokens": 60}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of the demo.

    Attributes:
        name: Its name in the JSON output.
        title: What it shows, in one line.
        prompt: Text of the only message.
        arguments: The other arguments of the call.
        said: What the caller says of the call, for people.
        killed: Whether the self-hosted model is dead by then.
    """

    name: str
    title: str
    prompt: str
    arguments: CallArguments
    said: str
    killed: bool = False


STEPS = (
    Step(
        name="public",
        title="A public question goes to the cheapest model",
        prompt=CAPITAL,
        arguments={"sensitivity": "public", **GREEDY},
        said='sensitivity="public"',
    ),
    Step(
        name="restricted",
        title="A patient's letter must stay in the house",
        prompt=f"{LETTER}\n\nWrite a one-sentence summary.",
        arguments={"sensitivity": "phi", **GREEDY},
        said='sensitivity="phi" (health data)',
    ),
    Step(
        name="quality-floor",
        title="Code has a quality floor that only the closed model reaches",
        prompt=CODE,
        # 256 tokens is all that home/small writes: nothing but the floor tells the two apart.
        arguments={"sensitivity": "public", "task": "code", "temperature": 0, "max_tokens": 256},
        said='sensitivity="public", task="code"',
    ),
    Step(
        name="budget",
        title="The same with two long answers could cost more than a call may",
        prompt=CODE,
        arguments={"sensitivity": "public", "task": "code", "n": 2, "max_tokens": 30_000},
        said='sensitivity="public", task="code", n=2, max_tokens=30000',
    ),
    Step(
        name="repeat",
        title="The first question again: the cache answers, no model is asked",
        prompt=CAPITAL,
        arguments={"sensitivity": "public", **GREEDY},
        said='sensitivity="public"',
    ),
    Step(
        name="restricted-without-its-server",
        title="A restricted call fails rather than leave the house",
        prompt=f"{LETTER}\n\nWhich question should the doctor ask next?",
        arguments={"sensitivity": "phi", **GREEDY},
        said='sensitivity="phi" (health data)',
        killed=True,
    ),
    Step(
        name="public-without-its-server",
        title="A public call falls over to the closed model",
        prompt=SPIDER,
        arguments={"sensitivity": "public", **GREEDY},
        said='sensitivity="public"',
        killed=True,
    ),
)
