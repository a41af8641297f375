"""Just before the bytes leave: obligations, approval, keys, and the newest policy."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Any

import pytest

from modelrouter import CallFailed, PolicyDenied, Router
from modelrouter.budget import MemoryLedger
from modelrouter.errors import CallTimedOut, CallUnauthorised, ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.testing import ManualClock, ScriptedProvider, Turn
from modelrouter.world import Approval
from tests.flow.kit import (
    AT_HOME,
    HELLO,
    Api,
    balances,
    bundle,
    key_of,
    model,
    put,
    runtime,
    vendor,
)

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
DOWN = ProviderError(ErrorKind.SERVER_ERROR)
ASK = {"id": "ask", "effect": "obligate", "when": {"task": "risky"}, "do": {"approval": ["lead"]}}
ASK_FOR_CLOUD = {**ASK, "when": {"level": "public"}, "models": {"id": "cloud"}}
TEN = [{"id": "ten", "period": "day", "limit_calls": 10}]


def risky(provider: ScriptedProvider, *, rule: Any = ASK, **more: Any) -> Router:
    return Router(
        bundle(rules=[AT_HOME, rule], tasks=["risky", "other"], budgets=TEN),
        provider=provider,
        credentials=key_of,
        **more,
    )


async def agree(_: Approval) -> bool:
    await asyncio.sleep(0.01)
    return True


async def decline(_: Approval) -> bool:
    await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize("approver", [lambda _: True, agree], ids=["sync", "async"])
def test_an_approved_call_is_sent(api: Api, approver: Any) -> None:
    asked: list[Approval] = []

    def approve(approval: Approval) -> Any:
        asked.append(approval)
        return approver(approval)

    provider = ScriptedProvider()
    router = risky(provider, approve=approve)
    assert api.complete(router, **PUBLIC).text
    assert asked == []
    assert api.complete(router, **PUBLIC, task="risky").text
    assert [(part.model, part.roles, part.decision.task) for part in asked] == [
        ("local", ("lead",), "risky")
    ]
    assert api.stream(router, **PUBLIC, task="risky").error is None
    assert len(asked) == 2


@pytest.mark.parametrize("approver", [lambda _: False, decline], ids=["sync", "async"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_refused_call_is_not_sent(api: Api, approver: Any, *, streamed: bool) -> None:
    provider, ledger = ScriptedProvider(), MemoryLedger()
    router = risky(provider, approve=approver, budgets=ledger)
    with pytest.raises(PolicyDenied) as caught:
        put(api, router, streamed=streamed, **PUBLIC, task="risky")
    decision = caught.value.decision
    assert decision.deny_stage == "obligation"
    assert {part.model: part.reasons[-1].detail for part in decision.excluded} == {
        "local": "approval was refused",
        "cloud": "approval was refused",
    }
    assert provider.sends == ()
    assert balances(ledger) == {}


def test_without_an_approver_the_call_is_denied(api: Api) -> None:
    provider = ScriptedProvider()
    with pytest.raises(PolicyDenied) as caught:
        api.complete(risky(provider), **PUBLIC, task="risky")
    assert caught.value.decision.deny_stage == "obligation"
    assert provider.sends == ()


class Broken(Exception):
    """What an approver of the application may raise."""


async def fail_later(_: Approval) -> bool:
    await asyncio.sleep(0.01)
    raise Broken


def fail_now(_: Approval) -> bool:
    raise Broken


@pytest.mark.parametrize("approver", [fail_now, fail_later])
def test_an_approver_that_raises_sends_nothing(api: Api, approver: Any) -> None:
    provider, ledger = ScriptedProvider(), MemoryLedger()
    router = risky(provider, approve=approver, budgets=ledger)
    with pytest.raises(Broken):
        api.complete(router, **PUBLIC, task="risky")
    assert provider.sends == ()
    assert balances(ledger) == {}


@pytest.mark.parametrize("answer", [None, 1, "yes", object()])
def test_only_true_is_an_approval(api: Api, answer: Any) -> None:
    provider = ScriptedProvider()
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, nothing is sent
        api.complete(risky(provider, approve=lambda _: answer), **PUBLIC, task="risky")
    assert provider.sends == ()


async def never(_: Approval) -> bool:
    await asyncio.sleep(60)
    return True


def test_an_approver_that_hangs_ends_with_the_deadline(api: Api) -> None:
    provider = ScriptedProvider()
    started = time.monotonic()
    with pytest.raises(CallTimedOut, match="nothing was sent"):
        api.complete(risky(provider, approve=never), **PUBLIC, task="risky", timeout=0.2)
    assert time.monotonic() - started < 0.8
    assert provider.sends == ()


def test_a_refusal_for_one_model_leaves_the_next(api: Api) -> None:
    provider = ScriptedProvider()
    rule = {**ASK, "models": {"id": "local"}}
    router = risky(provider, rule=rule, approve=lambda _: False)
    reply = api.complete(router, **PUBLIC, task="risky")
    assert reply.model == "cloud"
    assert [send.model for send in provider.sends] == ["cloud"]


def test_a_failure_and_then_a_refusal_is_a_failure(api: Api) -> None:
    provider = ScriptedProvider(DOWN)
    router = risky(provider, rule=ASK_FOR_CLOUD, approve=lambda _: False)
    with pytest.raises(CallFailed, match="`local`: server_error") as caught:
        api.complete(router, **PUBLIC)
    assert [part.model for part in caught.value.attempts] == ["local"]
    assert [send.model for send in provider.sends] == ["local"]
    found = api.stream(router, **PUBLIC)
    assert isinstance(found.error, CallFailed)


def test_a_redaction_nobody_can_carry_out_drops_the_candidate(api: Api) -> None:
    rule = {
        "id": "redacted",
        "effect": "obligate",
        "when": {"categories": ["pii"]},
        "models": {"hosting": "vendor_api"},
        "do": {"redact": ["pii"]},
    }
    provider = ScriptedProvider(DOWN)
    router = Router(bundle(rules=[rule]), provider=provider, credentials=key_of)
    with pytest.raises(CallFailed):
        api.complete(router, sensitivity="pii")
    assert [send.model for send in provider.sends] == ["local"]
    with pytest.raises(PolicyDenied) as caught:
        api.complete(router, sensitivity="pii", model="cloud")
    assert caught.value.decision.deny_stage == "obligation"
    assert len(provider.sends) == 1


BEFORE_MIDNIGHT = datetime.datetime(2026, 11, 23, 23, 59, 59, tzinfo=datetime.UTC)
TODAY_ONLY = {
    "id": "today-only",
    "effect": "permit",
    "when": {"level": "restricted"},
    "models": {"id": "cloud"},
    "expires": "2026-11-23",
}


def at_midnight(provider: ScriptedProvider, clock: ManualClock, **more: Any) -> Router:
    return Router(
        bundle(rules=[AT_HOME, TODAY_ONLY], runtime=runtime(retries=1, attempts=4), budgets=TEN),
        provider=provider,
        credentials=key_of,
        clock=clock,
        **more,
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_a_policy_that_changes_in_mid_call_only_narrows(api: Api, *, streamed: bool) -> None:
    clock, ledger = ManualClock(BEFORE_MIDNIGHT), MemoryLedger()
    late = Turn(error=DOWN, before=lambda: clock.advance(seconds=1))
    provider = ScriptedProvider([Turn(error=DOWN), late, "never sent"])
    router = at_midnight(provider, clock, budgets=ledger)
    decision = router.decide(HELLO, sensitivity="restricted")
    assert [part.model for part in decision.candidates] == ["local", "cloud"]
    with pytest.raises(CallFailed) as caught:
        put(api, router, streamed=streamed, sensitivity="restricted")
    assert [send.model for send in provider.sends] == ["local", "local"]
    assert "the newest policy forbids it" in caught.value.decision.explain()
    assert balances(ledger) == {"ten": (0, 0)}


def test_a_policy_that_changes_before_the_first_send_denies(api: Api) -> None:
    clock = ManualClock(BEFORE_MIDNIGHT)
    provider = ScriptedProvider()
    rule = {**ASK, "when": {"level": "restricted"}}
    ledger = MemoryLedger()

    def approve(_: Approval) -> bool:
        clock.advance(seconds=1)
        return True

    router = Router(
        bundle(rules=[TODAY_ONLY, rule], budgets=TEN),
        provider=provider,
        credentials=key_of,
        clock=clock,
        approve=approve,
        budgets=ledger,
    )
    with pytest.raises(PolicyDenied, match="denies"):
        api.complete(router, sensitivity="restricted")
    assert provider.sends == ()
    assert balances(ledger) == {"ten": (0, 0)}


def test_a_model_that_retires_in_mid_call_is_not_sent_to(api: Api) -> None:
    clock = ManualClock(BEFORE_MIDNIGHT)
    provider = ScriptedProvider(Turn(error=DOWN, before=lambda: clock.advance(seconds=1)))
    router = Router(
        bundle(model("a"), model("b", retires="2026-11-24", price={"input": 2, "output": 2})),
        provider=provider,
        clock=clock,
    )
    with pytest.raises(CallFailed):
        api.complete(router, **PUBLIC)
    assert [send.model for send in provider.sends] == ["a"]


def test_a_missing_key_is_named_before_anything_is_sent(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUD_KEY", raising=False)
    provider, ledger = ScriptedProvider(), MemoryLedger()
    router = Router(bundle(vendor("cloud"), budgets=TEN), provider=provider, budgets=ledger)
    with pytest.raises(CallUnauthorised, match="key of model `cloud` is not set: `CLOUD_KEY`"):
        api.complete(router, **PUBLIC)
    assert isinstance(api.stream(router, **PUBLIC).error, CallUnauthorised)
    assert list(provider.sends) == []
    assert balances(ledger) == {}
    monkeypatch.setenv("CLOUD_KEY", "secret-key")
    assert api.complete(router, **PUBLIC).text
    assert provider.sends[0].key.reveal == "secret-key"
    assert "secret-key" not in repr(provider.sends[0])


def test_a_key_of_the_application_wins_over_the_environment(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_KEY", "from-the-environment")
    provider = ScriptedProvider()
    given: dict[str, str | None] = {"cloud": "first"}
    router = Router(bundle(vendor("cloud")), provider=provider, credentials=given.get)
    api.complete(router, **PUBLIC)
    given["cloud"] = "rotated"
    api.complete(router, **PUBLIC)
    given["cloud"] = None
    api.complete(router, **PUBLIC)
    keys = [send.key.reveal for send in provider.sends]
    assert keys == ["first", "rotated", "from-the-environment"]


def test_a_model_without_a_key_is_sent_none(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-vendors-key")
    provider = ScriptedProvider()
    api.complete(Router(bundle(model("a")), provider=provider, credentials=key_of), **PUBLIC)
    assert provider.sends[0].key.reveal == ""
