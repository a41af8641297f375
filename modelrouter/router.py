"""The router: what an application builds once and calls everywhere."""

from __future__ import annotations

import datetime
import logging
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from opentelemetry import trace

from modelrouter.arguments import CallArguments, Messages, Prepared, Sensitivity, prepare, said
from modelrouter.budget import BudgetStore, MemoryLedger
from modelrouter.cache import ExactCache, Flights
from modelrouter.calls import Call, accounts_of, begin, snapshot_of
from modelrouter.context import inherited, within
from modelrouter.decide import decide
from modelrouter.decision import Decision
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.subject import read_request
from modelrouter.errors import ConfigurationError
from modelrouter.flow import complete
from modelrouter.pace import AsyncPace, BlockingPace, step
from modelrouter.ports import Provider
from modelrouter.receipts import Receipt, new_call_id
from modelrouter.reply import Reply
from modelrouter.shadowing import Shadow
from modelrouter.streams import AsyncStream, Stream, stop_abandoned
from modelrouter.values import FactValue
from modelrouter.wiring import Credentials, check_arguments, key_reader, targets_of
from modelrouter.world import Approval, Clock, World

if TYPE_CHECKING:
    from typing import Unpack

    from opentelemetry.trace import TracerProvider

    from modelrouter.policy.bundle import Bundle
    from modelrouter.signing import BundleOptions

__all__ = ["Router"]

LOG = logging.getLogger("modelrouter")
DAYS_KEPT = 4


class Router:
    """Routes model calls by one policy.

    A router holds its own budgets and cache; two routers share neither. It may be used
    from any number of threads and event loops at once.

    Args:
        bundle: The loaded policy; see `Router.from_policy`.
        sends: False builds a router that only decides, for catalogues without endpoints.
        credentials: Returns the key of a model by catalogue id; asked at every attempt,
            before the environment variable named in the catalogue.
        endpoints: Endpoints by catalogue id, in place of the catalogue's.
        trusted_hosts: Hosts of self-hosted and private-cloud models that are neither
            loopback nor a private address.
        provider: Carries transmissions; LiteLLM by default.
        budgets: Keeps what is spent; this process's memory by default.
        cache: Keeps answers; this process's memory by default, up to 64 MiB.
        approve: Called where the policy asks for approval; returns whether it is given.
        receipts: Takes the receipt of every call, denied and failed ones included.
        receipt_key: Key of the content hash in receipts; random by default.
        shadow: A policy decided beside every call, in place of the one the policy names.
        tracer_provider: OpenTelemetry tracer provider; the global one by default.
        clock: The time; for tests.

    Raises:
        ConfigurationError: A model cannot be reached as the catalogue says.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        sends: bool = True,
        credentials: Credentials | None = None,
        endpoints: Mapping[str, Mapping[str, object]] | None = None,
        trusted_hosts: Collection[str] = (),
        provider: Provider | None = None,
        budgets: BudgetStore | None = None,
        cache: ExactCache | None = None,
        approve: Callable[[Approval], bool | Awaitable[bool]] | None = None,
        receipts: Callable[[Receipt], None] | None = None,
        receipt_key: bytes | None = None,
        shadow: Bundle | None = None,
        tracer_provider: TracerProvider | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_arguments(bundle, credentials=credentials, approve=approve, receipts=receipts)
        self._bundle: Bundle = bundle
        self._sends: bool = sends
        self._engines: dict[datetime.date, Engine] = {}
        self._clock: Clock = clock or Clock()
        self._receive: Callable[[Receipt], None] | None = receipts
        if provider is None:
            from modelrouter.litellm_provider import default_provider  # noqa: PLC0415 - only here

            provider = default_provider()
        shared = World(
            provider=provider,
            pace=AsyncPace(),
            ledger=budgets
            if budgets is not None
            else MemoryLedger(now=lambda: self._clock.now().timestamp()),
            cache=cache if cache is not None else ExactCache(),
            flights=Flights(),
            engine=self._engine,
            targets=targets_of(
                bundle,
                endpoints=endpoints or {},
                trusted_hosts=trusted_hosts,
                has_credentials=credentials is not None,
                provider=provider,
            )
            if sends
            else {},
            key=key_reader(credentials),
            approve=approve,
            receive=self._hand_over if receipts is not None else None,
            unfulfillable=frozenset({"redact"} if approve else {"redact", "approval"}),
            tracer=trace.get_tracer("modelrouter", tracer_provider=tracer_provider),
            warm=threading.Event(),
            clock=self._clock,
            secret=receipt_key or secrets.token_bytes(32),
            shadow=Shadow(shadow),
        )
        self._async: World = shared
        self._sync: World = shared.paced(BlockingPace())

    @classmethod
    def from_policy(
        cls,
        path: str | os.PathLike[str],
        *,
        sends: bool = True,
        credentials: Credentials | None = None,
        endpoints: Mapping[str, Mapping[str, object]] | None = None,
        trusted_hosts: Collection[str] = (),
        provider: Provider | None = None,
        budgets: BudgetStore | None = None,
        cache: ExactCache | None = None,
        approve: Callable[[Approval], bool | Awaitable[bool]] | None = None,
        receipts: Callable[[Receipt], None] | None = None,
        receipt_key: bytes | None = None,
        shadow: Bundle | None = None,
        tracer_provider: TracerProvider | None = None,
        clock: Clock | None = None,
    ) -> Router:
        """Return a router for the policy folder or file at `path`.

        The arguments are those of `Router`.

        Raises:
            PolicyError: The policy does not load; every problem is listed.
            ConfigurationError: A model cannot be reached as the catalogue says.
        """
        from modelrouter.loader import load  # noqa: PLC0415 - pydantic only when a policy loads

        return cls(
            load(os.fspath(path)),
            sends=sends,
            credentials=credentials,
            endpoints=endpoints,
            trusted_hosts=trusted_hosts,
            provider=provider,
            budgets=budgets,
            cache=cache,
            approve=approve,
            receipts=receipts,
            receipt_key=receipt_key,
            shadow=shadow,
            tracer_provider=tracer_provider,
            clock=clock,
        )

    @classmethod
    def from_bundle(cls, path: str | os.PathLike[str], **options: Unpack[BundleOptions]) -> Router:
        """Return a router for the signed bundle at `path`; see `BundleOptions`."""
        from modelrouter.signing import admission  # noqa: PLC0415 - as in `from_policy`

        with admission(path, **options) as (bundle, rest):
            return cls(bundle, **rest)

    @property
    def policy_digest(self) -> str:
        """Digest of the policy in force."""
        return self._bundle.digest

    def completion(self, messages: Messages, **call: Unpack[CallArguments]) -> Reply:
        """Decide, send and return the whole answer.

        Args:
            messages: OpenAI-shaped messages.
            **call: What is said to the router (`task`, `sensitivity`, `facts`, `needs`,
                `model`, `max_cost_usd`, `min_quality`, `max_ttft_ms`, `timeout`) and
                OpenAI's chat-completion parameters.

        Raises:
            CallError: An argument is wrong; nothing was decided or sent.
            PolicyDenied: The policy allows no model.
            BudgetExceeded: A model is allowed, but no budget has room.
            CallFailed: No allowed model answered.
        """
        return step(self._complete(self._sync, self._prepare(messages, call)))

    async def acompletion(self, messages: Messages, **call: Unpack[CallArguments]) -> Reply:
        """Decide, send and return the whole answer; see `completion`."""
        return await self._complete(self._async, self._prepare(messages, call))

    def stream(self, messages: Messages, **call: Unpack[CallArguments]) -> Stream:
        """Decide now, and return the answer piece by piece, sent for when the first is wanted."""
        return Stream(step(self._begin(self._sync, self._prepare(messages, call))))

    def astream(self, messages: Messages, **call: Unpack[CallArguments]) -> AsyncStream:
        """Return the answer piece by piece, for `async for`; see `completion`.

        The call is decided when the first piece is asked for.
        """
        prepared = self._prepare(messages, call)
        return AsyncStream(lambda: self._begin(self._async, prepared))

    def decide(self, messages: Messages, **call: Unpack[CallArguments]) -> Decision:
        """Return what would be decided for a call. Nothing is sent, held or denied.

        Raises:
            CallError: An argument is wrong.
        """
        return step(self._decide(self._prepare(messages, call)))

    def context(
        self,
        *,
        facts: Mapping[str, FactValue] | None = None,
        sensitivity: Sensitivity = None,
        task: str | None = None,
    ) -> AbstractContextManager[None]:
        """Return a context whose calls inherit facts, sensitivity and task.

        It follows `contextvars`: threads started with a copied context and asyncio tasks
        inherit it. A call inside may add to it, never contradict it.

        Raises:
            CallError: An argument is wrong, or contradicts the context around it.
        """
        names = {"facts": facts, "sensitivity": sensitivity, "task": task}
        return within(self, said(names))

    def _prepare(self, messages: object, call: Mapping[str, object]) -> Prepared:
        stop_abandoned()
        return prepare(messages, call, inherited(self), self._bundle)

    async def _begin(self, world: World, prepared: Prepared) -> Call:
        if not self._sends:
            raise ConfigurationError(
                "this router was built with `sends=False`: it decides, and sends nothing",
                hint="call `router.decide(...)`, or build it for sending",
            )
        call = await begin(world, prepared.payload, prepared.request)
        if prepared.timeout_s is not None:
            call.timeout_s = min(call.timeout_s, prepared.timeout_s)
        return call

    async def _complete(self, world: World, prepared: Prepared) -> Reply:
        return await complete(await self._begin(world, prepared))

    async def _decide(self, prepared: Prepared) -> Decision:
        now = self._clock.now()
        engine = self._engine(now.date())
        asked = read_request(prepared.request, engine, {})
        accounts = accounts_of(asked, engine, now, new_call_id(now.timestamp()))
        return decide(prepared.request, await snapshot_of(self._sync, engine, accounts))

    def _engine(self, day: datetime.date) -> Engine:
        """Return the policy compiled for a day."""
        engine = self._engines.get(day)
        if engine is None:
            engine = compile_bundle(self._bundle, day)
            while len(self._engines) >= DAYS_KEPT:
                self._engines.pop(next(iter(self._engines)), None)
            self._engines[day] = engine
        return engine

    def _hand_over(self, receipt: Receipt) -> None:
        """Pass a receipt on; a sink that fails must not cost the caller the answer."""
        try:
            if self._receive is not None:
                self._receive(receipt)
        except Exception as error:  # noqa: BLE001 - the application's own code
            # Not LOG.exception: a traceback could hold what the application knows of the call.
            name = type(error).__name__
            LOG.error("receipt of call %s was not taken: %s", receipt.call, name)  # noqa: TRY400
