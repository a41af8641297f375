"""A request on which two policies differ, in a world that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.asking import request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.errors import CallError
from modelrouter.mutation.expectation import telling
from modelrouter.policy.suite import Given
from modelrouter.proof.examples import DEFAULT_OUTPUT
from modelrouter.proof.serving import tokens_within
from modelrouter.values import usd

if TYPE_CHECKING:
    from modelrouter.decision import Candidate, Decision
    from modelrouter.engine.clauses import Engine, MeterClause
    from modelrouter.policy.suite import AskedRequest, Expected

__all__ = ["Witness", "first_witness"]

OUTPUTS = (DEFAULT_OUTPUT, 100, 1)
"""Output tokens to try: a small model cannot write what is usual."""

MOST_TELLING = (True, True)
"""The rank of what a test can notice by the candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A request on which two policies differ.

    Attributes:
        request: As `modelrouter decide` reads it.
        before: What the first decides, in words.
        after: What the second decides.
        routes: Whether the candidates or what they come with differ.
        expect: What holds of the first decision and not of the second, as a test states it;
            None if no test can say so.
    """

    request: AskedRequest
    before: str
    after: str
    routes: bool
    expect: Expected | None = None

    @property
    def rank(self) -> tuple[bool, bool]:
        """How well it shows the difference; the largest shows most."""
        return self.expect is not None, self.routes


def first_witness(asked: tuple[AskedRequest, ...], before: Engine, after: Engine) -> Witness | None:
    """Return the first request on which two policies differ, in the plainest world.

    What a test can notice is shown rather than what none can, and a world in which other
    candidates come out rather than one in which only the stage of a denial or a warning differs.
    """
    for request in asked:
        best: Witness | None = None
        for tried in variations_of(request, before, after):
            found = compared(tried, before, after)
            if found is None:
                continue
            if found.rank == MOST_TELLING:
                return found
            if best is None or found.rank > best.rank:
                best = found
        if best is not None:
            return best
    return None


def variations_of(request: AskedRequest, before: Engine, after: Engine) -> Iterator[AskedRequest]:
    """Yield a request of several sizes in several worlds, the plainest first.

    What is spent of a budget of one call stands for nothing real, so it comes last.
    """
    sizes = [(request.tokens, output) for output in OUTPUTS]
    more = [(tokens, DEFAULT_OUTPUT) for tokens in sorted({*tokens_above(before, after)})]
    for call in (False, True):
        for given in worlds_of(request, before, after, call=call):
            for tokens, output in sizes if call else (*sizes, *more):
                update = {"tokens": tokens, "max_output": output, "given": given}
                yield request.model_copy(update=update)


def tokens_above(before: Engine, after: Engine) -> Iterator[int]:
    """Yield the input tokens with which a model just exceeds a budget of one call."""
    for engine in (before, after):
        for meter in engine.meters:
            if meter.budget.period == "call" and meter.unit == "usd":
                for place in range(len(engine.ids)):
                    most = tokens_within(engine, place, meter.limit)
                    yield from () if most is None or most < 0 else (most + 1,)


def worlds_of(
    request: AskedRequest, before: Engine, after: Engine, *, call: bool
) -> Iterator[Given]:
    """Yield states of the world: nothing spent, budgets more and more spent, models down."""
    chats = [entry.id for entry in before.bundle.models if entry.role == "chat"]
    down: list[dict[str, str]] = [{}]
    down += [{name: "down" for name in chats if name != kept} for kept in chats]
    decision = decide(request_from(request, before), snapshot_from(Given(), before))
    both = (*before.meters, *after.meters)
    names = [part.budget.id for part in both if (part.budget.period == "call") is call]
    for health in down:
        yield Given.model_validate({"health": health})
        for name in dict.fromkeys(names):
            meters = [part for part in both if part.budget.id == name]
            for amount in sorted({*amounts_of(meters, decision)}):
                spent = usd(amount) if meters[0].unit == "usd" else amount
                yield Given.model_validate({"budgets": {name: spent}, "health": health})


def amounts_of(meters: list[MeterClause], decision: Decision) -> Iterator[int]:
    """Yield what of a budget may be spent: half, all, and all but what a candidate needs."""
    for meter in meters:
        yield from (meter.limit // 2, meter.limit)
        for part in decision.candidates:
            worst = {"usd": part.worst_pico, "tokens": part.worst_tokens}.get(meter.unit, 1)
            if worst is not None and worst <= meter.limit:
                yield meter.limit - worst


def compared(asked: AskedRequest, before: Engine, after: Engine) -> Witness | None:
    """Return what two policies say of a request, or None if they say the same."""
    try:
        said = [
            decide(request_from(asked, engine), snapshot_from(asked.given, engine))
            for engine in (before, after)
        ]
    except CallError:
        return None
    if observed(said[0]) == observed(said[1]):
        return None
    stages = said[0].deny_stage == said[1].deny_stage
    one, other = (in_words(part, warnings=stages) for part in said)
    routes = observed(said[0])[0] != observed(said[1])[0]
    expect = telling(said[0], said[1], after)
    return Witness(request=asked, before=one, after=other, routes=routes, expect=expect)


def observed(decision: Decision) -> tuple[object, ...]:
    """Return what a test can see of a decision, but for the clauses that it names."""
    routes = tuple((part.model, part.obligations) for part in decision.candidates)
    return routes, decision.deny_stage, decision.warnings


def in_words(decision: Decision, *, warnings: bool) -> str:
    """Return a decision in one line."""
    said = [candidate_text(part) for part in decision.candidates]
    text = ", ".join(said) or f"deny at {decision.deny_stage}"
    warned = f" ({', '.join(decision.warnings)})" if warnings and decision.warnings else ""
    return f"{text}{warned}"


def candidate_text(candidate: Candidate) -> str:
    """Return a candidate with what it comes with."""
    asked = [
        f"{name} {'+'.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in candidate.obligations.as_json().items()
    ]
    return f"{candidate.model} [{', '.join(asked)}]" if asked else candidate.model
