"""Money: never promised twice, always settled."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from modelrouter import BudgetBusy, BudgetExceeded, CallFailed, Reply, Router
from modelrouter.budget import Account, Charge, Hold, MemoryLedger, Shortage, window_of
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.testing import ManualClock, ScriptedProvider, Turn
from modelrouter.values import Usage
from tests.flow.kit import HELLO, Api, balances, bundle, key_of, model, runtime, until, vendor

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
TEN_CALLS = {"id": "ten", "period": "day", "limit_calls": 10}


def usd_budget(limit: float, **more: Any) -> dict[str, Any]:
    return {"id": "money", "period": "day", "limit_usd": limit, **more}


def test_two_hundred_calls_on_a_budget_for_ten(api: Api) -> None:
    ledger, provider = MemoryLedger(), ScriptedProvider(Turn(wait_s=0.01))
    router = Router(
        bundle(budgets=[TEN_CALLS]), provider=provider, budgets=ledger, credentials=key_of
    )
    found = api.together(router, [PUBLIC] * 200)
    answered = [part for part in found if isinstance(part, Reply)]
    refused = [part for part in found if isinstance(part, BudgetExceeded)]
    assert (len(answered), len(refused)) == (10, 190)
    assert len(provider.sends) == 10
    assert balances(ledger) == {"ten": (10, 0)}


def test_two_hundred_calls_on_money_for_ten(api: Api) -> None:
    ledger = MemoryLedger()
    provider = ScriptedProvider(Turn(usage=Usage(input_tokens=10, output_tokens=20), wait_s=0.01))
    only = model("only", price={"input": 1, "output": 1})
    worst = (
        Router(bundle(only), provider=provider).decide(HELLO, sensitivity="public").candidates[0]
    )
    assert worst.worst_cost_usd is not None
    limit = float(worst.worst_cost_usd * 10)
    router = Router(bundle(only, budgets=[usd_budget(limit)]), provider=provider, budgets=ledger)
    found = api.together(router, [PUBLIC] * 200)
    answered = [part for part in found if isinstance(part, Reply)]
    assert len(answered) >= 10
    assert all(isinstance(part, Reply | BudgetExceeded) for part in found)
    # 30 tokens at one millionth of a dollar each.
    assert balances(ledger) == {"money": (len(answered) * 30 * 10**6, 0)}
    assert provider.most_at_once <= 10


def test_spent_is_the_sum_of_what_calls_cost(api: Api) -> None:
    ledger = MemoryLedger()
    script: list[Any] = [
        Turn(usage=Usage(input_tokens=5, output_tokens=7)),
        ProviderError(ErrorKind.UNREACHABLE),
        Turn(usage=Usage(input_tokens=1, output_tokens=1)),
        Turn(usage=Usage(input_tokens=100, output_tokens=100)),
    ]
    provider = ScriptedProvider(script)
    router = Router(
        bundle(model("a"), budgets=[usd_budget(1)], runtime=runtime(retries=1)),
        provider=provider,
        budgets=ledger,
    )
    replies = [api.complete(router, **PUBLIC) for _ in range(3)]
    costs = [reply.receipt.cost_pico for reply in replies]
    assert costs == [12 * 10**6, 2 * 10**6, 200 * 10**6]
    assert balances(ledger) == {"money": (214 * 10**6, 0)}


@pytest.mark.parametrize(
    ("turn", "charged"),
    [
        (ProviderError(ErrorKind.SERVER_ERROR, billed=True), True),
        (ProviderError(ErrorKind.SERVER_ERROR), False),
        (ProviderError(ErrorKind.UNAUTHORISED, status=401), False),
        (ZeroDivisionError(), True),
        (Turn(hangs=True), True),
    ],
    ids=["billed", "not billed", "refused key", "broken provider", "hangs"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_unknown_outcome_is_charged_in_full_and_an_unbilled_failure_gives_back(
    api: Api, turn: Any, *, charged: bool, streamed: bool
) -> None:
    ledger = MemoryLedger()
    router = Router(
        bundle(model("a"), budgets=[usd_budget(1)]),
        provider=ScriptedProvider(turn),
        budgets=ledger,
    )
    worst = router.decide(HELLO, sensitivity="public").candidates[0].worst_pico
    if streamed:
        assert api.stream(router, **PUBLIC, timeout=0.2).error is not None
    else:
        with pytest.raises((CallFailed, ZeroDivisionError)):
            api.complete(router, **PUBLIC, timeout=0.2)
    assert balances(ledger) == {"money": (worst if charged else 0, 0)}


def test_an_answer_without_usage_is_charged_in_full(api: Api) -> None:
    ledger = MemoryLedger()
    router = Router(
        bundle(model("a"), budgets=[usd_budget(1)]),
        provider=ScriptedProvider(Turn(usage=None)),
        budgets=ledger,
    )
    reply = api.complete(router, **PUBLIC)
    assert reply.cost_usd is None
    assert balances(ledger) == {"money": (reply.decision.candidates[0].worst_pico, 0)}


def test_what_is_held_for_is_what_is_asked_for(api: Api) -> None:
    provider = ScriptedProvider()
    router = Router(bundle(model("a", max_output=50), budgets=[usd_budget(1)]), provider=provider)
    api.complete(router, **PUBLIC)
    api.complete(router, **PUBLIC, max_tokens=7)
    assert [send.max_output for send in provider.sends] == [50, 7]


def test_money_that_is_held_is_another_error_than_money_that_is_spent() -> None:
    ledger = MemoryLedger()
    provider = ScriptedProvider(Turn(wait_s=0.4))
    budget = {"id": "one", "period": "day", "limit_calls": 1}
    router = Router(bundle(model("a"), budgets=[budget]), provider=provider, budgets=ledger)
    first = threading.Thread(target=lambda: router.completion(HELLO, sensitivity="public"))
    first.start()
    while not provider.sends:
        pass
    with pytest.raises(BudgetBusy) as busy:
        router.completion(HELLO, sensitivity="public")
    assert busy.value.budgets == ("one",)
    first.join()
    with pytest.raises(BudgetExceeded) as spent:
        router.completion(HELLO, sensitivity="public")
    assert type(spent.value) is BudgetExceeded
    assert len(provider.sends) == 1


class Contested(MemoryLedger):
    """A ledger on which another call takes the last money between decision and reservation."""

    __slots__ = ("refusals",)

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    async def reserve(self, charges: Sequence[Charge]) -> Hold | Shortage:
        if charges and self.refusals:
            self.refusals -= 1
            taken = await MemoryLedger.reserve(self, [charges[0]] * 1)
            assert isinstance(taken, Hold)
            await MemoryLedger.settle(self, taken, {})
        return await MemoryLedger.reserve(self, charges)


def test_a_degrading_budget_decides_once_more(api: Api) -> None:
    provider = ScriptedProvider()
    budget = {
        "id": "one",
        "period": "day",
        "limit_calls": 1,
        "models": {"hosting": "vendor_api"},
        "on_exceed": "degrade",
    }
    router = Router(
        bundle(
            model("local"), vendor("cloud", price={"input": 0.1, "output": 0.1}), budgets=[budget]
        ),
        provider=provider,
        budgets=Contested(1),
        credentials=key_of,
    )
    reply = api.complete(router, **PUBLIC)
    assert [send.model for send in provider.sends] == ["local"]
    assert reply.decision.degraded == ("one",)
    assert reply.decision.warnings == ("one:100%", "one:degraded")


def test_a_second_refusal_ends_the_call(api: Api) -> None:
    provider = ScriptedProvider()
    budgets = [
        {"id": "a", "period": "day", "limit_calls": 1, "models": {"id": "local"}},
        {"id": "b", "period": "day", "limit_calls": 1, "models": {"id": "cloud"}},
    ]
    router = Router(
        bundle(
            model("local"),
            vendor("cloud"),
            vendor("free-of-budgets", price={"input": 9, "output": 9}),
            budgets=budgets,
        ),
        provider=provider,
        budgets=Contested(2),
        credentials=key_of,
    )
    with pytest.raises(BudgetExceeded) as caught:
        api.complete(router, **PUBLIC)
    assert caught.value.budgets == ("b",)
    assert provider.sends == ()


def test_a_budget_of_one_call_counts_its_attempts(api: Api) -> None:
    budget = {"id": "each", "period": "call", "limit_calls": 2}
    provider = ScriptedProvider([ProviderError(ErrorKind.SERVER_ERROR, billed=True)] * 2 + ["x"])
    ledger = MemoryLedger()
    router = Router(
        bundle(model("a"), budgets=[budget], runtime=runtime(retries=5, attempts=6)),
        provider=provider,
        budgets=ledger,
    )
    with pytest.raises(BudgetExceeded) as caught:
        api.complete(router, **PUBLIC)
    assert caught.value.budgets == ("each",)
    assert len(provider.sends) == 2
    assert api.complete(router, **PUBLIC).text == "x"


def test_accounts_of_calls_that_ended_are_forgotten() -> None:
    clock = ManualClock()
    ledger = MemoryLedger(sweep_at=50, now=lambda: clock.now().timestamp())
    budgets = [{"id": "each", "period": "call", "limit_calls": 2}, TEN_CALLS | {"limit_calls": 999}]
    router = Router(
        bundle(model("a"), budgets=budgets),
        provider=ScriptedProvider(),
        budgets=ledger,
        clock=clock,
    )
    for _ in range(200):
        router.completion(HELLO, sensitivity="public")
        clock.advance(minutes=1)
    ledger.sweep()
    assert len(ledger.balances) < 20
    assert balances(ledger)["ten"] == (200, 0)
    assert ledger.sweep_at == 10_000


def test_a_warning_budget_blocks_nobody(api: Api) -> None:
    ledger = MemoryLedger()
    router = Router(
        bundle(model("a"), budgets=[TEN_CALLS | {"limit_calls": 1, "on_exceed": "warn"}]),
        provider=ScriptedProvider(),
        budgets=ledger,
    )
    assert [api.complete(router, **PUBLIC).warnings for _ in range(3)] == [
        (),
        ("ten:100%",),
        ("ten:200%",),
    ]
    assert balances(ledger) == {"ten": (3, 0)}


def test_every_scope_has_an_account_of_its_own(api: Api) -> None:
    facts = {"tenant": {"type": "string", "source": "auth"}}
    router = Router(
        bundle(
            model("a"), facts=facts, budgets=[TEN_CALLS | {"limit_calls": 1, "scope": ["tenant"]}]
        ),
        provider=ScriptedProvider(),
    )
    for tenant in ("a", "b", None):
        call = {**PUBLIC, "facts": {"tenant": tenant} if tenant else {}}
        api.complete(router, **call)
        with pytest.raises(BudgetExceeded):
            api.complete(router, **call)


def test_a_new_window_begins_anew(api: Api) -> None:
    clock = ManualClock(datetime.datetime(2026, 11, 30, 23, 59, 59, tzinfo=datetime.UTC))
    month = {"id": "month", "period": "month", "limit_calls": 1}
    router = Router(bundle(model("a"), budgets=[month]), provider=ScriptedProvider(), clock=clock)
    api.complete(router, **PUBLIC)
    with pytest.raises(BudgetExceeded):
        api.complete(router, **PUBLIC)
    clock.advance(seconds=1)
    api.complete(router, **PUBLIC)


UTC = datetime.UTC


@pytest.mark.parametrize(
    ("period", "now", "name", "ends"),
    [
        ("minute", (2026, 12, 31, 23, 59, 59), "2026-12-31T23:59", (2027, 1, 1)),
        ("hour", (2026, 11, 23, 9, 59, 59), "2026-11-23T09", (2026, 11, 23, 10)),
        ("day", (2026, 11, 23, 0, 0, 0), "2026-11-23", (2026, 11, 24)),
        ("day", (2024, 2, 28, 23, 59, 59), "2024-02-28", (2024, 2, 29)),
        ("week", (2026, 11, 23, 0, 0, 0), "2026-W48", (2026, 11, 30)),
        ("week", (2026, 11, 22, 23, 59, 59), "2026-W47", (2026, 11, 23)),
        ("week", (2027, 1, 1, 12, 0, 0), "2026-W53", (2027, 1, 4)),
        ("month", (2026, 1, 31, 12, 0, 0), "2026-01", (2026, 2, 1)),
        ("month", (2024, 2, 29, 12, 0, 0), "2024-02", (2024, 3, 1)),
        ("month", (2026, 12, 31, 23, 59, 59), "2026-12", (2027, 1, 1)),
    ],
)
def test_a_window_ends_where_the_calendar_says(
    period: str, now: tuple[int, ...], name: str, ends: tuple[int, ...]
) -> None:
    moment = datetime.datetime(*now, tzinfo=UTC)  # type: ignore[misc, arg-type]
    end = datetime.datetime(*ends, tzinfo=UTC)  # type: ignore[misc, arg-type]
    assert window_of(period, moment, "call-1", longest_s=60) == (name, end.timestamp())
    last = end - datetime.timedelta(microseconds=1)
    assert window_of(period, last, "call-1", longest_s=60)[0] == name
    assert window_of(period, end, "call-1", longest_s=60)[0] != name


@pytest.mark.parametrize("period", ["minute", "hour", "day", "week", "month"])
def test_the_last_window_of_the_calendar_has_an_end(period: str) -> None:
    last = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
    _, end = window_of(period, last, "call-1", longest_s=60)
    week = 2 * 86_400 if period == "week" else 0  # a Friday
    assert end == last.timestamp() + 1 + week


@pytest.mark.parametrize("period", ["call", "run"])
def test_a_window_of_a_call_is_its_own(period: str) -> None:
    now = datetime.datetime(2026, 11, 23, tzinfo=UTC)
    name, ends = window_of(period, now, "call-1", longest_s=90)
    assert name == "call-1"
    assert ends > now.timestamp() + 90


class Slow(MemoryLedger):
    """A ledger that suspends, as one behind a network does."""

    __slots__ = ("settled",)

    def __init__(self) -> None:
        super().__init__()
        self.settled = 0

    async def settle(self, hold: Hold, spent: Mapping[str, int]) -> None:
        await asyncio.sleep(0.05)
        self.settled += 1
        await MemoryLedger.settle(self, hold, spent)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_hold_is_settled_however_often_the_call_is_cancelled(*, streamed: bool) -> None:
    ledger = Slow()
    provider = ScriptedProvider(Turn(text="a b", hangs=True, pieces=2))
    router = Router(bundle(model("a"), budgets=[TEN_CALLS]), provider=provider, budgets=ledger)

    async def read() -> None:
        async for _ in router.astream(HELLO, sensitivity="public"):
            pass

    work = read() if streamed else router.acompletion(HELLO, sensitivity="public")
    task = asyncio.ensure_future(work)
    await until(lambda: bool(provider.sends))
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0.005)
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.1)
    assert ledger.settled == 1
    assert balances(ledger) == {"ten": (1, 0)}


def test_settling_twice_changes_nothing() -> None:
    ledger = MemoryLedger()
    account = Account(budget="b", scope=(), window="w", ends=0)

    async def twice() -> None:
        hold = await ledger.reserve([Charge(account=account, amount=5, limit=10)])
        assert isinstance(hold, Hold)
        await ledger.settle(hold, {"b": 3})
        await ledger.settle(hold, {"b": 3})

    asyncio.run(twice())
    assert balances(ledger) == {"b": (3, 0)}


@pytest.mark.parametrize(("amount", "fits"), [(0, True), (1, False)])
def test_an_overspent_account_holds_nothing_more(amount: int, *, fits: bool) -> None:
    ledger = MemoryLedger()
    account = Account(budget="b", scope=(), window="w", ends=0)

    async def late() -> Hold | Shortage:
        hold = await ledger.reserve([Charge(account=account, amount=5, limit=10)])
        assert isinstance(hold, Hold)
        await ledger.settle(hold, {"b": 12})
        return await ledger.reserve([Charge(account=account, amount=amount, limit=10)])

    found = asyncio.run(late())
    assert isinstance(found, Hold) == fits
    if isinstance(found, Shortage):
        assert not found.passing
    assert balances(ledger) == {"b": (12, 0)}
