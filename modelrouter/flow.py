"""The way of a call, written once for both APIs: decide, look in the cache, try, settle.

Nothing outside `call.decision.candidates` is ever called, by retry, fallback or cache.
Every transmission holds its worst case in all budgets first and passes the gate just
before it leaves. A failed attempt is met by the table in `modelrouter.retry`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from modelrouter import telemetry
from modelrouter.attempts import Attempt, open_attempt
from modelrouter.cache import Entry, Flight
from modelrouter.caching import Shelf, shelf_of
from modelrouter.calls import Call
from modelrouter.errors import ErrorKind
from modelrouter.failing import failure_of
from modelrouter.gating import HandOver, Overtaken
from modelrouter.ports import Chunk, Completion, ProviderError
from modelrouter.receipts import CacheOutcome
from modelrouter.relay import Outcome, Relay
from modelrouter.reply import Answer, Reply, finish_reasons_of, text_of
from modelrouter.values import usd

__all__ = ["complete", "stream"]

WARM_UP_S = 300.0
"""Most seconds the first call waits for the provider to load, outside its own deadline."""


async def complete(call: Call) -> Reply:
    """Return the answer to a decided call.

    Raises:
        CallFailed: Every attempt the decision and the retry rules allow has failed.
        PolicyDenied: The newest policy, or the approver, left no candidate.
        BudgetExceeded: Other calls took the money meanwhile.
    """
    try:
        await start_clock(call)
        return await from_shelf(call, shelf_of(call))
    except BaseException as error:
        call.finish(error=error)
        raise


async def start_clock(call: Call) -> None:
    """Load the provider if need be, then start the deadline of the whole call."""
    call.open_span()
    if not call.world.warm.is_set():
        await call.world.pace.run(call.world.provider.warm_up(), timeout_s=WARM_UP_S)
        call.world.warm.set()
    call.deadline = call.world.clock.monotonic() + call.timeout_s


async def from_shelf(call: Call, shelf: Shelf | None) -> Reply:
    """Return the answer from the cache, from an identical call under way, or from a model."""
    if shelf is None:
        return await ask(call, None)
    call.cache = "miss"
    entry = shelf.find()
    if entry is not None:
        return cached_reply(call, entry, "hit")
    flight = shelf.join() if shelf.shares else None
    return await (ask(call, shelf) if flight is None else in_flight(call, shelf, flight))


async def in_flight(call: Call, shelf: Shelf, flight: Flight) -> Reply:
    """Ask for all identical calls under way, or wait for the one that asks."""
    if not flight.leads:
        landed = await call.world.pace.join(flight.landing, timeout_s=call.left_s())
        entry = shelf.admitted(landed)
        return await ask(call, shelf) if entry is None else cached_reply(call, entry, "shared")
    try:
        return await ask(call, shelf)
    finally:
        # Whatever happened to this call, those who wait for it must not wait for ever.
        shelf.land(flight)


async def ask(call: Call, shelf: Shelf | None) -> Reply:
    """Try candidates until one answers."""
    why = "first"
    while True:
        attempt = await open_attempt(call, why=why, streamed=False)
        if attempt is None:
            continue
        if isinstance(attempt, ProviderError):
            raise failure_of(call, attempt)
        answer = await answered(attempt)
        if answer is None:
            continue
        if isinstance(answer, Completion):
            if shelf is not None:
                shelf.keep(attempt, answer)
            model = attempt.candidate.model
            return reply_of(call, Answer(model=model, payload=answer.payload, usage=answer.usage))
        why = await next_step(call, answer)


async def handed_over(attempt: Attempt) -> Completion:
    """Return what the provider answers, if the policy still stands when it takes over."""
    provider = attempt.call.world.provider
    return await HandOver(attempt.call, attempt.released, lambda: provider.complete(attempt.send))


async def answered(attempt: Attempt) -> Completion | ProviderError | None:
    """Send once; return the answer or why there is none. The hold is settled either way.

    Returns:
        The answer or the failure; or None if the policy was replaced and nothing was sent.
    """
    pace = attempt.call.world.pace
    try:
        with telemetry.attached(attempt.span):
            answer = await pace.run(handed_over(attempt), timeout_s=attempt.send.timeout_s)
        await attempt.succeeded(
            usage=answer.usage,
            upstream=answer.upstream,
            finish_reasons=finish_reasons_of(answer.payload),
            first_chunk_s=answer.first_chunk_s,
        )
    except Overtaken:
        await attempt.withdraw()
        return None
    except ProviderError as error:
        failure = error
    except TimeoutError:
        failure = ProviderError(ErrorKind.TIMEOUT, billed=True)
    except BaseException:
        # Cancelled, or broken in code of ours: what may have been billed is charged.
        await attempt.close("cancelled")
        raise
    else:
        return answer
    await attempt.failed(failure)
    return failure


async def next_step(call: Call, failure: ProviderError) -> str:
    """Wait for the next attempt and return why it is made, or raise the call's failure."""
    step = call.plan.after(failure.kind, retry_after_s=failure.retry_after_s, left_s=call.left_s())
    if step is None:
        raise failure_of(call, failure)
    if step.wait_s > 0:
        await call.world.pace.sleep(step.wait_s)
    return "retry" if call.plan.retries else "fallback"


def reply_of(call: Call, answer: Answer, *, cached: bool = False) -> Reply:
    """Return the reply of an answered call and end the call."""
    receipt = call.finish(model=answer.model, usage=answer.usage)
    reasons = finish_reasons_of(answer.payload)
    return Reply(
        text=text_of(answer.payload),
        model=answer.model,
        usage=answer.usage,
        cost_usd=usd(call.cost_pico),
        decision=call.decision,
        label=call.decision.label,
        finish_reason=reasons[0] if reasons else None,
        cached=cached,
        sends=call.plan.sends,
        receipt=receipt,
        payload=answer.payload,
        as_response=call.world.provider.as_response,
    )


def cached_reply(call: Call, entry: Entry, how: CacheOutcome) -> Reply:
    """Return the reply of a call that needed no model; its span links to the one that did."""
    call.cache = how
    if call.span is not None:
        telemetry.link_to(call.span, trace_id=entry.trace_id, span_id=entry.span_id)
    answer = Answer(model=entry.model, payload=entry.payload, usage=entry.usage)
    return reply_of(call, answer, cached=True)


async def stream(call: Call, outcome: Outcome) -> AsyncGenerator[Chunk, None]:
    """Yield the answer to a decided call piece by piece, then leave the reply in `outcome`.

    Another candidate is tried only until the first piece has been delivered.

    Raises:
        CallFailed: Every attempt has failed, or the answer broke off midway.
        PolicyDenied: The newest policy, or the approver, left no candidate.
        BudgetExceeded: Other calls took the money meanwhile.
    """
    try:
        await start_clock(call)
        why = "first"
        while outcome.reply is None:
            attempt = await open_attempt(call, why=why, streamed=True)
            if attempt is None:
                continue
            if isinstance(attempt, ProviderError):
                raise failure_of(call, attempt)  # noqa: TRY301 - ends the call below
            relay = Relay(attempt=attempt)
            async with aclosing(relay.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
            if relay.overtaken:
                continue
            if relay.failure is None:
                answer = Answer(
                    model=attempt.candidate.model,
                    payload=relay.assembly.payload(relay.usage),
                    usage=relay.usage,
                )
                outcome.reply = reply_of(call, answer)
            elif relay.begun:
                raise failure_of(call, relay.failure, begun=True)  # noqa: TRY301 - as above
            else:
                why = await next_step(call, relay.failure)
    except BaseException as error:
        if outcome.reply is None:
            call.finish(error=error)
        raise
