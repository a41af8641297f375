"""HTTP clients, one set for each event loop.

A connection belongs to the loop it was opened in, and applications run several: one for
each `asyncio.run`, one in a thread for the synchronous API. Each loop's clients are closed
with the loop.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from modelrouter.litellm_provider.exchange import GuardedClient, Stopped
from modelrouter.litellm_provider.loading import LiteLLM
from modelrouter.litellm_provider.routes import NO_KEY, Route
from modelrouter.ports import Send

__all__ = ["Clients", "ClientsByLoop"]

# Endpoints times keys; beyond it the oldest is built anew.
SDK_CLIENTS = 64


class Clients:
    """The clients of one loop."""

    def __init__(self, litellm: LiteLLM, context: ssl.SSLContext) -> None:
        self._litellm = litellm
        self._context = context
        self._guarded: dict[bool, GuardedClient] = {}
        self._handlers: dict[bool, Any] = {}
        self._sdk: dict[tuple[bool, str, str], Any] = {}
        self._keeper: AsyncGenerator[None, None] | None = None

    def client(self, route: Route, send: Send) -> Any:  # noqa: ANN401 - LiteLLM takes either class
        """Return what LiteLLM accepts as `client=`: its own handler or openai's client."""
        in_house = send.in_house
        guarded = self._guarded.get(in_house)
        if guarded is None:
            guarded = GuardedClient(proxies=not in_house, context=self._context)
            self._guarded[in_house] = guarded
            self._handlers[in_house] = handler(self._litellm, guarded)
        if route.client == "handler":
            return self._handlers[in_house]
        key = send.key.reveal or NO_KEY
        place = (in_house, send.api_base, key)
        if place not in self._sdk:
            if len(self._sdk) >= SDK_CLIENTS:
                del self._sdk[next(iter(self._sdk))]
            self._sdk[place] = self._litellm.sdk(
                api_key=key, base_url=send.api_base, http_client=guarded, max_retries=0
            )
        return self._sdk[place]

    async def keep(self) -> None:
        """Have the loop close the clients at its end.

        A loop finishes every asynchronous generator before it closes; one that waits in
        a `try` runs its `finally` then.
        """
        self._keeper = self._close_at_end()
        await anext(self._keeper)

    async def aclose(self) -> None:
        """Close every client of this loop."""
        if self._keeper is not None:
            await self._keeper.aclose()

    async def _close_at_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            for guarded in self._guarded.values():
                await guarded.aclose()
            self._guarded.clear()
            self._handlers.clear()
            self._sdk.clear()


class ClientsByLoop:
    """Finds the clients of the running loop; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[asyncio.AbstractEventLoop, Clients] = {}
        self._context: ssl.SSLContext | None = None

    def prepare(self) -> ssl.SSLContext:
        """Load the trusted certificates, once; SSL_CERT_FILE and SSL_CERT_DIR count."""
        with self._lock:
            if self._context is None:
                self._context = httpx.create_ssl_context()
            return self._context

    async def client(self, litellm: LiteLLM, route: Route, send: Send) -> Any:  # noqa: ANN401 - LiteLLM takes either class
        """Return what LiteLLM is to send with, in the running loop."""
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            found = Clients(litellm, self.prepare())
            with self._lock:
                for old in [old for old in self._clients if old.is_closed()]:
                    del self._clients[old]
                self._clients[loop] = found
            await found.keep()
        return found.client(route, send)

    async def aclose(self) -> None:
        """Close the clients of the running loop."""
        with self._lock:
            found = self._clients.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.aclose()


def handler(litellm: LiteLLM, guarded: GuardedClient) -> Any:  # noqa: ANN401 - LiteLLM's class
    """Return LiteLLM's HTTP handler around a guarded client.

    Its `post` builds a fresh client and sends again when a connection fails; this one
    has no second client to give.
    """
    base: Any = litellm.handler
    ready: list[GuardedClient] = [guarded]

    class Handler(base):  # type: ignore[misc] # LiteLLM's class is untyped here
        def create_client(self, *_: object, **__: object) -> GuardedClient:
            if not ready:
                raise Stopped
            return ready.pop()

    made = Handler()
    made.client = guarded  # set, not made: so the handler does not close it
    return made
