"""The router: what an application builds once and calls everywhere."""

from __future__ import annotations

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
from modelrouter.engine.subject import read_request
from modelrouter.errors import ConfigurationError
from modelrouter.flow import complete
from modelrouter.in_force import in_force_of
from modelrouter.pace import AsyncPace, BlockingPace, step
from modelrouter.ports import Provider
from modelrouter.receipts import Receipt, new_call_id
from modelrouter.reply import Reply
from modelrouter.shadowing import Shadow
from modelrouter.streams import AsyncStream, Stream, stop_abandoned
from modelrouter.under_policy import UnderPolicy
from modelrouter.values import FactValue
from modelrouter.wiring import (
    Credentials,
    TargetBuilder,
    check_arguments,
    key_reader,
    receiver_of,
)
from modelrouter.world import Approval, Clock, World

if TYPE_CHECKING:
    from typing import Unpack

    from opentelemetry.trace import TracerProvider

    from modelrouter.policy.bundle import Bundle
    from modelrouter.reloading import Reload
    from modelrouter.signing import BundleOptions

__all__ = ["Router"]


class Router(UnderPolicy):
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
        clock = clock or Clock()
        if provider is None:
            from modelrouter.litellm_provider import default_provider  # noqa: PLC0415 - only here

            provider = default_provider()
        self._sends: bool = sends
        self._clock: Clock = clock
        self._builder: TargetBuilder = TargetBuilder(
            sends=sends,
            endpoints={} if endpoints is None else dict(endpoints),
            trusted_hosts=trusted_hosts,
            has_credentials=credentials is not None,
            provider=provider,
        )
        in_force = in_force_of(bundle, self._builder.build(bundle), clock)
        shared = World(
            provider=provider,
            pace=AsyncPace(),
            ledger=budgets
            if budgets is not None
            else MemoryLedger(now=lambda: clock.now().timestamp()),
            cache=cache if cache is not None else ExactCache(),
            flights=Flights(),
            policy=in_force.policy,
            in_force=in_force,
            key=key_reader(credentials),
            approve=approve,
            receive=receiver_of(receipts),
            unfulfillable=frozenset({"redact"} if approve else {"redact", "approval"}),
            tracer=trace.get_tracer("modelrouter", tracer_provider=tracer_provider),
            warm=threading.Event(),
            clock=clock,
            secret=receipt_key or secrets.token_bytes(32),
            shadow=Shadow(shadow),
        )
        super().__init__((shared.paced(BlockingPace()), shared))

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
        reload: Reload | None = None,
    ) -> Router:
        """Return a router for the policy folder or file at `path`.

        With `reload`, the files of the policy are followed; without it they are loaded again
        by `reload()` alone. The other arguments are those of `Router`.

        Raises:
            PolicyError: The policy does not load, or does not pass the gates of `reload`.
            ConfigurationError: A model cannot be reached as the catalogue says.
        """
        from modelrouter.beginning import (  # noqa: PLC0415 - pydantic only when a policy loads
            first_reading,
        )

        clock = clock or Clock()
        beginning = first_reading(os.fspath(path), reload, clock)
        router = cls(
            beginning.bundle,
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
        router._follower = beginning.follow(reload, router._in_force, router._builder.rebuild)
        return router

    @classmethod
    def from_bundle(cls, path: str | os.PathLike[str], **options: Unpack[BundleOptions]) -> Router:
        """Return a router for the signed bundle at `path`; see `BundleOptions`."""
        from modelrouter.signing import admission  # noqa: PLC0415 - as in `from_policy`

        with admission(path, **options) as (bundle, rest):
            return cls(bundle, **rest)

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
        prepared, (world, _) = self._prepare(messages, call)
        return step(self._complete(world, prepared))

    async def acompletion(self, messages: Messages, **call: Unpack[CallArguments]) -> Reply:
        """Decide, send and return the whole answer; see `completion`."""
        prepared, (_, world) = self._prepare(messages, call)
        return await self._complete(world, prepared)

    def stream(self, messages: Messages, **call: Unpack[CallArguments]) -> Stream:
        """Decide now, and return the answer piece by piece, sent for when the first is wanted."""
        prepared, (world, _) = self._prepare(messages, call)
        return Stream(step(self._begin(world, prepared)))

    def astream(self, messages: Messages, **call: Unpack[CallArguments]) -> AsyncStream:
        """Return the answer piece by piece, for `async for`; see `completion`.

        The call is decided when the first piece is asked for, by the policy in force then.
        """
        prepared, _ = self._prepare(messages, call)
        return AsyncStream(lambda: self._begin_later(prepared))

    def decide(self, messages: Messages, **call: Unpack[CallArguments]) -> Decision:
        """Return what would be decided for a call. Nothing is sent, held or denied.

        Raises:
            CallError: An argument is wrong.
        """
        prepared, (world, _) = self._prepare(messages, call)
        return step(self._decide(world, prepared))

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

    def _prepare(
        self, messages: object, call: Mapping[str, object]
    ) -> tuple[Prepared, tuple[World, World]]:
        """Return the checked call, and the worlds of the policy it was checked against."""
        stop_abandoned()
        worlds = self._newest_worlds()
        return prepare(messages, call, inherited(self), worlds[0].policy.bundle), worlds

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

    async def _begin_later(self, prepared: Prepared) -> Call:
        _, world = self._newest_worlds()
        return await self._begin(world, prepared.under(world.policy.bundle))

    async def _complete(self, world: World, prepared: Prepared) -> Reply:
        return await complete(await self._begin(world, prepared))

    async def _decide(self, world: World, prepared: Prepared) -> Decision:
        now = self._clock.now()
        engine = world.policy.engine(now.date())
        asked = read_request(prepared.request, engine, {})
        accounts = accounts_of(asked, engine, now, new_call_id(now.timestamp()))
        return decide(prepared.request, await snapshot_of(world, engine, accounts))
