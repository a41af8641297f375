from __future__ import annotations

import asyncio

import pytest

from modelrouter.litellm_provider import LiteLLMProvider


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def provider() -> LiteLLMProvider:
    """One provider for all tests, though each asynchronous test has a loop of its own."""
    made = LiteLLMProvider()
    asyncio.run(made.warm_up())
    return made
