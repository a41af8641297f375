"""`router.context(...)`: said once, inherited below, never contradicted."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest

from modelrouter import CallError, PolicyDenied, Receipt, Router
from modelrouter.testing import ScriptedProvider
from tests.flow.kit import HELLO, Api, bundle, key_of

FACTS = {
    "tenant": {"type": "string", "source": "auth"},
    "purpose": {"type": "enum", "values": ["care", "research"], "source": "host"},
    "urgent": {"type": "bool", "source": "host"},
    "count": {"type": "int", "source": "host"},
}


class Watched:
    """A router and the receipts of its calls."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.router = Router(
            bundle(facts=FACTS, tasks=["chat", "other"]),
            provider=ScriptedProvider(),
            credentials=key_of,
            receipts=self.receipts.append,
        )

    @property
    def facts(self) -> dict[str, Any]:
        return dict(self.receipts[-1].request.facts)

    @property
    def label(self) -> str:
        return str(self.receipts[-1].decision.label)

    @property
    def task(self) -> str:
        return self.receipts[-1].decision.task


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_call_inherits_what_surrounds_it(api: Api, watched: Watched) -> None:
    with watched.router.context(facts={"tenant": "a"}, sensitivity="internal", task="chat"):
        api.complete(watched.router)
    assert (watched.facts, watched.label, watched.task) == ({"tenant": "a"}, "internal", "chat")
    api.complete(watched.router, sensitivity="public")
    assert (watched.facts, watched.label, watched.task) == ({}, "public", "other")


def test_blocks_add_up(api: Api, watched: Watched) -> None:
    router = watched.router
    with (
        router.context(facts={"tenant": "a"}, sensitivity="internal"),
        router.context(facts={"purpose": "care"}, sensitivity=["pii"]),
        router.context(task="chat"),
    ):
        api.complete(router, facts={"tenant": "a", "urgent": True}, sensitivity="public")
    assert watched.facts == {"tenant": "a", "purpose": "care", "urgent": True}
    assert watched.label == "confidential+pii"
    assert watched.task == "chat"


def test_a_label_inside_never_lowers_the_one_outside(api: Api, watched: Watched) -> None:
    with watched.router.context(sensitivity="restricted"):
        for inside in ("public", None, [], ["internal"]):
            api.complete(watched.router, sensitivity=inside)
            assert watched.label == "restricted"
        with pytest.raises(PolicyDenied):
            api.complete(watched.router, sensitivity="public", model="cloud")


@pytest.mark.parametrize(
    ("outer", "inner", "argument"),
    [
        ({"facts": {"tenant": "a"}}, {"facts": {"tenant": "b"}}, "facts"),
        ({"facts": {"count": 1}}, {"facts": {"count": True}}, "facts"),
        ({"facts": {"urgent": False}}, {"facts": {"urgent": 0}}, "facts"),
        ({"task": "chat"}, {"task": "other"}, "task"),
    ],
)
def test_a_contradiction_is_an_error(
    api: Api, watched: Watched, outer: Any, inner: Any, argument: str
) -> None:
    router = watched.router
    with router.context(**outer):
        with pytest.raises(CallError, match="contradicts") as caught:
            api.complete(router, sensitivity="public", **inner)
        assert caught.value.argument == argument
        with pytest.raises(CallError, match="contradicts"), router.context(**inner):
            pass
        api.complete(router, sensitivity="public", **outer)
    assert len(watched.receipts) == 1


@pytest.mark.parametrize(
    ("said", "argument"),
    [
        ({"facts": ["a"]}, "facts"),
        ({"facts": {"tenant": 1.5}}, "facts"),
        ({"sensitivity": 3}, "sensitivity"),
        ({"task": 3}, "task"),
    ],
)
def test_a_context_checks_its_arguments(watched: Watched, said: Any, argument: str) -> None:
    with pytest.raises(CallError) as caught, watched.router.context(**said):
        pass
    assert caught.value.argument == argument


def test_a_thread_with_a_copied_context_inherits_and_another_does_not(watched: Watched) -> None:
    seen: list[dict[str, Any]] = []

    def call() -> None:
        watched.router.completion(HELLO, sensitivity="public")
        seen.append(watched.facts)

    with watched.router.context(facts={"tenant": "a"}):
        copied = contextvars.copy_context()
        for target in (lambda: copied.run(call), call):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == [{"tenant": "a"}, {}]


async def test_tasks_inherit_and_do_not_mix(watched: Watched) -> None:
    router = watched.router

    async def one(tenant: str) -> str:
        with router.context(facts={"tenant": tenant}):
            await asyncio.sleep(0.01)
            reply = await asyncio.create_task(router.acompletion(HELLO, sensitivity="public"))
            await asyncio.sleep(0.01)
            return str(reply.receipt.request.facts["tenant"])

    tenants = [f"t{number}" for number in range(20)]
    assert await asyncio.gather(*map(one, tenants)) == tenants


async def test_a_stream_keeps_the_context_it_was_made_in(watched: Watched) -> None:
    with watched.router.context(facts={"tenant": "a"}, sensitivity="public"):
        pieces = watched.router.astream(HELLO)
    with watched.router.context(facts={"tenant": "b"}):
        async for _ in pieces:
            pass
    assert watched.facts == {"tenant": "a"}


def test_two_routers_do_not_mix(api: Api, watched: Watched) -> None:
    other = Watched()
    with (
        watched.router.context(facts={"tenant": "a"}, sensitivity="restricted"),
        other.router.context(facts={"tenant": "b"}, sensitivity="public"),
    ):
        api.complete(watched.router)
        api.complete(other.router)
    assert (watched.facts, watched.label) == ({"tenant": "a"}, "restricted")
    assert (other.facts, other.label) == ({"tenant": "b"}, "public")


def test_an_error_inside_a_block_ends_it(watched: Watched) -> None:
    with pytest.raises(ZeroDivisionError), watched.router.context(sensitivity="public"):
        raise ZeroDivisionError
    watched.router.completion(HELLO)
    assert watched.label == "restricted+?"


def test_a_copied_context_does_not_keep_its_router() -> None:
    router = Router(bundle(), provider=ScriptedProvider(), credentials=key_of)
    kept = weakref.ref(router)
    with router.context(task="other"):
        copied = contextvars.copy_context()
    del router
    gc.collect()
    assert kept() is None
    assert copied
