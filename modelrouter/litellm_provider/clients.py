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

from modelrouter.litellm_provider.exchange import Stopped
from modelrouter.litellm_provider.loading import LiteLLM
from modelrouter.litellm_provider.routes import NO_KEY
from modelrouter.litellm_provider.wire import GuardedClient
from modelrouter.ports import Send

__all__ = ["Clients", "ClientsByLoop"]

# Endpoints times keys; beyond it the oldest is built anew.
DOORS = 64


class Clients:
    """The clients of one loop."""

    def __init__(self, litellm: LiteLLM, context: ssl.SSLContext) -> None:
        self._litellm = litellm
        self._context = context
        self._guarded: dict[bool, GuardedClient] = {}
        self._doors: dict[tuple[bool, str, str], Any] = {}
        self._keeper: AsyncGenerator[None, None] | None = None

    def door(self, send: Send) -> Any:  # noqa: ANN401 - of LiteLLM's class
        """Return what LiteLLM accepts as `client=` for this endpoint and key."""
        in_house = send.in_house
        guarded = self._guarded.get(in_house)
        if guarded is None:
            guarded = GuardedClient(proxies=not in_house, context=self._context)
            self._guarded[in_house] = guarded
        place = (in_house, send.api_base, send.key.reveal)
        if place not in self._doors:
            if len(self._doors) >= DOORS:
                del self._doors[next(iter(self._doors))]
            self._doors[place] = door(self._litellm, guarded, send)
        return self._doors[place]

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
            self._doors.clear()


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

    async def door(self, litellm: LiteLLM, send: Send) -> Any:  # noqa: ANN401 - of LiteLLM's class
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
        return found.door(send)

    async def aclose(self) -> None:
        """Close the clients of the running loop."""
        with self._lock:
            found = self._clients.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.aclose()


def door(litellm: LiteLLM, guarded: GuardedClient, send: Send) -> Any:  # noqa: ANN401 - of LiteLLM's class
    """Return a client that LiteLLM accepts whichever way it reaches a provider.

    Some providers go through LiteLLM's own HTTP handler, some through openai's client,
    and some have moved from one to the other. Given the wrong one, LiteLLM silently makes
    its own, which no exchange watches. So this is the one and shows the face of the other.
    """
    base: Any = litellm.handler
    sdk = litellm.sdk(
        api_key=send.key.reveal or NO_KEY,
        base_url=send.api_base,
        http_client=guarded,
        max_retries=0,
    )
    ready: list[GuardedClient] = [guarded]

    class Door(base):  # type: ignore[misc] # LiteLLM's class is untyped here
        def create_client(self, *_: object, **__: object) -> GuardedClient:
            """Give the guarded client once.

            The handler's `post` asks for a fresh one to send again when a connection failed.
            """
            if not ready:
                raise Stopped
            return ready.pop()

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever openai's client has
            """Answer as openai's client what the handler does not have."""
            return getattr(sdk, name)

    made = Door()
    made.client = guarded  # set, not made: so the handler does not close it
    return made
