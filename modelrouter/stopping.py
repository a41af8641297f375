"""A way of waiting that another thread can end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from modelrouter.pace import BlockingPace

__all__ = ["StoppablePace"]

T = TypeVar("T")


class StoppablePace(BlockingPace):
    """Waits by blocking, for one call, until `stop`; then everything waited for is cancelled.

    Whoever waits gets `GeneratorExit`, as a generator does that is closed.
    """

    __slots__ = ("lock", "stopped", "task")

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.stopped: threading.Event = threading.Event()
        self.task: concurrent.futures.Future[Any] | None = None

    def stop(self) -> None:
        """Cancel what is waited for, and begin nothing any more."""
        with self.lock:
            self.stopped.set()
            task = self.task
        if task is not None:
            task.cancel()

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin work on the background loop, unless it is too late."""
        with self.lock:
            if self.stopped.is_set():
                work.close()
                raise GeneratorExit
            task = super().begin(work)
            self.task = task
            return task

    async def sleep(self, seconds: float) -> None:
        """Block for a while."""
        if self.stopped.wait(seconds):
            raise GeneratorExit

    async def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
        """Return what `work` returns on the background loop."""
        try:
            return await super().run(work, timeout_s=timeout_s)
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            if self.stopped.is_set():
                raise GeneratorExit from None
            raise

    async def pull(
        self, source: AsyncGenerator[T, None], *, deadline: float
    ) -> AsyncGenerator[T, None]:
        """Yield from `source`."""
        try:
            async with aclosing(super().pull(source, deadline=deadline)) as pieces:
                async for piece in pieces:
                    yield piece
        except asyncio.CancelledError:
            if self.stopped.is_set():
                raise GeneratorExit from None
            raise
