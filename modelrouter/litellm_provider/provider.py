"""The provider that reaches every vendor: one transmission through LiteLLM."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from modelrouter import answers
from modelrouter.errors import ConfigurationError, ErrorKind
from modelrouter.litellm_provider.faults import Fault
from modelrouter.litellm_provider.loading import LiteLLM, load
from modelrouter.litellm_provider.routes import ROUTES
from modelrouter.ports import Chunk, Completion, ProviderError, Send
from modelrouter.values import Json, Usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

    from modelrouter.litellm_provider.call import Call
    from modelrouter.litellm_provider.clients import ClientsByLoop

__all__ = ["LiteLLMProvider"]


class LiteLLMProvider:
    """Carries one transmission through LiteLLM and brings the answer back.

    Every call is watched on the wire: one request, to the declared origin, with the
    declared key; what LiteLLM makes of the answer counts only if the bytes agree. That
    works for the providers of `routes.GUARDED_PROVIDERS`. LiteLLM reaches the others by
    clients of its own, which retry, follow redirects and take proxies from the environment,
    so they have to be named, and are never used in-house.

    Safe from several threads and event loops. Nothing is imported or opened before the
    first call or `warm_up`.

    Args:
        unguarded: LiteLLM providers beyond the guarded ones that may be used without a
            watch on the wire, for example `{"bedrock"}`.

    Example:
        ```python
        provider = LiteLLMProvider()
        await provider.warm_up()
        completion = await provider.complete(send)
        ```
    """

    def __init__(self, *, unguarded: Collection[str] = ()) -> None:
        self._unguarded = frozenset(unguarded)
        self._lock = threading.Lock()
        self._tools: tuple[LiteLLM, ClientsByLoop] | None = None

    def refusal(self, upstream: str, *, in_house: bool) -> str | None:
        """Return why a model cannot be reached, or None if it can."""
        name, slash, _ = upstream.partition("/")
        if name in ROUTES and slash:
            return None
        if not slash:
            return f"`{upstream}` names no provider; write for example `openai/{upstream}`"
        if in_house:
            return (
                f"a model in the house cannot be reached with `{name}/`; servers with an "
                f"OpenAI-compatible API, Ollama included, are `hosted_vllm/`"
            )
        if name in self._unguarded:
            return None
        return (
            f"calls with `{name}/` cannot be watched on the wire; name it in "
            f'`LiteLLMProvider(unguarded={{"{name}"}})` to use it all the same'
        )

    async def warm_up(self) -> None:
        """Import LiteLLM (about three seconds) and load the trusted certificates.

        Both happen in a worker thread, so that the event loop goes on.

        Raises:
            ConfigurationError: The process has LiteLLM send every call elsewhere.
        """
        litellm, _ = await asyncio.to_thread(self._load)
        if litellm.redirected:
            raise ConfigurationError(
                "LiteLLM is set to send every call to its proxy or to fallback models",
                hint="unset the environment variable `USE_LITELLM_PROXY`, and leave"
                " `litellm.use_litellm_proxy` and `litellm.model_fallbacks` alone",
            )

    async def complete(self, send: Send) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderError: The attempt failed; a missing finish reason is a failure.
        """
        if not send.in_house:
            return await self._plain(send)
        started = time.monotonic()
        first: float | None = None
        assembly = answers.Assembly()
        usage: Usage | None = None
        async with aclosing(self._read(send)) as chunks:
            async for chunk in chunks:
                first = time.monotonic() - started if first is None else first
                usage = chunk.usage or usage
                assembly.add(chunk.payload)
        payload = assembly.payload(usage)
        upstream = str(payload.get("model") or send.upstream)
        return Completion(payload=payload, usage=usage, upstream=upstream, first_chunk_s=first)

    def stream(self, send: Send) -> AsyncGenerator[Chunk, None]:
        """Yield the answer piece by piece; closing the generator closes the connection.

        Raises:
            ProviderError: The attempt failed, at any point; a stream that ends without a
                finish reason is a failure.
        """
        return self._read(send)

    def as_response(self, payload: Mapping[str, Json]) -> ChatCompletion:
        """Return a stored `payload` as an OpenAI `ChatCompletion`."""
        from openai.types.chat import ChatCompletion  # noqa: PLC0415 - 0.5 s to import

        return ChatCompletion.construct(None, **payload)

    async def aclose(self) -> None:
        """Close the connections of the running event loop.

        A loop closes them itself when it ends by `asyncio.run` or a runner like it.
        """
        if self._tools is not None:
            await self._tools[1].aclose()

    async def _plain(self, send: Send) -> Completion:
        """Call a vendor without streaming."""
        call = await self._call(send, stream=False)
        try:
            answer = await call.step(call.whole())
        finally:
            await call.close()
        return settled(answer, send)

    async def _read(self, send: Send) -> AsyncGenerator[Chunk, None]:
        """Read an answer as a stream."""
        call = await self._call(send, stream=True)
        try:
            found: list[Chunk] | Fault | None = await call.step(call.open())
            while not isinstance(found, Fault):
                found = await call.step(call.pieces())
                if not isinstance(found, list) or not found:
                    break
                for chunk in found:
                    yield chunk
            # A connection may fail after the last word: then nothing is missing.
            if not call.complete:
                fault = found if isinstance(found, Fault) else INCOMPLETE
                yield answers.as_one_chunk(settled(fault, send))
        finally:
            await call.close()

    async def _call(self, send: Send, *, stream: bool) -> Call:
        """Choose how the provider is reached.

        Raises:
            ProviderError: It cannot be reached as safely as the call asks.
        """
        deadline = asyncio.get_running_loop().time() + send.timeout_s
        name = send.upstream.partition("/")[0]
        route = ROUTES.get(name)
        if route is None and (send.in_house or name not in self._unguarded):
            raise ProviderError(ErrorKind.INTERNAL)
        fault = await self._loaded_by(deadline)
        if fault is not None:
            raise fault.error()
        litellm, clients = self._load()
        if litellm.redirected or (route is not None and litellm.bridged(send.upstream)):
            raise ProviderError(ErrorKind.INTERNAL)
        from modelrouter.litellm_provider.call import Call  # noqa: PLC0415 - imports httpx

        client = None if route is None else await clients.door(litellm, send)
        return Call(
            send, route=route, litellm=litellm, client=client, deadline=deadline, stream=stream
        )

    async def _loaded_by(self, deadline: float) -> Fault | None:
        """Have everything loaded, in a worker thread if need be; return why it is not."""
        if self._tools is not None:
            return None
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.to_thread(self._load)
        except TimeoutError:  # the thread goes on: the next call finds it done
            return Fault(kind=ErrorKind.TIMEOUT)
        except ImportError:
            return Fault(kind=ErrorKind.INTERNAL)
        return None

    def _load(self) -> tuple[LiteLLM, ClientsByLoop]:
        """Import what a call needs; safe from several threads."""
        if self._tools is None:
            litellm = load()
            from modelrouter.litellm_provider.clients import ClientsByLoop  # noqa: PLC0415 - httpx

            with self._lock:
                if self._tools is None:
                    clients = ClientsByLoop()
                    clients.prepare()
                    self._tools = (litellm, clients)
        return self._tools


INCOMPLETE = Fault(kind=ErrorKind.INCOMPLETE, status=200, billed=True)


def settled(answer: Completion | Fault, send: Send) -> Completion:
    """Return the answer; a provider that declines the content has answered.

    Raises:
        ProviderError: Any other fault.
    """
    if isinstance(answer, Completion):
        return answer
    if answer.refused:
        return answers.refusal(send.upstream)
    raise answer.error()
