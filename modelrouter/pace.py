"""How a call waits. One coroutine serves both APIs; only this differs.

The asynchronous API suspends. The synchronous API steps the same coroutine with
`coro.send(None)` over `BlockingPace`, which never suspends: the provider's work runs on
one background event loop, shared by all routers, started on first use, so that wall
deadlines and cancellation hold for synchronous calls too.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import queue
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from modelrouter.background import BACKGROUND

__all__ = ["AsyncPace", "BlockingPace", "Pace", "Stepped", "step"]

T = TypeVar("T")
GRACE_S = 0.5
"""What a blocked thread waits beyond the deadline for the loop to clean up."""


class Pace(Protocol):
    """Ways of waiting."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    async def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
        """Return what `work` returns.

        Raises:
            TimeoutError: It took longer; it has been cancelled.
        """
        ...

    def pull(self, source: AsyncGenerator[T, None], *, deadline: float) -> AsyncGenerator[T, None]:
        """Yield from `source` until `deadline` on the monotonic clock; close it in any case.

        Raises:
            TimeoutError: The deadline passed.
        """
        ...

    async def join(self, landing: concurrent.futures.Future[T], *, timeout_s: float) -> T | None:
        """Return the result of another call, or None if it takes longer."""
        ...

    def lane(self) -> Hashable:
        """Return what calls must share to be able to wait for each other."""
        ...

    def owner(self) -> Hashable:
        """Return the thread or task that calls."""
        ...


class AsyncPace:
    """Waits by suspending."""

    __slots__ = ()

    async def sleep(self, seconds: float) -> None:
        """Suspend for a while."""
        await asyncio.sleep(seconds)

    async def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
        """Return what `work` returns, or cancel it at the deadline."""
        async with asyncio.timeout(timeout_s):
            return await work

    async def pull(
        self, source: AsyncGenerator[T, None], *, deadline: float
    ) -> AsyncGenerator[T, None]:
        """Yield from `source`; the deadline is checked at every piece."""
        try:
            while True:
                try:
                    # Not around the yield: the caller's own time is not cut short mid-piece.
                    async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                        piece = await anext(source)
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            await source.aclose()

    async def join(self, landing: concurrent.futures.Future[T], *, timeout_s: float) -> T | None:
        """Await another task's answer."""
        waiting = asyncio.wrap_future(landing)
        done, _ = await asyncio.wait([waiting], timeout=timeout_s)
        return waiting.result() if done else None

    def lane(self) -> Hashable:
        """Return the running loop."""
        return id(asyncio.get_running_loop())

    def owner(self) -> Hashable:
        """Return the current task."""
        return id(asyncio.current_task())


class BlockingPace:
    """Waits by blocking the calling thread; the work runs on the background loop."""

    __slots__ = ()

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin work on the background loop."""
        try:
            return asyncio.run_coroutine_threadsafe(work, loop())
        except BaseException:
            work.close()
            raise

    async def sleep(self, seconds: float) -> None:
        """Block for a while."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this pace is for

    async def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
        """Return what `work` returns on the background loop."""
        try:
            task = self.begin(AsyncPace().run(work, timeout_s=timeout_s))
            try:
                return task.result(timeout_s + GRACE_S)
            finally:
                task.cancel()  # no effect once it is done; frees the connection on Ctrl-C
        finally:
            if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                work.close()  # interrupted before the loop came to it

    async def pull(
        self, source: AsyncGenerator[T, None], *, deadline: float
    ) -> AsyncGenerator[T, None]:
        """Yield from `source`, which one task of the background loop iterates throughout."""
        pieces: queue.SimpleQueue[T | Ended] = queue.SimpleQueue()
        task = self.begin(pump(source, pieces, deadline))
        # What is cancelled before its first step never comes to its own end.
        task.add_done_callback(lambda _: pieces.put(Ended(error=asyncio.CancelledError())))
        try:
            while True:
                try:
                    piece = pieces.get(timeout=max(deadline - time.monotonic(), 0) + GRACE_S)
                except queue.Empty:
                    raise TimeoutError from None
                if isinstance(piece, Ended):
                    if piece.error is not None:
                        raise piece.error
                    return
                yield piece
        finally:
            task.cancel()
            with contextlib.suppress(BaseException):
                task.result(GRACE_S)

    async def join(self, landing: concurrent.futures.Future[T], *, timeout_s: float) -> T | None:
        """Block until another thread's answer is there."""
        try:
            return landing.result(timeout_s)
        except concurrent.futures.TimeoutError:
            return None

    def lane(self) -> Hashable:
        """Return the lane of all blocking calls."""
        return "blocking"

    def owner(self) -> Hashable:
        """Return the current thread."""
        return threading.get_ident()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Stands for the end of a stream."""

    error: BaseException | None = None


async def pump(
    source: AsyncGenerator[T, None], pieces: queue.SimpleQueue[T | Ended], deadline: float
) -> None:
    """Move every piece of `source` into a queue, then its end."""
    ended = Ended()
    try:
        async for piece in AsyncPace().pull(source, deadline=deadline):
            pieces.put(piece)
    except BaseException as error:
        ended = Ended(error=error)
        if isinstance(error, asyncio.CancelledError):
            raise
    finally:
        pieces.put(ended)


def loop() -> asyncio.AbstractEventLoop:
    """Return the background loop."""
    return BACKGROUND.get()


def step(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine whose ports never suspend, and return its result."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    message = "a port suspended in a synchronous call"
    raise RuntimeError(message)


class Stepped(Generic[T]):
    """Iterates an asynchronous generator whose ports never suspend."""

    __slots__ = ("source",)

    def __init__(self, source: AsyncGenerator[T, None]) -> None:
        self.source: AsyncGenerator[T, None] = source

    def __iter__(self) -> Stepped[T]:
        """Return itself."""
        return self

    def __next__(self) -> T:
        """Return the next piece."""
        try:
            return step(_awaited(self.source.__anext__()))
        except StopAsyncIteration:
            pass
        raise StopIteration

    def close(self) -> None:
        """Close the generator; what it holds is given back."""
        step(_awaited(self.source.aclose()))


async def _awaited(work: Awaitable[T]) -> T:
    return await work
