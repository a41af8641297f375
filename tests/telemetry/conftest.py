"""Spans in memory, and both APIs."""

from __future__ import annotations

import pytest

from tests.flow.kit import APIS, Api
from tests.telemetry.kit import Spans


@pytest.fixture(params=list(APIS))
def api(request: pytest.FixtureRequest) -> Api:
    """The synchronous and the asynchronous API."""
    return APIS[request.param]


@pytest.fixture
def spans() -> Spans:
    """A tracer provider that keeps what it is given."""
    return Spans()
