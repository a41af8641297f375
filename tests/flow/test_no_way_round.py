"""Ways round the policy, the budget or the deadline that must stay closed."""

from __future__ import annotations

import decimal
import enum
import gc
import multiprocessing
import os
import threading
import time
from decimal import Decimal
from typing import Any

import pytest

from modelrouter import (
    BudgetExceeded,
    CallError,
    CallTimedOut,
    ConfigurationError,
    Label,
    PolicyDenied,
    Router,
    Usage,
)
from modelrouter.budget import MemoryLedger
from modelrouter.errors import ErrorKind
from modelrouter.payload import normalise
from modelrouter.ports import ProviderError
from modelrouter.testing import ScriptedProvider, Turn
from tests.flow.kit import HELLO, balances, bundle, key_of, model, runtime, vendor

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
PURPOSE = {"purpose": {"type": "enum", "values": ["care", "marketing"], "source": "host"}}
NO_MARKETING = {
    "id": "no-marketing",
    "effect": "forbid",
    "when": {"facts": {"purpose": "marketing"}},
    "models": "all",
}


class Purpose(enum.StrEnum):
    MARKETING = "marketing"


class Sly(str):
    """Text that says it is equal to nothing."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def a_router(provider: ScriptedProvider, *models: dict[str, Any], **sections: Any) -> Router:
    options = sections.pop("router", {})
    return Router(bundle(*models, **sections), provider=provider, credentials=key_of, **options)


def test_a_label_given_to_a_context_holds_inside() -> None:
    router = a_router(ScriptedProvider())
    with router.context(sensitivity=Label(level="restricted")):
        decision = router.decide(HELLO, **PUBLIC)
    assert [part.model for part in decision.candidates] == ["local"]


@pytest.mark.parametrize("purpose", [Purpose.MARKETING, Sly("marketing"), "marketing"])
def test_a_rule_sees_through_subclasses_of_text(purpose: str) -> None:
    router = a_router(ScriptedProvider(), facts=PURPOSE, rules=[NO_MARKETING])
    with pytest.raises(PolicyDenied):
        router.completion(HELLO, **PUBLIC, facts={"purpose": purpose})


@pytest.mark.parametrize("none", [[], (), set[str]()])
def test_narrowing_to_no_model_is_an_error(none: Any) -> None:
    with pytest.raises(CallError, match="names no model"):
        a_router(ScriptedProvider()).completion(HELLO, **PUBLIC, model=none)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "mcp", "server_url": "https://x.example"},
        {"type": "web_search"},
        {"googleSearch": {}},
    ],
)
def test_a_tool_that_a_provider_runs_is_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=r"tools\[0\]"):
        normalise(HELLO, {"tools": [tool]})


@pytest.mark.parametrize(
    ("messages", "parameters"),
    [
        ([{"role": "user", "type": "image_url", "content": "x" * 9_000}], {}),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image_url",
                            "image_url": {"url": "http://h/i"},
                            "text": "x" * 9_000,
                        }
                    ],
                }
            ],
            {},
        ),
        (HELLO, {"prediction": {"type": "content", "content": "x" * 9_000}}),
    ],
    ids=["a message that calls itself an image", "text inside an image part", "a prediction"],
)
def test_text_counts_wherever_it_hides(messages: Any, parameters: dict[str, Any]) -> None:
    assert normalise(messages, parameters).tokens_at_most > 9_000


def test_a_ceiling_of_cost_is_sent_upstream_as_a_limit_of_output() -> None:
    provider = ScriptedProvider()
    a_router(provider).completion(HELLO, **PUBLIC, max_cost_usd="0.01")
    assert provider.sends[0].max_output == 100


@pytest.mark.parametrize(
    "usage", [Usage(input_tokens=-9, output_tokens=-9), Usage(input_tokens=0, output_tokens=0)]
)
def test_usage_that_cannot_be_is_charged_at_what_was_held(usage: Usage) -> None:
    ledger = MemoryLedger()
    budget = {"id": "day", "period": "day", "limit_tokens": 10_000}
    router = a_router(
        ScriptedProvider([Turn(text="x", usage=usage)]),
        budgets=[budget],
        router={"budgets": ledger},
    )
    router.completion(HELLO, **PUBLIC)
    ((spent, held),) = balances(ledger).values()
    assert (spent > 100, held) == (True, 0)


def test_money_is_exact_whatever_the_decimal_context() -> None:
    with decimal.localcontext(decimal.Context(prec=2)):
        router = a_router(ScriptedProvider(), model("local", price={"input": 1.2349, "output": 1}))
        cost = router.decide(HELLO, sensitivity="restricted", max_tokens=1).candidates[0]
    assert cost.expected_cost_usd is not None
    assert cost.expected_cost_usd > Decimal("0.0000123")


def test_only_money_missing_is_a_budget_error_whatever_emptied_the_set() -> None:
    router = a_router(
        ScriptedProvider(),
        model("local", quality={"*": 0.1}),
        vendor("cloud"),
        rules=[{"id": "good", "effect": "floor", "set": {"min_quality": 0.5}}],
        budgets=[
            {"id": "call", "period": "call", "limit_usd": 0.000001, "models": {"id": "cloud"}}
        ],
    )
    with pytest.raises(BudgetExceeded) as caught:
        router.completion(HELLO, **PUBLIC)
    assert caught.value.budgets == ("call",)


def test_nothing_is_sent_after_an_approval_that_took_too_long() -> None:
    def approve(_: object) -> bool:
        time.sleep(0.15)
        return True

    provider = ScriptedProvider()
    rule = {"id": "ask", "effect": "obligate", "do": {"approval": "owner"}}
    router = a_router(
        provider, rules=[rule], runtime=runtime(timeout_ms=100), router={"approve": approve}
    )
    with pytest.raises(CallTimedOut):
        router.completion(HELLO, **PUBLIC)
    assert provider.sends == ()


def test_a_call_from_within_its_own_identical_call_does_not_wait_for_itself() -> None:
    provider = ScriptedProvider()
    depth = [0]

    def credentials(name: str) -> str:
        depth[0] += 1
        if depth[0] == 1:
            router.completion(HELLO, **PUBLIC, model="cloud")
        return name

    cached = runtime(timeout_ms=3_000, cache={"mode": "exact"})
    router = Router(
        bundle(vendor("cloud"), runtime=cached), provider=provider, credentials=credentials
    )
    started = time.monotonic()
    router.completion(HELLO, **PUBLIC, model="cloud")
    assert time.monotonic() - started < 2


def test_streams_dropped_in_cycles_do_not_lock_the_ledger() -> None:
    router = a_router(
        ScriptedProvider(Turn(text="a b c")),
        budgets=[{"id": "day", "period": "day", "limit_calls": 10**6}],
    )

    def work() -> None:
        for _ in range(300):
            pieces = router.stream(HELLO, **PUBLIC)
            next(pieces)
            cycle: list[Any] = [pieces]
            cycle.append(cycle)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    gc.collect()


def forked(router: Router, answers: Any) -> None:
    answers.put(router.completion(HELLO, **PUBLIC, model="local").text)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_no_call_of_its_parent() -> None:
    provider = ScriptedProvider([Turn(text="slow", wait_s=3.0), "quick", "quick"])
    router = a_router(provider, runtime=runtime(timeout_ms=20_000, cache={"mode": "exact"}))
    parent = threading.Thread(
        target=lambda: router.completion(HELLO, **PUBLIC, model="local"), daemon=True
    )
    parent.start()
    while not provider.sends:
        time.sleep(0.01)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=forked, args=(router, answers))
    started = time.monotonic()
    child.start()
    assert answers.get(timeout=10) == "quick"
    assert time.monotonic() - started < 2.5
    child.join(10)
    parent.join(10)


def test_trusted_hosts_given_as_one_text_are_refused() -> None:
    policy = bundle(model("local", url="http://vm.example/v1"))
    with pytest.raises(ConfigurationError, match="one text"):
        Router(policy, provider=ScriptedProvider(), trusted_hosts="prefix-vm.example")
    for host in ("http://vm.example", "*.example", "vm.example:8000"):
        with pytest.raises(ConfigurationError, match="no host"):
            Router(policy, provider=ScriptedProvider(), trusted_hosts=[host])
    assert Router(policy, provider=ScriptedProvider(), trusted_hosts=["vm.example"])


def test_a_stream_that_breaks_after_a_piece_is_charged() -> None:
    ledger = MemoryLedger()
    broken = ProviderError(ErrorKind.INVALID_REQUEST, billed=False)
    router = a_router(
        ScriptedProvider([Turn(text="a b c", error=broken, pieces=3)]),
        budgets=[{"id": "day", "period": "day", "limit_tokens": 10_000}],
        router={"budgets": ledger},
    )
    with pytest.raises(Exception, match="broke off"):
        list(router.stream(HELLO, **PUBLIC))
    ((spent, _),) = balances(ledger).values()
    assert spent > 100
