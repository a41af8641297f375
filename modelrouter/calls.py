"""One call in progress: its decision, its deadline, its money, and how it ends."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelrouter import telemetry
from modelrouter.budget import Account, window_of
from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Decision
from modelrouter.denying import denial, missing_money
from modelrouter.engine.request_matching import MISSING, Missing
from modelrouter.engine.sizing import Sizes, sizes_of
from modelrouter.engine.subject import Asked, read_request
from modelrouter.errors import Attempted, BudgetExceeded, PolicyDenied
from modelrouter.payload import Payload
from modelrouter.receipts import CacheOutcome, Receipt, content_hash, new_call_id
from modelrouter.retry import Plan
from modelrouter.values import FactValue, Request, Usage
from modelrouter.world import World

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from modelrouter.engine.clauses import Engine
    from modelrouter.policy.document import Runtime

__all__ = ["Call", "accounts_of", "begin", "decide_again", "snapshot_of"]


@dataclass(slots=True, kw_only=True)
class Call:
    """The state of one call; only the flow changes it."""

    world: World
    id: str
    payload: Payload
    request: Request
    engine: Engine
    asked: Asked
    sizes: Sizes
    snapshot: Snapshot
    decision: Decision
    runtime: Runtime
    accounts: Mapping[str, Account]
    began: datetime.datetime
    started_ns: int
    started: float
    plan: Plan
    timeout_s: float
    deadline: float = 0.0
    span: Span | None = None
    failures: list[Attempted] = field(default_factory=list[Attempted])
    cache: CacheOutcome = "off"
    cost_pico: int | None = 0
    redecided: bool = False
    ended: Receipt | None = None

    def left_s(self) -> float:
        """Return the seconds until the deadline of the whole call."""
        return self.deadline - self.world.clock.monotonic()

    def add_cost(self, pico: int | None) -> None:
        """Add what one attempt cost; an unknown cost makes the sum unknown."""
        known = self.cost_pico is not None and pico is not None
        self.cost_pico = (self.cost_pico or 0) + (pico or 0) if known else None

    def open_span(self) -> Span:
        """Start the span of the call, back-dated to where it began."""
        self.span = telemetry.start_route(
            self.world.tracer, self.decision, started_ns=self.started_ns, call=self.id
        )
        return self.span

    def receipt(
        self, *, error: BaseException | None, model: str | None, usage: Usage | None
    ) -> Receipt:
        """Return the record of the call as it stands."""
        denied = isinstance(error, PolicyDenied | BudgetExceeded)
        return Receipt(
            call=self.id,
            at=self.began.timestamp(),
            day=self.engine.at.isoformat(),
            policy=self.engine.bundle.name,
            policy_digest=self.engine.bundle.digest,
            request=self.request,
            content_hmac=content_hash(self.payload.canonical, secret=self.world.secret),
            spent=self.snapshot.spent,
            down=self.snapshot.down,
            unfulfillable=self.snapshot.unfulfillable,
            decision=self.decision,
            outcome="answered" if error is None else "denied" if denied else "failed",
            error=None if error is None else type(error).__name__,
            model=model,
            attempts=tuple(self.failures),
            sends=self.plan.sends,
            cache=self.cache,
            usage=usage,
            cost_pico=self.cost_pico,
            seconds=self.world.clock.monotonic() - self.started,
            shadow=self.world.shadow.beside(self.request, self.snapshot, self.decision),
            closed_from=self.snapshot.closed_from,
        )

    def finish(
        self,
        *,
        error: BaseException | None = None,
        model: str | None = None,
        usage: Usage | None = None,
    ) -> Receipt:
        """End the span and hand over the receipt. A second time does nothing."""
        if self.ended is not None:
            return self.ended
        self.ended = receipt = self.receipt(error=error, model=model, usage=usage)
        if self.span is None:
            self.open_span()
        if self.span is not None:
            telemetry.end_route(
                self.span,
                error=receipt.error,
                cache=self.cache,
                attempts=self.plan.sends,
                cost_pico=self.cost_pico,
                model=model,
                shadow=receipt.shadow,
            )
        if self.world.receive is not None:
            self.world.receive(receipt)
        return receipt


async def begin(world: World, payload: Payload, request: Request) -> Call:
    """Decide a call.

    Raises:
        PolicyDenied: No model may serve it.
        BudgetExceeded: One may, but no budget has room for it.
    """
    started_ns, started, began = time.time_ns(), world.clock.monotonic(), world.clock.now()
    engine = world.policy.engine(began.date())
    asked = read_request(request, engine, {})
    identity = new_call_id(began.timestamp())
    accounts = accounts_of(asked, engine, began, identity)
    snapshot = await snapshot_of(world, engine, accounts)
    decision = decide(request, snapshot)
    runtime = runtime_of(decision, engine)
    call = Call(
        world=world,
        id=identity,
        payload=payload,
        request=request,
        engine=engine,
        asked=asked,
        sizes=sizes_of(request, asked.subject.task, engine),
        snapshot=snapshot,
        decision=decision,
        runtime=runtime,
        accounts=accounts,
        began=began,
        started_ns=started_ns,
        started=started,
        plan=Plan(candidates=len(decision.candidates), runtime=runtime),
        timeout_s=runtime.timeout_ms / 1000,
    )
    if not decision.allowed:
        error = denial(decision, passing=await is_passing(call))
        call.finish(error=error)
        raise error
    return call


async def snapshot_of(world: World, engine: Engine, accounts: Mapping[str, Account]) -> Snapshot:
    """Return everything a decision may look at, as it stands now."""
    used = await world.ledger.used([*accounts.values()])
    return Snapshot(
        engine=engine,
        spent={name: used[account] for name, account in accounts.items()},
        unfulfillable=world.unfulfillable,
        closed_from=world.in_force.closed_from(engine),
    )


async def is_passing(call: Call) -> bool:
    """Whether a call denied for its budget may pass once the calls in flight have ended."""
    if missing_money(call.decision) is None:
        return False
    spent = await call.world.ledger.spent([*call.accounts.values()])
    settled = {name: spent[account] for name, account in call.accounts.items()}
    return decide(call.request, replace(call.snapshot, spent=settled)).allowed


async def decide_again(call: Call) -> bool:
    """Decide once more on the present state; return whether a candidate is left.

    A reservation failed because other calls took the money meanwhile.
    """
    call.redecided = True
    call.snapshot = await snapshot_of(call.world, call.engine, call.accounts)
    call.decision = decide(call.request, call.snapshot)
    sends = call.plan.sends
    call.plan = Plan(candidates=len(call.decision.candidates), runtime=call.runtime, sends=sends)
    return call.decision.allowed


def accounts_of(
    asked: Asked, engine: Engine, now: datetime.datetime, call: str
) -> dict[str, Account]:
    """Return the account of each budget that this call would use."""
    utc = now.astimezone(datetime.UTC)
    found: dict[str, Account] = {}
    longest_s = max((part.timeout_ms for part, _ in engine.runtimes), default=60_000) / 1000
    for clause in engine.meters:
        window, ends = window_of(clause.budget.period, utc, call, longest_s=longest_s)
        found[clause.budget.id] = Account(
            budget=clause.budget.id,
            scope=tuple(scope_value(asked, engine, name) for name in clause.budget.scope),
            window=window,
            ends=ends,
        )
    return found


def scope_value(asked: Asked, engine: Engine, name: str) -> FactValue | None:
    """Return a scope fact; calls without it share one account."""
    value = asked.subject.facts[engine.index.facts[name]]
    return None if value is MISSING or isinstance(value, Missing) else value


def runtime_of(decision: Decision, engine: Engine) -> Runtime:
    """Return the section that governs a call, or the defaults."""
    if decision.runtime is None:
        from modelrouter.policy.document import Runtime  # noqa: PLC0415 - loaded with the policy

        return Runtime(id="default")
    return engine.runtimes[decision.runtime][0]
