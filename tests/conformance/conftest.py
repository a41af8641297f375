"""Two servers on the wire: one stands for the local model, one for a vendor's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from modelrouter import Router
from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.testing import Behaviour, LoopbackServer
from tests.flow.kit import APIS, Api, bundle, key_of, model, vendor

Serve = Callable[..., LoopbackServer]


class Ask(Protocol):
    """One of the four ways to put a call; returns the text of the answer."""

    def __call__(self, router: Router, messages: Any = ..., **call: Any) -> str: ...


def whole(api: Api) -> Ask:
    def ask(router: Router, messages: Any = "", **call: Any) -> str:
        return api.complete(router, **said(messages), **call).text

    return ask


def streamed(api: Api) -> Ask:
    def ask(router: Router, messages: Any = "", **call: Any) -> str:
        found = api.stream(router, **said(messages), **call)
        if found.error is not None:
            raise found.error
        assert found.reply is not None
        assert found.reply.text == found.text
        return found.text

    return ask


def said(messages: Any) -> dict[str, Any]:
    return {"messages": messages} if messages else {}


# One provider for the whole run: the connections of the synchronous API live as long as it.
PROVIDER = LiteLLMProvider()
WAYS = {
    "completion": whole(APIS["sync"]),
    "acompletion": whole(APIS["async"]),
    "stream": streamed(APIS["sync"]),
    "astream": streamed(APIS["async"]),
}


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    """Load LiteLLM and what it loads with its first calls, outside every deadline."""
    with LoopbackServer() as server:
        router = router_for(server, server)
        for way in WAYS.values():
            for name in ("local", "cloud"):
                way(router, sensitivity="public", model=name)


@pytest.fixture(params=["completion", "acompletion"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Whole answers, through both APIs."""
    return WAYS[request.param]


@pytest.fixture(params=list(WAYS))
def ask_any(request: pytest.FixtureRequest) -> Ask:
    """Whole and streamed answers, through both APIs."""
    return WAYS[request.param]


@pytest.fixture(params=list(APIS))
def api(request: pytest.FixtureRequest) -> Api:
    """The synchronous and the asynchronous API."""
    return APIS[request.param]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that stop with the test."""
    with ExitStack() as stack:

        def start(*script: Behaviour) -> LoopbackServer:
            return stack.enter_context(LoopbackServer(list(script) or None))

        yield start


@pytest.fixture
def local(serve: Serve) -> LoopbackServer:
    """A self-hosted model that answers."""
    return serve()


@pytest.fixture
def cloud(serve: Serve) -> LoopbackServer:
    """A vendor's API that answers."""
    return serve()


def router_for(
    local: LoopbackServer | str,
    cloud: LoopbackServer,
    *,
    local_facts: dict[str, Any] | None = None,
    cloud_facts: dict[str, Any] | None = None,
    router: dict[str, Any] | None = None,
    **sections: Any,
) -> Router:
    """Return a router with a local and a cloud model; `sections` are those of a policy."""
    at_home = local if isinstance(local, str) else local.url + "/v1"
    return Router(
        bundle(
            model("local", url=at_home, **(local_facts or {})),
            vendor("cloud", url=cloud.url + "/v1", **(cloud_facts or {})),
            **sections,
        ),
        credentials=key_of,
        **{"provider": PROVIDER, **(router or {})},
    )
