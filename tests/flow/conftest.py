"""Both APIs, for every test that asks for `api`."""

from __future__ import annotations

import pytest

from tests.flow.kit import APIS, Api


@pytest.fixture(params=list(APIS))
def api(request: pytest.FixtureRequest) -> Api:
    """The synchronous and the asynchronous API."""
    return APIS[request.param]
