"""What counts towards a label, a worst case, a key and a limit."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.trace import NoOpTracerProvider, Span, Tracer

from modelrouter import BudgetExceeded, Router, Usage
from modelrouter.budget import MemoryLedger
from modelrouter.testing import ScriptedProvider, Turn
from tests.flow.kit import (
    AT_HOME,
    HELLO,
    STAYS_HOME,
    balances,
    bundle,
    key_of,
    model,
    runtime,
    vendor,
)

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
PICTURE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    }
]
SEEING: dict[str, Any] = {"capabilities": ["vision", "tools"]}


def a_router(provider: ScriptedProvider, *models: dict[str, Any], **sections: Any) -> Router:
    options = sections.pop("router", {})
    return Router(bundle(*models, **sections), provider=provider, credentials=key_of, **options)


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        (None, ["local"]),
        ("top", ["local"]),
        ("restricted", ["local"]),
        ("declared", ["local", "cloud"]),
        ("public", ["local", "cloud"]),
    ],
)
def test_a_picture_raises_the_label_unless_the_policy_lets_the_declared_one_cover_it(
    setting: str | None, left: list[str]
) -> None:
    sections = {} if setting is None else {"classifiers": {"unscannable": {"image": setting}}}
    models = (model("local", **SEEING), vendor("cloud", **SEEING))
    decision = a_router(ScriptedProvider(), *models, **sections).decide(PICTURE, **PUBLIC)
    assert [part.model for part in decision.candidates] == left


def test_the_limit_of_the_catalogue_is_sent_where_the_call_has_none() -> None:
    provider = ScriptedProvider()
    a_router(provider, model("local", max_output=77)).completion(HELLO, **PUBLIC)
    assert provider.sends[0].max_output == 77


def test_the_limit_sent_leaves_room_in_the_window() -> None:
    provider = ScriptedProvider()
    narrow = model("local", max_output=5_000, context_window=1_000)
    a_router(provider, narrow).completion(HELLO, **PUBLIC)
    sent = provider.sends[0].max_output
    assert sent is not None
    assert 0 < sent < 1_000


@pytest.mark.parametrize(
    ("price", "call"),
    [
        ({"input": 1, "output": 1, "request": 1}, {}),
        ({"input": 1, "output": 1, "cache_write": 9_000}, {}),
        ({"input": 1, "output": 1, "reasoning": 9_000}, {}),
        ({"input": 1, "output": 40}, {"n": 100}),
    ],
    ids=["the price of a request", "cache writes", "reasoning", "every answer asked for"],
)
def test_the_worst_case_counts(price: dict[str, Any], call: dict[str, Any]) -> None:
    budget = {"id": "call", "period": "call", "limit_usd": 0.1}
    router = a_router(ScriptedProvider(), model("local", price=price), budgets=[budget])
    with pytest.raises(BudgetExceeded):
        router.completion(HELLO, **PUBLIC, **call)
    plain = model("local", price={"input": 1, "output": 1})
    assert a_router(ScriptedProvider(), plain, budgets=[budget]).completion(HELLO, **PUBLIC)


def test_a_budget_holds_a_token_for_every_byte_of_the_prompt() -> None:
    budget = {"id": "day", "period": "day", "limit_tokens": 4_000}
    long = [{"role": "user", "content": "word " * 1_000}]
    with pytest.raises(BudgetExceeded):
        a_router(ScriptedProvider(), model("local"), budgets=[budget]).completion(long, **PUBLIC)


def test_the_price_of_a_request_is_charged() -> None:
    ledger = MemoryLedger()
    router = a_router(
        ScriptedProvider([Turn(text="x", usage=Usage(input_tokens=1, output_tokens=1))]),
        model("local", price={"input": 0, "output": 0, "request": 0.01}),
        budgets=[{"id": "day", "period": "day", "limit_usd": 1}],
        router={"budgets": ledger},
    )
    assert str(router.completion(HELLO, **PUBLIC).cost_usd) == "0.010000000000"
    assert balances(ledger) == {"day": (10**10, 0)}


def test_what_a_task_carries_joins_the_label_and_declares_nothing() -> None:
    tasks = {"letter": {"carries": ["phi"]}, "other": None}
    router = a_router(ScriptedProvider(), tasks=tasks)
    said = router.decide(HELLO, **PUBLIC, task="letter").label
    assert (said.level, sorted(said.categories)) == ("restricted", ["phi", "pii"])
    assert not said.unknown
    assert router.decide(HELLO, task="letter").label.unknown


def test_a_call_nobody_labelled_gets_no_answer_of_one_that_was_labelled() -> None:
    labels = {"levels": ["low", "high"], "categories": {"odd": {"at_least": "high"}}}
    router = a_router(
        ScriptedProvider(),
        model("local"),
        labels=labels,
        rules=[{"id": "p", "effect": "permit", "models": "all"}],
        runtime=runtime(cache={"mode": "exact"}),
    )
    assert not router.completion(HELLO, sensitivity="high").cached
    assert not router.completion(HELLO).cached


class BrokenTracing(NoOpTracerProvider):
    """Tracing that fails where a transmission would begin."""

    def get_tracer(self, *names: Any, **options: Any) -> Tracer:
        tracer = super().get_tracer(*names, **options)
        start = tracer.start_span

        def fail(name: str, *parts: Any, **more: Any) -> Span:
            if name.startswith("chat"):
                raise OSError
            return start(name, *parts, **more)

        tracer.start_span = fail  # type: ignore[method-assign]
        return tracer


def test_what_is_held_is_given_back_when_tracing_fails_before_anything_is_sent() -> None:
    ledger, provider = MemoryLedger(), ScriptedProvider()
    router = a_router(
        provider,
        budgets=[{"id": "day", "period": "day", "limit_calls": 9}],
        router={"budgets": ledger, "tracer_provider": BrokenTracing()},
    )
    with pytest.raises(OSError):  # noqa: PT011 - the application's own
        router.completion(HELLO, **PUBLIC)
    assert provider.sends == ()
    assert balances(ledger) == {"day": (0, 0)}


def test_calls_share_no_flight_where_one_candidate_may_not_be_shared() -> None:
    rule = {"id": "o", "effect": "obligate", "models": {"id": "local"}, "do": {"cache": "none"}}
    provider = ScriptedProvider(Turn(text="x", wait_s=0.2))
    router = a_router(
        provider,
        model("local"),
        vendor("cloud"),
        rules=[AT_HOME, STAYS_HOME, rule],
        runtime=runtime(cache={"mode": "exact"}),
    )
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(router.completion, HELLO, **PUBLIC) for _ in range(2)]
        assert [part.result().cached for part in answers] == [False, False]
    assert len(provider.sends) == 2
