"""What every test shares."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of asynchronous tests: LiteLLM runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _interrupts_reach_child_processes() -> None:
    """Undo what a shell does to jobs in the background, whose children inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
