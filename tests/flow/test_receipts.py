"""Receipts: one for every call, whatever became of it, and enough to decide it again."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
from typing import Any

import pytest

from modelrouter import BudgetExceeded, PolicyDenied, Receipt, Router
from modelrouter.decide import Snapshot, decide
from modelrouter.engine.compiled import compile_bundle
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.testing import ManualClock, ScriptedProvider, Turn
from tests.flow.kit import HELLO, Api, bundle, key_of, model, runtime, until, vendor

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
POLICY = bundle(
    model("local", capabilities=["tools"]),
    vendor("cloud"),
    facts={"tenant": {"type": "string", "source": "auth"}},
    budgets=[
        {"id": "month", "period": "month", "limit_usd": 1, "scope": ["tenant"]},
        {"id": "calls", "period": "day", "limit_calls": 4, "on_exceed": "degrade",
         "models": {"id": "local"}},
    ],
    runtime=runtime(cache={"mode": "exact"}),
)  # fmt: skip
DOWN = ProviderError(ErrorKind.SERVER_ERROR, status=503)
OUTCOMES: dict[str, tuple[Any, dict[str, Any], str, str | None, int, int]] = {
    "answered": ("x", PUBLIC, "answered", None, 1, 0),
    "after a fallback": ([DOWN, "x"], PUBLIC, "answered", None, 2, 1),
    "failed": (DOWN, PUBLIC, "failed", "CallFailed", 2, 2),
    "invalid": (ProviderError(ErrorKind.INVALID_REQUEST), PUBLIC, "failed", "CallInvalid", 1, 1),
    "timed out": (Turn(hangs=True), {**PUBLIC, "timeout": 0.1}, "failed", "CallTimedOut", 1, 1),
    "denied": ("x", {"model": "cloud"}, "denied", "PolicyDenied", 0, 0),
    "too dear": ("x", {**PUBLIC, "max_cost_usd": 0}, "denied", "BudgetExceeded", 0, 0),
    "broken": (ZeroDivisionError(), PUBLIC, "failed", "ZeroDivisionError", 1, 0),
}


def replayed(receipt: Receipt) -> dict[str, Any]:
    """Decide the call of a receipt again, from the receipt alone."""
    assert receipt.policy_digest == POLICY.digest
    day = datetime.date.fromisoformat(receipt.day)
    snapshot = Snapshot(
        engine=compile_bundle(POLICY, day),
        spent=receipt.spent,
        down=receipt.down,
        unfulfillable=receipt.unfulfillable,
    )
    return decide(receipt.request, snapshot).as_json()


@pytest.mark.parametrize("name", list(OUTCOMES))
@pytest.mark.parametrize("streamed", [False, True])
def test_every_call_leaves_one_receipt_that_can_be_replayed(
    api: Api, name: str, *, streamed: bool
) -> None:
    script, call, outcome, error, sends, failed = OUTCOMES[name]
    receipts: list[Receipt] = []
    router = Router(
        POLICY,
        provider=ScriptedProvider(script),
        credentials=key_of,
        receipts=receipts.append,
        receipt_key=b"key",
    )
    if streamed:
        api.stream(router, **call)
    else:
        api.together(router, [call])
    (receipt,) = receipts
    assert (receipt.outcome, receipt.error, receipt.sends) == (outcome, error, sends)
    assert len(receipt.attempts) == failed
    assert replayed(receipt) == receipt.decision.as_json()
    assert json.loads(json.dumps(receipt.as_json()))["outcome"] == outcome


def test_the_receipts_of_many_calls_can_be_replayed(api: Api) -> None:
    receipts: list[Receipt] = []
    clock = ManualClock()
    router = Router(
        POLICY,
        provider=ScriptedProvider(),
        credentials=key_of,
        receipts=receipts.append,
        clock=clock,
    )
    for number in range(12):
        call = {**PUBLIC, "facts": {"tenant": f"t{number % 3}"}, "temperature": number}
        clock.advance(hours=3)
        try:
            api.complete(router, **call)
        except (BudgetExceeded, PolicyDenied):
            continue
    assert len(receipts) == 12
    assert any(receipt.decision.degraded for receipt in receipts)
    assert all(replayed(receipt) == receipt.decision.as_json() for receipt in receipts)
    assert len({receipt.call for receipt in receipts}) == 12
    assert [receipt.call for receipt in receipts] == sorted(receipt.call for receipt in receipts)


def test_cached_and_shared_answers_leave_receipts(api: Api) -> None:
    receipts: list[Receipt] = []
    router = Router(
        POLICY,
        provider=ScriptedProvider(Turn(wait_s=0.1)),
        credentials=key_of,
        receipts=receipts.append,
    )
    api.together(router, [PUBLIC] * 4)
    api.complete(router, **PUBLIC)
    assert len(receipts) == 5
    assert {receipt.cache for receipt in receipts} == {"miss", "shared", "hit"}
    assert sum(receipt.sends for receipt in receipts) == 1
    assert [receipt.cost_pico for receipt in receipts].count(0) == 4


async def test_a_cancelled_call_leaves_a_receipt() -> None:
    receipts: list[Receipt] = []
    provider = ScriptedProvider(Turn(hangs=True))
    router = Router(POLICY, provider=provider, credentials=key_of, receipts=receipts.append)
    task = asyncio.ensure_future(router.acompletion(HELLO, **PUBLIC))
    await until(lambda: bool(provider.sends))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (receipt,) = receipts
    assert (receipt.outcome, receipt.error) == ("failed", "CancelledError")
    assert receipt.cost_pico == receipt.decision.candidates[0].worst_pico
    assert replayed(receipt) == receipt.decision.as_json()


def test_a_sink_that_fails_costs_nobody_the_answer(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Receipt) -> None:
        raise OSError("disk full: secret path")

    router = Router(POLICY, provider=ScriptedProvider(), credentials=key_of, receipts=refuse)
    with caplog.at_level(logging.ERROR):
        assert api.complete(router, **PUBLIC).text
    assert "was not taken: OSError" in caplog.text
    assert "secret path" not in caplog.text


def test_equal_content_has_equal_hashes_under_one_key_only(api: Api) -> None:
    def hash_of(key: bytes | None, words: str) -> str:
        router = Router(POLICY, provider=ScriptedProvider(), credentials=key_of, receipt_key=key)
        messages = [{"role": "user", "content": words}]
        return api.complete(router, messages, **PUBLIC).receipt.content_hmac

    assert hash_of(b"k", "a") == hash_of(b"k", "a")
    assert (
        len({hash_of(b"k", "a"), hash_of(b"l", "a"), hash_of(b"k", "b"), hash_of(None, "a")}) == 4
    )
