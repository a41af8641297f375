"""Streamed answers as callers hold them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from modelrouter.calls import Call
from modelrouter.decision import Decision
from modelrouter.flow import stream
from modelrouter.pace import Stepped
from modelrouter.ports import Chunk
from modelrouter.relay import Outcome
from modelrouter.reply import Reply
from modelrouter.stopping import StoppablePace

__all__ = ["AsyncStream", "Stream", "stop_abandoned"]

OPEN: dict[int, tuple[Stepped[Chunk], Call]] = {}
"""Streams under way. Held here, so that the garbage collector, which may run while a thread
holds a lock that settling needs, never closes one itself."""
ABANDONED: deque[int] = deque()
"""Those of them that were dropped before their end."""
STOP_S = 5.0
REENTERED = "a stream was asked for a piece while the same thread waits for one"
BEGUN: dict[int, Begun] = {}
"""Asynchronous streams under way, by number."""
LEFT: deque[int] = deque()
"""Those of them that were dropped before their end. Their own loop closes them, while it lives."""
CLOSING: set[asyncio.Task[None]] = set()
"""A loop itself holds its tasks weakly."""
NUMBERS = itertools.count()
LOG = logging.getLogger("modelrouter")
UNFINISHED = "the stream has not come to its end"


def stop_abandoned() -> None:
    """Stop every stream that was dropped before its end, and settle it."""
    while ABANDONED:
        try:
            key = ABANDONED.popleft()
        except IndexError:  # another thread took the last one
            return
        stop(key)
    for _ in range(len(LEFT)):
        try:
            key = LEFT.popleft()
        except IndexError:  # as above
            return
        settle_left(key)


def stop(key: int) -> None:
    """Stop one stream and settle it. A second time does nothing."""
    found = OPEN.pop(key, None)
    if found is not None:
        pieces, call = found
        pieces.close()
        # A generator that was never asked for a piece has no end of its own.
        call.finish(error=GeneratorExit())


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An asynchronous stream under way, and the loop it belongs to."""

    pieces: AsyncGenerator[Chunk, None]
    call: Call
    loop: asyncio.AbstractEventLoop

    async def close(self, key: int) -> None:
        """Stop it, on its own loop."""
        try:
            await self.pieces.aclose()
        finally:
            BEGUN.pop(key, None)


def settle_left(key: int) -> None:
    """Settle an asynchronous stream that was dropped, if its loop cannot do so any more."""
    begun = BEGUN.get(key)
    if begun is None:
        return
    if not begun.loop.is_closed():
        LEFT.append(key)
        return
    if BEGUN.pop(key, None) is None:  # another thread took it
        return
    try:
        Stepped(begun.pieces).close()
    except Exception as error:  # noqa: BLE001 - its connections went with the loop; the money is settled
        LOG.debug("a stream of a closed event loop: %s", type(error).__name__)
    finally:
        begun.call.finish(error=GeneratorExit())


class Stream(Iterator[Chunk]):
    """A streamed answer: iterate it, or close it to stop the model.

    Threads that iterate the same stream take turns.

    Attributes:
        decision: What the policy decided.
    """

    def __init__(self, call: Call) -> None:
        self.decision: Decision = call.decision
        self._outcome: Outcome = Outcome()
        self._pace: StoppablePace = StoppablePace()
        call.world = call.world.paced(self._pace)
        self._turn: threading.RLock = threading.RLock()
        self._busy: bool = False
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
            if self._busy:
                raise RuntimeError(REENTERED)
            self._busy = True
            try:
                return self._next_piece()
            finally:
                self._busy = False

    def _next_piece(self) -> Chunk:
        try:
            return next(self._pieces)
        except BaseException as error:
            OPEN.pop(self._key, None)  # it has come to its end, one way or the other
            if not (isinstance(error, GeneratorExit) and self._pace.stopped.is_set()):
                raise
        raise StopIteration  # closed meanwhile, by another thread

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

        Any thread may ask for it. A thread that waits for a piece then comes to the end of its
        iteration; it is waited for, up to some seconds.
        """
        self._pace.stop()
        if not self._turn.acquire(timeout=STOP_S):
            return  # it is in code of the application, and ends when it comes back
        try:
            if not self._busy:
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
        self._call: Call | None = None
        self._key: int = -1

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
            self._call, self._key = call, next(NUMBERS)
            self._pieces = stream(call, self._outcome)
            loop = asyncio.get_running_loop()
            BEGUN[self._key] = Begun(pieces=self._pieces, call=call, loop=loop)
        try:
            return await anext(self._pieces)
        finally:
            self._forget()

    def _forget(self) -> None:
        """Let go of a stream that has come to its end, one way or the other."""
        if self._call is not None and self._call.ended is not None:
            BEGUN.pop(self._key, None)

    @property
    def decision(self) -> Decision:
        """What the policy decided, once the first piece has been asked for.

        Raises:
            RuntimeError: Nothing has been asked for.
        """
        if self._call is None:
            raise RuntimeError(UNFINISHED)
        return self._call.decision

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
            self._forget()

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

    def __del__(self) -> None:
        """Leave a stream nobody reads any more to its loop, or to the next call without one."""
        key: int = getattr(self, "_key", -1)
        begun = BEGUN.get(key)
        if begun is None:
            return
        LEFT.append(key)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            begun.loop.call_soon_threadsafe(close_soon, begun, key)


def close_soon(begun: Begun, key: int) -> None:
    """Begin to close a stream, on its own loop."""
    task = begun.loop.create_task(begun.close(key))
    CLOSING.add(task)
    task.add_done_callback(CLOSING.discard)
