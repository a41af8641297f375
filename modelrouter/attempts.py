"""One attempt: approval, credential, reservation, the gate, and the settlement after."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelrouter import telemetry
from modelrouter.budget import Hold
from modelrouter.calls import Call, cost_of, decide_again
from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Candidate, Obligations, Reason, Removal, RuleRef
from modelrouter.denying import denial, shortage_error
from modelrouter.engine.guard import guard
from modelrouter.errors import Attempted, ErrorKind
from modelrouter.ports import Key, ProviderError, Send
from modelrouter.values import Usage
from modelrouter.world import Approval

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["Attempt", "open_attempt"]

WINDOW_MARGIN = 1.25
WINDOW_SLACK = 256


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A transmission that the gate released, with the money it holds.

    Attributes:
        settled: Whether the hold has been given back and the span has ended.
    """

    call: Call
    candidate: Candidate
    send: Send
    hold: Hold
    span: Span
    number: int
    settled: bool = False

    async def succeeded(
        self,
        *,
        usage: Usage | None,
        upstream: str,
        finish_reasons: list[str],
        first_chunk_s: float | None,
    ) -> None:
        """Charge what the answer cost; without reported usage, what was held."""
        call = self.call
        cost = cost_of(usage, self.candidate.model, call.engine)
        call.add_cost(cost)
        self.settled = True
        spent = call.amounts(self.hold, usage=usage, model=self.candidate.model)
        await call.world.ledger.settle(self.hold, spent)
        telemetry.end_succeeded(
            self.span,
            usage=usage,
            upstream=upstream,
            finish_reasons=finish_reasons,
            cost_pico=cost,
            first_chunk_s=first_chunk_s,
        )

    async def failed(self, error: ProviderError) -> None:
        """Give the hold back, or charge it if the provider may have billed the attempt."""
        await self.close(error.kind, status=error.status, billed=error.billed)
        self.call.failures.append(
            Attempted(
                model=self.candidate.model,
                number=self.number,
                kind=error.kind,
                status=error.status,
            )
        )

    async def close(
        self, kind: ErrorKind | str, *, status: int | None = None, billed: bool = True
    ) -> None:
        """End an attempt without an answer; one whose outcome is unknown is charged in full."""
        if self.settled:
            return
        self.settled = True
        if billed:
            self.call.add_cost(self.candidate.worst_pico)
        nothing = {charge.account.budget: 0 for charge in self.hold.charges}
        await self.call.world.ledger.settle(self.hold, {} if billed else nothing)
        telemetry.end_failed(self.span, kind, status=status)


async def open_attempt(call: Call, *, why: str, streamed: bool) -> Attempt | ProviderError | None:
    """Return the next attempt, ready to send.

    Returns:
        The attempt; or the error of a key that is not set; or None if this candidate was
        passed over and `call.plan` stands at another one.

    Raises:
        PolicyDenied: The newest policy, or the approver, leaves no candidate.
        BudgetExceeded: No candidate is left that a budget has room for.
    """
    candidate = call.decision.candidates[call.plan.current]
    obligations = gate(call, candidate)
    if obligations is None or not await approved(call, candidate, obligations):
        reason = "the newest policy forbids it" if obligations is None else "approval was refused"
        pass_over(call, candidate, reason)
        return None
    target = call.world.targets[candidate.model]
    key = Key("") if target.keyless else call.world.key(candidate.model, target)
    if key is None:
        return ProviderError(ErrorKind.CREDENTIAL_MISSING)
    hold = await reserve(call, candidate)
    if hold is None:
        return None
    send = Send(
        model=candidate.model,
        upstream=target.upstream,
        api_base=target.api_base,
        key=key,
        in_house=target.in_house,
        messages=call.payload.messages,
        parameters=call.payload.parameters,
        max_output=output_limit(call, candidate, hold),
        timeout_s=max(call.left_s(), 0.001),
    )
    number = call.plan.sent()
    span = telemetry.start_attempt(
        call.world.tracer,
        call.span or call.open_span(),
        send,
        number=number,
        why=why,
        streamed=streamed,
    )
    return Attempt(
        call=call,
        candidate=candidate._replace(obligations=obligations),
        send=send,
        hold=hold,
        span=span,
        number=number,
    )


def gate(call: Call, candidate: Candidate) -> Obligations | None:
    """Ask the newest policy whether `candidate` may receive the call, just before it is sent.

    Returns:
        What must be done for this transmission, or None if it may not be sent.
    """
    newest = call.world.engine(call.world.clock.now().date())
    if newest is call.engine:
        eligible = guard(call.asked.subject, newest).eligible
        passes = eligible >> newest.place[candidate.model] & 1
        return candidate.obligations if passes else None
    place = newest.place.get(candidate.model)
    before = call.engine.bundle.models[call.engine.place[candidate.model]]
    if place is None or newest.bundle.models[place] != before:
        return None
    again = decide(
        call.request,
        Snapshot(engine=newest, unfulfillable=call.world.unfulfillable),
    )
    return next(
        (part.obligations for part in again.candidates if part.model == candidate.model), None
    )


async def approved(call: Call, candidate: Candidate, obligations: Obligations) -> bool:
    """Ask for the approval a candidate needs; without anybody to ask it is refused."""
    if not obligations.approval:
        return True
    if call.world.approve is None:
        return False
    answer = call.world.approve(
        Approval(decision=call.decision, model=candidate.model, roles=obligations.approval)
    )
    if isinstance(answer, bool):
        return answer
    return await call.world.pace.run(waited(answer), timeout_s=max(call.left_s(), 0.001)) is True


async def waited(answer: Awaitable[bool]) -> bool:
    """Return what an asynchronous approver says."""
    return await answer


def pass_over(call: Call, candidate: Candidate, detail: str) -> None:
    """Go on to the next candidate, or raise the denial if there is none."""
    place = call.engine.place[candidate.model]
    removal = Removal(
        models=1 << place,
        reason=Reason(stage="obligation", rule=RuleRef(), detail=detail),
    )
    left = tuple(part for part in call.decision.candidates if part is not candidate)
    call.decision = replace(
        call.decision,
        candidates=left,
        removals=(*call.decision.removals, removal),
        outcome="route" if left else "deny",
        deny_stage=None if left else "obligation",
    )
    call.plan.candidates = len(left)
    call.plan.retries = 0
    if call.plan.current >= len(left) and not call.failures:
        raise denial(call.decision)


async def reserve(call: Call, candidate: Candidate) -> Hold | None:
    """Hold the worst case of a candidate in all its budgets, or decide once more.

    Returns:
        The hold, or None if the call was decided again and the plan stands anew.
    """
    held = await call.world.ledger.reserve(call.charges_for(candidate))
    if isinstance(held, Hold):
        return held
    if call.redecided or not await decide_again(call):
        raise shortage_error(call.decision, held)
    return None


def output_limit(call: Call, candidate: Candidate, hold: Hold) -> int | None:
    """Return the limit of output tokens to send: what was held for is what is asked for."""
    if call.request.max_output is not None or not hold.charges:
        return call.request.max_output
    place = call.engine.place[candidate.model]
    limit = call.engine.table.output_limits[place]
    window = call.engine.bundle.models[place].context_window
    if limit is None or window is None:
        return limit
    room: int = window - math.ceil(call.request.tokens * WINDOW_MARGIN) - WINDOW_SLACK
    return max(min(limit, room), 1)
