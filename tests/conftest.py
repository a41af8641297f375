"""What every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of asynchronous tests: LiteLLM runs on asyncio alone."""
    return "asyncio"
