"""Probes 27 to 37: budgets and the cache."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from modelrouter import BudgetExceeded, CallFailed, PolicyDenied, Router
from modelrouter.budget import MemoryLedger
from modelrouter.cache import ExactCache
from modelrouter.testing import LoopbackServer, Tokens, answer, stall
from tests.conformance.conftest import PROVIDER, Ask, Serve, router_for
from tests.flow.kit import HELLO, Api, balances, bundle, key_of, runtime, vendor

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
DAY = {"id": "day", "period": "day", "limit_usd": 10}
CACHED = runtime(cache={"mode": "exact", "ttl_s": 60})


@pytest.mark.parametrize("limit", [{"limit_usd": 10}, {"limit_usd": 0}])
def test_row_27_a_model_without_a_price_is_no_candidate_under_a_budget(
    ask_any: Ask, local: LoopbackServer, cloud: LoopbackServer, limit: dict[str, int]
) -> None:
    budget = {"id": "day", "period": "day", **limit}
    router = router_for(local, cloud, cloud_facts={"price": None}, budgets=[budget])
    with pytest.raises(BudgetExceeded) as caught:
        ask_any(router, **PUBLIC, model="cloud")
    assert caught.value.budgets == ("day",)
    assert cloud.requests == ()


def test_row_29_a_timed_out_call_is_charged_what_was_reserved(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer
) -> None:
    ledger = MemoryLedger()
    router = router_for(serve(stall(20)), cloud, router={"budgets": ledger}, budgets=[DAY])
    worst = router.decide(HELLO, sensitivity="public", max_tokens=50).candidates[0].worst_pico
    with pytest.raises(CallFailed):
        ask_any(router, **PUBLIC, max_tokens=50, timeout=0.5)
    assert worst is not None
    assert worst >= 50 * 10**6
    assert balances(ledger) == {"day": (worst, 0)}


def test_row_31_cached_written_and_reasoning_tokens_have_prices_of_their_own(
    api: Api, serve: Serve
) -> None:
    price = {"input": 10, "output": 20, "cached_input": 1, "cache_write": 12, "reasoning": 30}
    used = Tokens(input=1000, cached=600, output=200, reasoning=50)
    server = serve(answer("x", usage=used))
    ledger = MemoryLedger()
    router = router_for(
        server, server, local_facts={"price": price}, router={"budgets": ledger}, budgets=[DAY]
    )
    # 400 at 10, 600 at 1, 150 at 20 and 50 at 30 USD a million: 4000 + 600 + 3000 + 1500.
    reply = api.complete(router, **PUBLIC, model="local")
    assert reply.cost_usd == Decimal("0.0091")
    assert balances(ledger) == {"day": (91 * 10**8, 0)}
    streamed = api.stream(router, **PUBLIC, model="local").reply
    assert streamed is not None
    assert streamed.cost_usd == Decimal("0.0091")


def test_row_31_a_vendors_cache_writes_are_priced(api: Api, serve: Serve) -> None:
    price = {"input": 10, "output": 20, "cached_input": 1, "cache_write": 12}
    server = serve(answer("x", usage=Tokens(input=1000, cached=600, cache_write=300, output=10)))
    claude = vendor(
        "claude",
        price=price,
        endpoint={"model": "anthropic/claude", "api_base": server.url, "api_key_env": "CLOUD_KEY"},
    )
    router = Router(bundle(claude), provider=PROVIDER, credentials=key_of)
    # 100 at 10, 600 at 1, 300 at 12, 10 at 20: 1000 + 600 + 3600 + 200.
    assert api.complete(router, **PUBLIC).cost_usd == Decimal("0.0054")


def test_row_32_a_call_denied_for_its_budget_is_never_retried(
    ask_any: Ask, local: LoopbackServer, cloud: LoopbackServer
) -> None:
    budget = {"id": "none", "period": "day", "limit_usd": 0}
    router = router_for(local, cloud, budgets=[budget], runtime=runtime(retries=5, attempts=9))
    with pytest.raises(BudgetExceeded) as caught:
        ask_any(router, **PUBLIC)
    error = caught.value
    assert not isinstance(error, CallFailed | PolicyDenied)
    assert error.budgets == ("none",)
    assert not hasattr(error, "status_code")
    assert "429" not in str(error)
    assert local.requests == cloud.requests == ()


def test_row_33_a_small_spend_degrades_nothing(api: Api, serve: Serve) -> None:
    # 400,000 tokens at 1 USD a million are 0.40 USD.
    cloud, local = serve(answer(usage=Tokens(input=1, output=399_999))), serve()
    budget = {
        "id": "month",
        "period": "month",
        "limit_usd": 15,
        "models": {"hosting": "vendor_api"},
        "on_exceed": "degrade",
    }
    ledger = MemoryLedger()
    router = router_for(
        local,
        cloud,
        cloud_facts={"price": {"input": 1, "output": 1}},
        local_facts={"price": {"input": 9, "output": 9}},
        budgets=[budget],
        router={"budgets": ledger},
    )
    assert api.complete(router, **PUBLIC).model == "cloud"
    assert balances(ledger) == {"month": (4 * 10**11, 0)}
    decision = router.decide(HELLO, sensitivity="public")
    assert decision.degraded == ()
    assert decision.warnings == ()
    assert decision.model == "cloud"


TENANT = {"tenant": {"type": "string", "source": "auth", "required": True}}


def test_row_34_tenant_b_asks_the_question_of_tenant_a(
    api: Api, local: LoopbackServer, cloud: LoopbackServer
) -> None:
    router = router_for(local, cloud, facts=TENANT, runtime=CACHED)
    for tenant, sends in (("a", 1), ("a", 1), ("b", 2), ("b", 2), ("a", 2)):
        api.complete(router, **PUBLIC, facts={"tenant": tenant})
        assert len(local.requests) == sends


TOOL = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
OTHERS: dict[str, dict[str, Any]] = {
    "system prompt": {"messages": [{"role": "system", "content": "Be short."}, *HELLO]},
    "earlier turn": {
        "messages": [*HELLO, {"role": "assistant", "content": "Hi"}, *HELLO],
    },
    "tools": {"tools": TOOL},
    "temperature": {"temperature": 0.1},
    "response format": {"response_format": {"type": "json_object"}},
    "seed": {"seed": 1},
    "length": {"max_tokens": 5},
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_row_35_the_same_text_with_another_setting(
    api: Api, local: LoopbackServer, cloud: LoopbackServer, name: str
) -> None:
    able = {"capabilities": ["tools", "json_schema"]}
    router = router_for(local, cloud, local_facts=able, runtime=CACHED)
    assert not api.complete(router, **PUBLIC).cached
    assert not api.complete(router, **{**PUBLIC, **OTHERS[name]}).cached
    assert api.complete(router, **{**PUBLIC, **OTHERS[name]}).cached
    assert api.complete(router, **PUBLIC).cached
    assert len(local.requests) == 2


def test_row_37_a_label_that_forbids_storing(api: Api, serve: Serve, cloud: LoopbackServer) -> None:
    rule = {
        "id": "not-kept",
        "effect": "obligate",
        "when": {"categories": ["pii"]},
        "do": {"cache": "none"},
    }
    cache, local = ExactCache(), serve(answer("slow", drip_s=0.02))
    router = router_for(local, cloud, rules=[rule], runtime=CACHED, router={"cache": cache})
    for _ in range(2):
        reply = api.complete(router, sensitivity="pii")
        assert (reply.cached, reply.receipt.cache) == (False, "off")
    replies = api.together(router, [{"sensitivity": "pii"}] * 3)
    assert [getattr(reply, "cached", reply) for reply in replies] == [False] * 3
    assert len(local.requests) == 5
    assert len(cache.store) == 0
    api.complete(router, **PUBLIC)
    assert len(cache.store) == 1
