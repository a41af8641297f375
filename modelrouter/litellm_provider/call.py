"""One call of LiteLLM, from its arguments to what came of it, under a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from modelrouter import answers
from modelrouter.errors import ErrorKind
from modelrouter.litellm_provider.exchange import Exchange
from modelrouter.litellm_provider.faults import Fault, fault_of_exception
from modelrouter.litellm_provider.loading import LiteLLM
from modelrouter.litellm_provider.quiet import CURRENT, hush
from modelrouter.litellm_provider.routes import NO_KEY, Route
from modelrouter.litellm_provider.witness import openai_usage
from modelrouter.ports import Chunk, Completion, Send
from modelrouter.values import Json

__all__ = ["Call"]

T = TypeVar("T")


class Call:
    """One transmission under way.

    Args:
        send: What is sent where.
        route: How the provider is reached; None without a watch on the wire.
        litellm: The library.
        client: What LiteLLM is to send with, or None for its own.
        deadline: When to give up, on the running loop's clock.
        stream: Whether the answer is read as a stream.
    """

    def __init__(
        self,
        send: Send,
        *,
        route: Route | None,
        litellm: LiteLLM,
        client: Any,  # noqa: ANN401 - either class that LiteLLM accepts
        deadline: float,
        stream: bool,
    ) -> None:
        self._send = send
        self._route = route
        self._litellm = litellm
        self._client = client
        self._deadline = deadline
        self._stream = stream
        self._opened: Any = None
        self._ended = False
        self._exchange = Exchange(
            api_base=send.api_base,
            key=send.key.reveal,
            in_house=send.in_house,
            stream=stream,
            dialect="openai" if route is None else route.dialect,
        )

    async def step(self, work: Awaitable[T]) -> T | Fault:
        """Carry out one step while logs are silent, until the deadline.

        A fault is returned, not raised: raised outside of any `except` block, an error has
        no context that quotes the provider.
        """
        token = CURRENT.set(self._exchange)
        try:
            async with asyncio.timeout_at(self._deadline):
                return await work
        except TimeoutError:
            return Fault(kind=ErrorKind.TIMEOUT, billed=self._sent)
        except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is one of our kinds
            return self._exchange.fault or fault_of_exception(
                error, sent=self._sent, guarded=self._route is not None
            )
        finally:
            CURRENT.reset(token)

    async def open(self) -> None:
        """Send the request."""
        hush()
        send = self._send
        route = self._route or Route()
        options: dict[str, Any] = answers.plain(send.parameters)
        if send.max_output is not None:
            options |= route.limit(send.upstream, send.max_output)
        if self._stream:
            options |= {"stream": True, "stream_options": {"include_usage": True}}
        if self._client is not None:
            options["client"] = self._client
        if self._native:  # LiteLLM would leave out `user`, and refuse what newer servers take
            options["allowed_openai_params"] = [*send.parameters]
        self._opened = await self._litellm.acompletion(
            model=route.name(send.upstream),
            messages=[answers.plain(message) for message in send.messages],
            api_base=send.api_base,
            api_key=send.key.reveal or NO_KEY,
            timeout=send.timeout_s,
            num_retries=0,
            max_retries=0,
            caching=False,
            drop_params=False,
            # LiteLLM's own tool server would run tools, and is missing parts without `mcp`.
            _skip_mcp_handler=True,
            **{"no-log": True},  # the host's LiteLLM callbacks are no recipients
            **options,
        )

    async def whole(self) -> Completion:
        """Send the request and return the plain answer."""
        await self.open()
        self._check_watched()
        answer = self._exchange.witness.frames[0] if self._native else dumped(self._opened)
        usage = openai_usage(answer) if self._route is None else self._exchange.witness.usage
        payload = answers.whole_payload(answer, usage)
        upstream = str(self._exchange.witness.model or payload["model"] or self._send.upstream)
        return Completion(payload=payload, usage=usage, upstream=upstream)

    async def pieces(self) -> list[Chunk]:
        """Return the next chunks of the stream; none when it is over."""
        if not self._native:
            return [] if self._ended else await self._translated()
        frames = await self._exchange.frames()
        if not frames:
            await self._exchange.drain()
        return [answers.as_chunk(frame, openai_usage(frame)) for frame in frames]

    @property
    def complete(self) -> bool:
        """Whether the provider itself has said that every choice is complete."""
        if not self._native:
            return self._ended
        wanted = self._send.parameters.get("n") or 1
        witness = self._exchange.witness
        return witness.finished and (not isinstance(wanted, int) or witness.choices >= wanted)

    async def close(self) -> None:
        """Give up whatever is left; an unfinished stream closes its connection."""
        token = CURRENT.set(self._exchange)
        try:
            await self._exchange.close()
            if hasattr(self._opened, "aclose"):
                await self._opened.aclose()
        except Exception:  # noqa: BLE001, S110 - nothing is left to be lost
            pass
        finally:
            CURRENT.reset(token)

    @property
    def _native(self) -> bool:
        """Whether the answer is taken from the wire as it is."""
        return self._route is not None and self._route.native

    @property
    def _sent(self) -> bool:
        """Whether a request may have gone out."""
        return self._exchange.sent or self._route is None

    async def _translated(self) -> list[Chunk]:
        """Return the next chunk as LiteLLM translates it.

        LiteLLM invents a finish reason for a stream that broke off: such a piece is
        dropped, which leaves the call incomplete. Once the real one has come, the rest is
        not read through LiteLLM, which would count tokens that nobody reported, for some
        models with a tokenizer from the network.
        """
        piece = await anext(self._opened, None)
        self._check_watched()
        if piece is None:
            return []
        chunk = answers.as_chunk(dumped(piece))
        if chunk.finish_reason is None:
            return [chunk]
        if self._route is None:
            self._ended = self._opened.received_finish_reason is not None
            usage = await self._own_usage()
        else:
            self._ended = self._exchange.witness.finished
            await self._exchange.drain()
            usage = self._exchange.witness.usage
        if not self._ended:
            return []
        return [chunk] if usage is None else [chunk, answers.usage_chunk(chunk, usage)]

    def _check_watched(self) -> None:
        """Refuse an answer that came by a client of LiteLLM's own.

        Raises:
            Stopped: The route promises a watch on the wire, and the wire was silent.
        """
        if self._route is not None and not self._exchange.sent:
            raise self._exchange.stop(Fault(kind=ErrorKind.INTERNAL, billed=True))

    async def _own_usage(self) -> Any:  # noqa: ANN401
        """Return the usage that LiteLLM reports at the end of an unguarded stream."""
        usage = None
        async for piece in self._opened:
            usage = openai_usage(dumped(piece)) or usage
        return usage


def dumped(answer: Any) -> dict[str, Json]:  # noqa: ANN401 - LiteLLM's object
    """Return an object of LiteLLM as JSON values."""
    found: dict[str, Json] = answer.model_dump(mode="json", exclude_none=True)
    return found
