"""One attempt: approval, credential, reservation, the gate, and the settlement after."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelrouter import telemetry
from modelrouter.budget import Hold
from modelrouter.calls import Call, decide_again
from modelrouter.charging import amounts_of, charges_of, cost_of, spent_by
from modelrouter.decision import Candidate, Obligations, Reason, Removal, RuleRef
from modelrouter.denying import denial, shortage_error
from modelrouter.errors import Attempted, ErrorKind
from modelrouter.gating import Reasons, Standing, gate, no_room, standing
from modelrouter.ports import Key, ProviderError, Send
from modelrouter.values import Usage
from modelrouter.world import Approval, Target

if TYPE_CHECKING:
    from opentelemetry.trace import Span


__all__ = ["Attempt", "open_attempt"]

WINDOW_MARGIN = 1.25
WINDOW_SLACK = 256


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A transmission that the gate released, with the money it holds.

    Attributes:
        released: What the gate judged by.
        settled: Whether the hold has been given back and the span has ended.
    """

    call: Call
    candidate: Candidate
    send: Send
    released: Standing
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
        try:
            model, newest = self.candidate.model, self.released.engine
            await self.settle(amounts_of(call, self.hold, usage=usage, model=model, newest=newest))
        finally:
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

    async def withdraw(self) -> None:
        """Take an attempt back that the newest policy overtook: nothing was sent."""
        self.settled = True
        self.call.plan.sends -= 1
        try:
            await self.settle(self.hold.unspent)
        finally:
            telemetry.end_failed(self.span, "policy_replaced")

    async def close(
        self, kind: ErrorKind | str, *, status: int | None = None, billed: bool = True
    ) -> None:
        """End an attempt without an answer; one whose outcome is unknown is charged in full."""
        if self.settled:
            return
        self.settled = True
        if billed:
            self.call.add_cost(self.candidate.worst_pico)
        try:
            await self.settle({} if billed else self.hold.unspent)
        finally:
            telemetry.end_failed(self.span, kind, status=status)

    async def settle(self, spent: Mapping[str, int]) -> None:
        """Settle the hold; a cancellation or Ctrl-C meanwhile does not prevent it."""
        ledger = self.call.world.ledger
        try:
            await ledger.settle(self.hold, spent)
        except asyncio.CancelledError:
            # Shielded: a cancelled call must still give back what it held.
            again = asyncio.ensure_future(ledger.settle(self.hold, spent))
            while not again.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(again)
            raise
        except KeyboardInterrupt:
            await ledger.settle(self.hold, spent)
            raise


async def open_attempt(call: Call, *, why: str, streamed: bool) -> Attempt | ProviderError | None:
    """Return the next attempt, ready to send.

    Returns:
        The attempt; or why there is none: the deadline, a key that is not set, the last
        failure; or None if this candidate was passed over or is to be tried anew.

    Raises:
        PolicyDenied: The newest policy, or the approver, leaves no candidate.
        BudgetExceeded: No candidate is left that a budget has room for.
    """
    if call.left_s() <= 0:
        return ProviderError(ErrorKind.TIMEOUT)
    candidate = call.decision.candidates[call.plan.current]
    newest = standing(call)
    obligations = gate(call, candidate, newest, await spent_by(call, newest.engine))
    try:
        if not isinstance(obligations, Obligations) or not await approved(
            call, candidate, obligations
        ):
            told = NOT_APPROVED if isinstance(obligations, Obligations) else obligations
            return pass_over(call, candidate, told)
    except TimeoutError:
        return ProviderError(ErrorKind.TIMEOUT)
    target = call.world.targets[candidate.model]
    key = key_in_time(call, candidate, target)
    if isinstance(key, ProviderError):
        return key
    hold = await reserve(call, candidate, newest)
    if not isinstance(hold, Hold):
        return hold
    try:
        send = send_of(call, candidate, target, key)
        span = telemetry.start_attempt(
            call.world.tracer,
            call.span or call.open_span(),
            send,
            number=call.plan.sends + 1,
            why=why,
            streamed=streamed,
        )
    except BaseException:
        # Nothing has been sent: what is held must not stay held.
        await call.world.ledger.settle(hold, hold.unspent)
        raise
    return Attempt(
        call=call,
        candidate=candidate._replace(obligations=obligations),
        send=send,
        released=newest,
        hold=hold,
        span=span,
        number=call.plan.sent(),
    )


def send_of(call: Call, candidate: Candidate, target: Target, key: Key) -> Send:
    """Return what is transmitted to a candidate."""
    return Send(
        model=candidate.model,
        upstream=target.upstream,
        api_base=target.api_base,
        key=key,
        in_house=target.in_house,
        messages=call.payload.messages,
        parameters=call.payload.parameters,
        max_output=output_limit(call, candidate),
        timeout_s=max(call.left_s(), 0.001),
    )


def key_in_time(call: Call, candidate: Candidate, target: Target) -> Key | ProviderError:
    """Return the key, or why nothing can be sent: no key, or approval took too long."""
    key = Key("") if target.keyless else call.world.key(candidate.model, target)
    if key is None:
        return ProviderError(ErrorKind.CREDENTIAL_MISSING)
    return key if call.left_s() > 0 else ProviderError(ErrorKind.TIMEOUT)


async def approved(call: Call, candidate: Candidate, obligations: Obligations) -> bool:
    """Ask for the approval a candidate needs; without anybody to ask it is refused."""
    if not obligations.approval:
        return True
    if call.world.approve is None:
        return False
    answer = call.world.approve(
        Approval(decision=call.decision, model=candidate.model, roles=obligations.approval)
    )
    if not isinstance(answer, Awaitable):
        return answer is True
    return await call.world.pace.run(waited(answer), timeout_s=max(call.left_s(), 0.001)) is True


async def waited(answer: Awaitable[bool]) -> bool:
    """Return what an asynchronous approver says."""
    return await answer


NOT_APPROVED: Reasons = (Reason(stage="obligation", rule=RuleRef(), detail="approval was refused"),)


def pass_over(call: Call, candidate: Candidate, reasons: Reasons) -> ProviderError | None:
    """Go on to the next candidate; without one return the last failure, or raise the denial."""
    place = call.engine.place[candidate.model]
    removals = (Removal(models=1 << place, reason=part) for part in reasons)
    left = tuple(part for part in call.decision.candidates if part is not candidate)
    call.decision = replace(
        call.decision,
        candidates=left,
        removals=(*call.decision.removals, *removals),
        outcome="route" if left else "deny",
        deny_stage=None if left else reasons[0].stage,
    )
    call.plan.candidates = len(left)
    call.plan.retries = 0
    if call.plan.current < len(left):
        return None
    if not call.failures:
        raise denial(call.decision)
    last = call.failures[-1]
    return ProviderError(last.kind, status=last.status)


async def reserve(
    call: Call, candidate: Candidate, newest: Standing
) -> Hold | ProviderError | None:
    """Hold the worst case of a candidate in all its budgets, or decide once more.

    Returns:
        The hold, or None if the call was decided again and the plan stands anew, or if the
        policy changed while approval or money was waited for: through the gate again then.
        What `pass_over` returns if a budget of a newer policy has no room.
    """
    held = await call.world.ledger.reserve(charges_of(call, candidate, newest.engine))
    if isinstance(held, Hold):
        if newest.still(call):
            return held
        await call.world.ledger.settle(held, held.unspent)
        return None
    name = held.charge.account.budget
    if newest.engine is not call.engine and any(
        clause.budget.id == name for clause in newest.engine.meters
    ):
        return pass_over(call, candidate, no_room(name, newest.engine))
    if call.redecided or not await decide_again(call):
        raise shortage_error(call.decision, held)
    return None


def output_limit(call: Call, candidate: Candidate) -> int | None:
    """Return the limit of output tokens to send: what the worst case counts is what is asked for.

    Where neither the call nor the catalogue sets one, no budget of money or tokens and no
    ceiling of cost has let the model pass.
    """
    if call.request.max_output is not None:
        return call.request.max_output
    place = call.engine.place[candidate.model]
    limit = call.engine.table.output_limits[place]
    window = call.engine.bundle.models[place].context_window
    if limit is None or window is None:
        return limit
    room: int = window - math.ceil(call.request.tokens * WINDOW_MARGIN) - WINDOW_SLACK
    return max(min(limit, room), 1)
