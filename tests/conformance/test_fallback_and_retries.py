"""Probes 14 to 25: fallback and retries."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from modelrouter import BudgetExceeded, CallFailed, PolicyDenied, Router
from modelrouter.budget import MemoryLedger
from modelrouter.errors import CallTimedOut, ErrorKind
from modelrouter.testing import (
    Behaviour,
    LoopbackServer,
    answer,
    drop,
    empty,
    garbage,
    html,
    redirect,
    stall,
    status,
    truncate,
)
from tests.conformance.conftest import PROVIDER, Ask, Serve, router_for
from tests.flow.kit import (
    APIS,
    HELLO,
    Api,
    balances,
    bundle,
    key_of,
    model,
    runtime,
    vendor,
    wait_until,
)

LOCAL_FAILURES: dict[str, Behaviour] = {
    **{str(code): status(code) for code in (400, 401, 403, 404, 413, 422, 429, 500, 503, 529)},
    "429 for a day": status(429, headers={"Retry-After": "86400"}),
    "quota": status(429, error_code="insufficient_quota"),
    "reset": drop(),
    "closes mid-stream": truncate(2, how="close"),
    "resets mid-stream": truncate(2, how="reset"),
    "ends mid-stream": truncate(2),
    "garbage": garbage(),
    "html": html(),
    "html 502": html(502),
    "empty": empty(),
}
ALL_AFTER = ["timeout", "rate_limited", "server_error", "invalid_output"]
EAGER = runtime(retries=1, attempts=5, fallback={"after": ALL_AFTER})
PUBLIC: dict[str, Any] = {"sensitivity": "public"}


@pytest.mark.parametrize("failure", list(LOCAL_FAILURES))
def test_row_14_a_restricted_call_fails_with_the_local_model(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer, failure: str
) -> None:
    local = serve(LOCAL_FAILURES[failure])
    router = router_for(local, cloud, runtime=EAGER)
    with pytest.raises(CallFailed, match="`local`") as caught:
        ask_any(router, sensitivity="restricted")
    assert {part.model for part in caught.value.attempts} == {"local"}
    assert [part.model for part in caught.value.decision.candidates] == ["local"]
    assert len(local.requests) == len(caught.value.attempts)
    assert cloud.requests == ()
    # The cloud model is there, and allowed for what is public.
    assert "cloud" in [part.model for part in router.decide(HELLO, **PUBLIC).candidates]


@pytest.mark.parametrize("label", ["restricted", "phi", None])
def test_row_14_a_restricted_call_fails_while_the_local_model_is_down(
    ask_any: Ask, cloud: LoopbackServer, label: str | None
) -> None:
    with LoopbackServer() as gone:
        address = gone.url + "/v1"
    router = router_for(address, cloud, runtime=EAGER)
    with pytest.raises(CallFailed, match="`local`: unreachable"):
        ask_any(router, sensitivity=label)
    assert cloud.requests == ()


@pytest.mark.parametrize("chunk", [None, 2])
def test_row_14_a_restricted_call_fails_when_the_local_model_is_stuck(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer, chunk: int | None
) -> None:
    local = serve(stall(20, chunk=chunk))
    router = router_for(local, cloud, runtime=EAGER)
    started = time.monotonic()
    with pytest.raises(CallTimedOut, match="`local`: timeout"):
        ask_any(router, sensitivity="restricted", timeout=0.5)
    assert time.monotonic() - started < 2
    assert cloud.requests == ()


@pytest.mark.parametrize("failure", [drop(), status(503), truncate(1), status(429)])
def test_row_15_eu_is_required_and_the_eu_model_is_down(
    ask_any: Ask, serve: Serve, failure: Behaviour
) -> None:
    eu, us = serve(failure), serve()
    rule = {
        "id": "eu",
        "effect": "require",
        "when": {"categories": ["pii"]},
        "models": {"region": ["eu-west-1", "eu-central-1"]},
    }
    router = Router(
        bundle(
            model("eu", url=eu.url + "/v1", hosting="private_cloud", region="eu-west-1"),
            vendor("us", url=us.url + "/v1", region="us-east-1"),
            vendor("nowhere", url=us.url + "/v1"),
            rules=[rule],
            runtime=EAGER,
        ),
        credentials=key_of,
        provider=PROVIDER,
    )
    with pytest.raises(CallFailed, match="`eu`"):
        ask_any(router, sensitivity="pii")
    assert eu.requests
    assert us.requests == ()


@pytest.mark.parametrize(
    "call",
    [
        {"needs": "vision"},
        {"needs": ["tools"]},
        {"tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"messages": [{"role": "user", "content": "word " * 9000}]},
        {"max_tokens": 5000},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;,"}}],
                }
            ]
        },
    ],
    ids=["vision", "tools", "tools seen", "json schema", "context", "output", "image"],
)
def test_row_16_no_eligible_model_has_the_capability(
    ask_any: Ask, local: LoopbackServer, cloud: LoopbackServer, call: dict[str, Any]
) -> None:
    able = {"capabilities": ["vision", "tools", "json_schema"], "context_window": 100_000}
    router = router_for(
        local,
        cloud,
        local_facts={"context_window": 4000},
        cloud_facts={**able, "max_output": 8000},
    )
    with pytest.raises(PolicyDenied) as caught:
        ask_any(router, **{"sensitivity": "restricted", **call})
    assert caught.value.decision.deny_stage == "capability"
    assert local.requests == cloud.requests == ()


def test_row_17_the_cheapest_model_costs_more_than_the_call_may(
    ask_any: Ask, local: LoopbackServer, cloud: LoopbackServer
) -> None:
    # 100 output tokens at 100 USD a million are 0.01 USD.
    router = router_for(
        local,
        cloud,
        local_facts={"price": {"input": 0, "output": 100}},
        cloud_facts={"price": {"input": 0, "output": 200}},
    )
    with pytest.raises(BudgetExceeded) as caught:
        ask_any(router, **PUBLIC, max_cost_usd="0.001")
    assert caught.value.decision.deny_stage == "budget"
    assert local.requests == cloud.requests == ()
    assert ask_any(router, **PUBLIC, max_cost_usd="0.01")


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422])
def test_row_18_a_wrong_request_is_neither_retried_nor_routed_around(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer, code: int
) -> None:
    local = serve(status(code))
    router = router_for(local, cloud, runtime=runtime(retries=3, attempts=9))
    with pytest.raises(CallFailed) as caught:
        ask_any(router, **PUBLIC)
    assert [part.status for part in caught.value.attempts] == [code]
    assert len(local.requests) == 1
    assert cloud.requests == ()


REFUSALS = {
    "finish reason": answer("", finish_reason="content_filter"),
    "error": status(400, error_code="content_filter"),
}


@pytest.mark.parametrize("how", list(REFUSALS))
def test_row_19_a_refusal_is_an_answer(
    api: Api, serve: Serve, cloud: LoopbackServer, how: str
) -> None:
    local = serve(REFUSALS[how])
    router = router_for(local, cloud, runtime=EAGER)
    whole = api.complete(router, **PUBLIC)
    streamed = api.stream(router, **PUBLIC).reply
    assert streamed is not None
    assert whole.finish_reason == streamed.finish_reason == "content_filter"
    assert whole.model == streamed.model == "local"
    assert len(local.requests) == 2
    assert cloud.requests == ()


def test_row_20_a_retry_after_beyond_the_deadline_is_not_waited_for(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer
) -> None:
    local = serve(status(429, headers={"Retry-After": "60"}))
    router = router_for(local, cloud, runtime=runtime(retries=2))
    started = time.monotonic()
    assert ask_any(router, **PUBLIC, timeout=10)
    assert time.monotonic() - started < 3
    assert (len(local.requests), len(cloud.requests)) == (1, 1)


def test_row_20_a_retry_after_that_fits_is_waited_for(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer
) -> None:
    local = serve(status(429, headers={"Retry-After-Ms": "200"}), answer("later"))
    router = router_for(local, cloud, runtime=runtime(retries=2))
    started = time.monotonic()
    assert ask_any(router, **PUBLIC, timeout=10) == "later"
    assert time.monotonic() - started >= 0.2
    assert (len(local.requests), len(cloud.requests)) == (2, 0)


@pytest.mark.parametrize(
    "failure",
    [
        status(429, error_code="insufficient_quota"),
        status(429, error_code="insufficient_quota", headers={"Retry-After": "1"}),
        status(402),
    ],
    ids=["quota", "quota with a pause", "402"],
)
def test_row_21_a_used_up_quota_falls_over_at_once(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer, failure: Behaviour
) -> None:
    local = serve(failure)
    slow = runtime(retries=3, retry={"initial_ms": 5000, "max_ms": 5000})
    started = time.monotonic()
    assert ask_any(router_for(local, cloud, runtime=slow), **PUBLIC)
    assert time.monotonic() - started < 3
    assert (len(local.requests), len(cloud.requests)) == (1, 1)


COUNTS: dict[str, tuple[Behaviour, int, int, int]] = {
    # failure: of both models; retries; attempts; requests at the first model
    "503 retried twice, then the next": (status(503), 2, 4, 3),
    "503 without retries": (status(503), 0, 2, 1),
    "500, attempts end the retries": (status(500), 5, 4, 4),
    "reset": (drop(), 1, 3, 2),
    "ends midway": (truncate(1), 1, 3, 2),
    "429 without a pause is not retried": (status(429), 4, 2, 1),
    "429 with a pause is": (status(429, headers={"Retry-After-Ms": "1"}), 1, 3, 2),
    "quota": (status(429, error_code="insufficient_quota"), 4, 2, 1),
    "408": (status(408), 1, 3, 2),
    "garbage": (garbage(), 4, 2, 1),
    "html": (html(), 4, 2, 1),
    "404": (status(404), 4, 1, 1),
    "redirect": (redirect("http://127.0.0.1:9/"), 4, 1, 1),
    "401": (status(401), 4, 1, 1),
}


@pytest.mark.parametrize("case", list(COUNTS))
def test_row_22_exactly_the_attempts_of_the_plan_reach_the_wire(
    ask_any: Ask, serve: Serve, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import litellm  # noqa: PLC0415 - the library under us, set to retry on its own

    monkeypatch.setattr(litellm, "num_retries", 3)
    monkeypatch.setenv("OPENAI_MAX_RETRIES", "3")
    failure, retries, attempts, at_first = COUNTS[case]
    first, second = serve(failure), serve(failure)
    router = Router(
        bundle(
            model("first", url=first.url + "/v1"),
            model("second", url=second.url + "/v1", price={"input": 2, "output": 2}),
            runtime=runtime(retries=retries, attempts=attempts, fallback={"after": ALL_AFTER}),
        ),
        provider=PROVIDER,
    )
    with pytest.raises(CallFailed) as caught:
        ask_any(router, **PUBLIC)
    assert len(first.requests) == at_first
    assert len(second.requests) == attempts - at_first
    assert len(caught.value.attempts) == attempts


BROKEN: dict[str, Behaviour] = {
    "ends without a terminator": truncate(2),
    "closes": truncate(2, how="close"),
    "resets": truncate(2, how="reset"),
    "ends without a finish reason": answer("one two three", finish_reason=None),
    "garbage": garbage(2),
    "html with status 200": html(),
    "nothing": empty(),
}


@pytest.mark.parametrize("how", list(BROKEN))
@pytest.mark.parametrize("where", ["local", "cloud"])
def test_row_23_a_broken_answer_is_never_a_short_one(
    api: Api, serve: Serve, how: str, where: str
) -> None:
    server = serve(BROKEN[how])
    router = router_for(server, server)
    with pytest.raises(CallFailed) if in_one_piece(how, where) else nothing_raised():
        api.complete(router, **PUBLIC, model=where)
    found = api.stream(router, **PUBLIC, model=where)
    assert isinstance(found.error, CallFailed)
    assert found.reply is None
    assert found.text in "one two three four"


def in_one_piece(how: str, where: str) -> bool:
    """Whether the failure is one of plain answers too: a vendor is not read as a stream."""
    return where == "local" or how in {"html with status 200", "nothing"} or "reason" in how


class nothing_raised:  # noqa: N801 - reads like pytest.raises
    """The counterpart of `pytest.raises`."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("how", ["close", "clean", "reset"])
def test_row_24_nothing_is_glued_onto_a_stream_that_broke(
    api: Api, serve: Serve, cloud: LoopbackServer, how: Any
) -> None:
    local = serve(truncate(3, how=how, text="red green blue"))
    found = api.stream(router_for(local, cloud, runtime=EAGER), **PUBLIC)
    assert isinstance(found.error, CallFailed)
    assert found.text == "red green "
    assert found.reply is None
    assert len(local.requests) == 1
    assert cloud.requests == ()


def test_row_24_a_stream_that_broke_before_its_first_word_falls_over(
    api: Api, serve: Serve, cloud: LoopbackServer
) -> None:
    local = serve(truncate(1))
    found = api.stream(router_for(local, cloud), **PUBLIC)
    assert found.error is None
    assert found.text == "Hello from the loopback server."
    assert found.reply is not None
    assert found.reply.model == "cloud"


BUDGET = [{"id": "all", "period": "day", "limit_usd": 1}]


async def test_row_25_a_cancelled_call_closes_its_connection(
    serve: Serve, cloud: LoopbackServer
) -> None:
    local, ledger = serve(stall(20, chunk=2)), MemoryLedger()
    router = router_for(local, cloud, router={"budgets": ledger}, budgets=BUDGET)
    task = asyncio.ensure_future(router.acompletion(HELLO, sensitivity="public", max_tokens=10))
    assert await asyncio.to_thread(local.wait_for, lambda server: bool(server.requests))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(local.wait_for, lambda server: server.requests[0].disconnected)
    # What may have been billed is charged; nothing stays held.
    ((spent, held),) = balances(ledger).values()
    assert spent > 0
    assert held == 0
    assert cloud.requests == ()


@pytest.mark.parametrize("name", list(APIS))
def test_row_25_a_closed_stream_closes_its_connection(
    serve: Serve, cloud: LoopbackServer, name: str
) -> None:
    local, ledger = serve(stall(20, chunk=3)), MemoryLedger()
    router = router_for(local, cloud, router={"budgets": ledger}, budgets=BUDGET)
    found = APIS[name].stream(router, **PUBLIC, most=2, max_tokens=10)
    assert len(found.chunks) == 2
    assert local.wait_for(lambda server: server.requests[0].disconnected)
    ((spent, held),) = balances(ledger).values()
    assert spent > 0
    assert held == 0


def test_row_25_a_stream_closed_by_another_thread_frees_the_server(
    serve: Serve, cloud: LoopbackServer
) -> None:
    local = serve(answer("word " * 200, drip_s=0.02))
    router = router_for(local, cloud)
    pieces = router.stream(HELLO, sensitivity="public")
    next(pieces)
    closer = threading.Thread(target=pieces.close)
    closer.start()
    closer.join()
    assert wait_until(lambda: local.requests[0].disconnected)


def test_the_body_of_a_call_holds_what_was_asked_for(ask_any: Ask, local: LoopbackServer) -> None:
    router = router_for(local, local)
    ask_any(router, **PUBLIC, temperature=0.5, max_tokens=9, stop=["END"])
    body = local.requests[0].body
    assert isinstance(body, dict)
    assert body["messages"] == HELLO
    assert (body["temperature"], body["max_tokens"], body["stop"]) == (0.5, 9, ["END"])
    assert json.dumps(body)
    assert ErrorKind.TIMEOUT
