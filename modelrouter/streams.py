"""Streamed answers as callers hold them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Self

from modelrouter.calls import Call
from modelrouter.decision import Decision
from modelrouter.flow import stream
from modelrouter.pace import Stepped, StoppablePace
from modelrouter.ports import Chunk
from modelrouter.relay import Outcome
from modelrouter.reply import Reply

__all__ = ["AsyncStream", "Stream", "stop_abandoned"]

OPEN: dict[int, tuple[Stepped[Chunk], Call]] = {}
"""Streams under way. Held here, so that the garbage collector, which may run while a thread
holds a lock that settling needs, never closes one itself."""
ABANDONED: deque[int] = deque()
"""Those of them that were dropped before their end."""
CLOSING_S = 5.0
"""Most seconds that closing waits for the thread that reads."""
UNFINISHED = "the stream has not come to its end"


def stop_abandoned() -> None:
    """Stop every stream that was dropped before its end, and settle it."""
    while ABANDONED:
        try:
            key = ABANDONED.popleft()
        except IndexError:  # another thread took the last one
            return
        stop(key)


def stop(key: int) -> None:
    """Stop one stream and settle it. A second time does nothing."""
    found = OPEN.pop(key, None)
    if found is not None:
        pieces, call = found
        pieces.close()
        # A generator that was never asked for a piece has no end of its own.
        call.finish(error=GeneratorExit())


class Stream(Iterator[Chunk]):
    """A streamed answer: iterate it, or close it to stop the model.

    Any thread may close it; the one that reads comes to its end then, without a reply.

    Attributes:
        decision: What the policy decided.
    """

    def __init__(self, call: Call) -> None:
        self.decision: Decision = call.decision
        self._outcome: Outcome = Outcome()
        self._pace: StoppablePace = StoppablePace()
        call.world = call.world.paced(self._pace)
        self._turn: threading.Lock = threading.Lock()
        self._reader: int | None = None
        self._pieces: Stepped[Chunk] = Stepped(stream(call, self._outcome))
        self._key: int = id(self._pieces)
        OPEN[self._key] = (self._pieces, call)

    def __iter__(self) -> Stream:
        """Return itself."""
        return self

    def __next__(self) -> Chunk:
        """Return the next piece.

        Raises:
            ModelRouterError: The call failed, before or after the first piece.
        """
        with self._turn:
            self._reader = threading.get_ident()
            try:
                return next(self._pieces)
            except asyncio.CancelledError:
                OPEN.pop(self._key, None)
                if not self._pace.stopped:
                    raise
            except BaseException:
                OPEN.pop(self._key, None)  # it has come to its end, one way or the other
                raise
            finally:
                self._reader = None
        raise StopIteration

    @property
    def reply(self) -> Reply:
        """The whole reply, once the stream has come to its end.

        Raises:
            RuntimeError: It has not.
        """
        if self._outcome.reply is None:
            raise RuntimeError(UNFINISHED)
        return self._outcome.reply

    def close(self) -> None:
        """Stop: the connection is closed and the money settled.

        While another thread waits for a piece, that thread settles.
        """
        self._pace.stop()
        if self._reader == threading.get_ident() or not self._turn.acquire(timeout=CLOSING_S):
            return
        try:
            stop(self._key)
        finally:
            self._turn.release()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.close()

    def __del__(self) -> None:
        """Leave a stream nobody reads any more to be stopped with the next call.

        Not here: the garbage collector may run this while the same thread holds a lock
        that settling needs.
        """
        key: int | None = getattr(self, "_key", None)
        if key is not None and key in OPEN:
            ABANDONED.append(key)


class AsyncStream(AsyncIterator[Chunk]):
    """A streamed answer for `async for`; close it to stop the model."""

    def __init__(self, begin: Callable[[], Awaitable[Call]]) -> None:
        self._begin: Callable[[], Awaitable[Call]] = begin
        self._outcome: Outcome = Outcome()
        self._pieces: AsyncGenerator[Chunk, None] | None = None
        self._decision: Decision | None = None

    def __aiter__(self) -> AsyncStream:
        """Return itself."""
        return self

    async def __anext__(self) -> Chunk:
        """Return the next piece.

        Raises:
            ModelRouterError: The call was denied or failed.
        """
        if self._pieces is None:
            call = await self._begin()
            self._decision = call.decision
            self._pieces = stream(call, self._outcome)
        return await anext(self._pieces)

    @property
    def decision(self) -> Decision:
        """What the policy decided, once the first piece has been asked for.

        Raises:
            RuntimeError: Nothing has been asked for.
        """
        if self._decision is None:
            raise RuntimeError(UNFINISHED)
        return self._decision

    @property
    def reply(self) -> Reply:
        """The whole reply, once the stream has come to its end.

        Raises:
            RuntimeError: It has not.
        """
        if self._outcome.reply is None:
            raise RuntimeError(UNFINISHED)
        return self._outcome.reply

    async def aclose(self) -> None:
        """Stop: the connection is closed and the money settled."""
        if self._pieces is not None:
            await self._pieces.aclose()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.aclose()
