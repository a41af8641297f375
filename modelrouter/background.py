"""One event loop in a thread of its own, shared by all synchronous calls of the process."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading

from modelrouter.forking import renew_after_fork

__all__ = ["BACKGROUND", "LoopThread"]

GRACE_S = 0.5
"""What the end of the process waits for the loop to clean up, in seconds."""


class LoopThread:
    """An event loop in a daemon thread; a forked child starts its own."""

    __slots__ = ("__weakref__", "lock", "loop", "owner", "thread")

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None
        self.owner: int = 0

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop, starting it on first use in this process.

        Raises:
            RuntimeError: The caller runs on this very loop, and would wait for itself.
        """
        with self.lock:
            if self.loop is None or self.owner != os.getpid() or self.loop.is_closed():
                self.start()
            if self.loop is None or threading.current_thread() is self.thread:
                message = "a synchronous call on the router's own event loop would never end"
                raise RuntimeError(message)
            return self.loop

    def start(self) -> None:
        """Start the loop in a thread of its own."""
        self.loop, self.owner = asyncio.new_event_loop(), os.getpid()
        self.thread = threading.Thread(target=self.serve, name="modelrouter-loop", daemon=True)
        self.thread.start()

    def serve(self) -> None:
        """Run the loop until it is stopped, then let what runs on it clean up."""
        if self.loop is None:
            return
        asyncio.set_event_loop(self.loop)
        try:
            serve_all(self.loop)
        finally:
            pending = asyncio.all_tasks(self.loop)
            for task in pending:
                task.cancel()
            if pending:
                self.loop.run_until_complete(asyncio.wait(pending, timeout=GRACE_S))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def stop(self) -> None:
        """Stop the loop when the process ends, so that its connections close."""
        if self.loop is None or self.thread is None or self.loop.is_closed():
            return
        if self.owner == os.getpid():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(GRACE_S)

    def renew(self) -> None:
        """Leave the parent's lock behind; its loop is known by its process."""
        self.lock = threading.Lock()


def serve_all(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, whatever a task of one caller raises."""
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # It is the outcome of its task too, and raised where that is waited for. The loop
            # serves other callers, who have no part in it.
            continue
        return


BACKGROUND = LoopThread()
atexit.register(BACKGROUND.stop)
renew_after_fork(BACKGROUND)
