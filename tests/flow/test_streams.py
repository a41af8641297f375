"""Streams: nothing is glued on, nothing is left open."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import pytest

from modelrouter import CallFailed, Receipt, Router
from modelrouter.budget import MemoryLedger
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.streams import AsyncStream
from modelrouter.testing import ScriptedProvider, Turn
from modelrouter.values import Json
from tests.flow.kit import HELLO, Api, balances, bundle, key_of, runtime, wait_until

CUT = ProviderError(ErrorKind.INCOMPLETE, billed=True)
PUBLIC: dict[str, Any] = {"sensitivity": "public"}
DAY = [{"id": "day", "period": "day", "limit_usd": 10}]


def router_with(provider: ScriptedProvider, **more: Any) -> Router:
    return Router(bundle(budgets=DAY), provider=provider, credentials=key_of, **more)


def test_a_stream_adds_up_to_its_reply(api: Api) -> None:
    found = api.stream(router_with(ScriptedProvider("one two three")), **PUBLIC)
    assert found.error is None
    assert found.reply is not None
    assert found.text == found.reply.text == "one two three"
    assert found.chunks[-1].usage == found.reply.usage
    assert found.reply.receipt.outcome == "answered"
    assert found.reply.response.choices[0].message.content == "one two three"
    assert found.chunks[1].response.choices[0].delta.content == "one "


@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_a_stream_that_breaks_after_the_first_word_raises(api: Api, pieces: int) -> None:
    provider = ScriptedProvider([Turn(text="one two three", error=CUT, pieces=pieces), "other"])
    found = api.stream(router_with(provider), **PUBLIC)
    assert isinstance(found.error, CallFailed)
    assert "after part of it had been delivered" in str(found.error)
    assert found.text == {2: "one ", 3: "one two ", 4: "one two three"}[pieces]
    assert found.reply is None
    assert len(provider.sends) == 1


@pytest.mark.parametrize("pieces", [None, 0, 1])
def test_a_stream_that_breaks_before_its_first_word_falls_over(
    api: Api, pieces: int | None
) -> None:
    provider = ScriptedProvider([Turn(text="one two", error=CUT, pieces=pieces), "other"])
    found = api.stream(router_with(provider), **PUBLIC)
    assert found.error is None
    assert found.text == "other"
    assert [send.model for send in provider.sends] == ["local", "cloud"]


def test_tool_calls_count_as_the_first_word(api: Api) -> None:
    call: Json = {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    }
    turn = Turn(text="", message={"tool_calls": [call]}, error=CUT, pieces=2)
    found = api.stream(router_with(ScriptedProvider([turn, "other"])), **PUBLIC)
    assert isinstance(found.error, CallFailed)
    assert found.text == ""


def test_a_stream_closed_early_is_settled(api: Api) -> None:
    receipts: list[Receipt] = []
    ledger, provider = MemoryLedger(), ScriptedProvider(Turn(text="w " * 50, piece_s=0.01))
    router = router_with(provider, budgets=ledger, receipts=receipts.append)
    found = api.stream(router, **PUBLIC, most=2)
    assert found.text == "w "
    ((spent, held),) = balances(ledger).values()
    worst = receipts[0].decision.candidates[0].worst_pico
    assert (spent, held) == (worst, 0)
    assert [(receipt.outcome, receipt.sends) for receipt in receipts] == [("failed", 1)]
    assert wait_until(lambda: provider.under_way == 0)
    assert provider.cancelled == 1


def test_a_stream_that_is_dropped_is_settled_with_the_next_call() -> None:
    ledger, provider = MemoryLedger(), ScriptedProvider(Turn(text="w " * 50, piece_s=0.01))
    router = router_with(provider, budgets=ledger)
    pieces = router.stream(HELLO, sensitivity="public")
    next(pieces)
    del pieces
    gc.collect()
    router.decide(HELLO)
    ((spent, held),) = balances(ledger).values()
    assert spent > 0
    assert held == 0
    assert wait_until(lambda: provider.under_way == 0)


@pytest.mark.parametrize(
    "provider",
    [
        Turn(text="one two", hangs=True, pieces=2),
        Turn(hangs=True),
    ],
    ids=["between pieces", "before the first"],
)
def test_another_thread_may_close_a_stream_that_is_waited_for(provider: Turn) -> None:
    receipts: list[Receipt] = []
    ledger, scripted = MemoryLedger(), ScriptedProvider(provider)
    router = router_with(scripted, budgets=ledger, receipts=receipts.append)
    pieces = router.stream(HELLO, sensitivity="public")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(piece.text for piece in pieces))
    reader.start()
    assert wait_until(lambda: scripted.under_way == 1)
    pieces.close()
    # Nothing is left to be done when it returns.
    ((spent, held),) = balances(ledger).values()
    assert (spent, held) == (receipts[0].decision.candidates[0].worst_pico, 0)
    assert [(part.outcome, part.error) for part in receipts] == [("failed", "GeneratorExit")]
    reader.join(5)
    assert not reader.is_alive()
    assert set(read) <= {"", "one "}
    assert wait_until(lambda: scripted.cancelled == 1)
    assert list(pieces) == []
    pieces.close()
    assert len(receipts) == 1


def test_a_stream_that_is_closed_sends_no_other_attempt() -> None:
    broken = ProviderError(ErrorKind.RATE_LIMITED, retry_after_s=15.0)
    provider = ScriptedProvider([broken, "again"])
    policy = bundle(runtime=runtime(retries=1))
    router = Router(policy, provider=provider, credentials=key_of)
    pieces = router.stream(HELLO, sensitivity="public")
    reader = threading.Thread(target=lambda: list(pieces))
    reader.start()
    assert wait_until(lambda: len(provider.sends) == 1 and provider.under_way == 0)
    pieces.close()
    reader.join(5)
    assert not reader.is_alive()
    assert len(provider.sends) == 1


def test_threads_that_read_one_stream_take_turns() -> None:
    router = router_with(ScriptedProvider(Turn(text="w " * 40, piece_s=0.002)))
    pieces = router.stream(HELLO, sensitivity="public")
    read: list[str] = []
    threads = [
        threading.Thread(target=lambda: read.extend(piece.text for piece in pieces))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "".join(read) == pieces.reply.text == "w " * 40


def test_an_asynchronous_stream_whose_loop_was_closed_is_settled_with_the_next_call() -> None:
    receipts: list[Receipt] = []
    ledger, provider = MemoryLedger(), ScriptedProvider(Turn(text="w " * 50, piece_s=0.001))
    router = router_with(provider, budgets=ledger, receipts=receipts.append)

    async def half() -> AsyncStream:
        pieces = router.astream(HELLO, sensitivity="public")
        await anext(pieces)
        await anext(pieces)
        return pieces

    loop = asyncio.new_event_loop()
    first, second = (loop.run_until_complete(half()) for _ in range(2))
    del first  # its loop is asked to close it, and never runs again
    loop.close()
    del second
    gc.collect()
    router.decide(HELLO)
    ((spent, held),) = balances(ledger).values()
    worst = receipts[0].decision.candidates[0].worst_pico
    assert worst is not None
    assert (spent, held) == (2 * worst, 0)
    assert [part.outcome for part in receipts] == ["failed", "failed"]
    assert provider.under_way == 0


async def test_an_asynchronous_stream_that_is_dropped_is_settled_by_its_loop() -> None:
    receipts: list[Receipt] = []
    ledger, provider = MemoryLedger(), ScriptedProvider(Turn(text="w " * 50, piece_s=0.001))
    router = router_with(provider, budgets=ledger, receipts=receipts.append)
    pieces = router.astream(HELLO, sensitivity="public")
    await anext(pieces)
    del pieces
    gc.collect()
    for _ in range(200):
        await asyncio.sleep(0.005)
        if receipts:
            break
    ((_, held),) = balances(ledger).values()
    assert (held, len(receipts), provider.under_way) == (0, 1, 0)


def test_a_stream_nobody_reads_sends_nothing_and_leaves_a_receipt() -> None:
    receipts: list[Receipt] = []
    provider = ScriptedProvider()
    router = router_with(provider, receipts=receipts.append)
    router.stream(HELLO, sensitivity="public").close()
    assert provider.sends == ()
    assert [(receipt.outcome, receipt.sends) for receipt in receipts] == [("failed", 0)]


async def test_an_asynchronous_stream_nobody_reads_is_never_decided() -> None:
    receipts: list[Receipt] = []
    router = router_with(ScriptedProvider(), receipts=receipts.append)
    async with router.astream(HELLO, sensitivity="public") as pieces:
        with pytest.raises(RuntimeError):
            _ = pieces.decision
    assert receipts == []


def test_closing_a_stream_twice_changes_nothing() -> None:
    receipts: list[Receipt] = []
    router = router_with(ScriptedProvider(), receipts=receipts.append)
    pieces = router.stream(HELLO, sensitivity="public")
    assert len(list(pieces)) > 2
    pieces.close()
    pieces.close()
    assert list(pieces) == []
    assert len(receipts) == 1
    assert pieces.reply.text == "Hello from the scripted provider."


def test_the_reply_is_there_only_at_the_end() -> None:
    router = router_with(ScriptedProvider("a b c"))
    with router.stream(HELLO, sensitivity="public") as pieces:
        next(pieces)
        assert pieces.decision.model == "local"
        with pytest.raises(RuntimeError, match="not come to its end"):
            _ = pieces.reply


def test_a_denied_stream_says_so_before_it_is_read() -> None:
    provider = ScriptedProvider()
    router = router_with(provider)
    with pytest.raises(Exception, match="denies"):
        router.stream(HELLO, sensitivity="restricted", model="cloud")
    assert provider.sends == ()


async def test_cancelling_the_reader_of_a_stream_settles_it() -> None:
    ledger, provider = MemoryLedger(), ScriptedProvider(Turn(text="a b", hangs=True, pieces=2))
    router = router_with(provider, budgets=ledger)
    arrived = asyncio.Event()

    async def read() -> None:
        async for _ in router.astream(HELLO, sensitivity="public"):
            arrived.set()

    task = asyncio.ensure_future(read())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ((spent, held),) = balances(ledger).values()
    assert spent > 0
    assert held == 0
    assert provider.under_way == 0


async def test_the_provider_has_stopped_when_closing_returns() -> None:
    provider = ScriptedProvider(Turn(text="w " * 50, piece_s=0.001))
    async with router_with(provider).astream(HELLO, sensitivity="public") as pieces:
        await anext(pieces)
        assert provider.under_way == 1
    assert (provider.under_way, provider.cancelled) == (0, 1)


def test_two_threads_may_read_two_streams_of_one_router() -> None:
    router = router_with(ScriptedProvider(lambda send: str(send.messages[0]["content"])))
    found: dict[str, str] = {}

    def read(word: str) -> None:
        said = [{"role": "user", "content": f"{word} " * 20}]
        found[word] = "".join(part.text for part in router.stream(said, sensitivity="public"))

    threads = [threading.Thread(target=read, args=(word,)) for word in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {word: f"{word} " * 20 for word in "abcdef"}


# Closed by another thread than the one that reads


def test_another_thread_may_close_a_stream_that_is_being_read() -> None:
    ledger = MemoryLedger()
    provider = ScriptedProvider(Turn(text="a b c", pieces=2, hangs=True))
    budgets = [{"id": "day", "period": "day", "limit_calls": 9}]
    receipts: list[Receipt] = []
    router = Router(
        bundle(budgets=budgets),
        provider=provider,
        budgets=ledger,
        credentials=key_of,
        receipts=receipts.append,
    )
    pieces = router.stream(HELLO, sensitivity="public")
    first, ended = threading.Event(), threading.Event()

    def read() -> None:
        for _ in pieces:
            first.set()
        ended.set()  # by an end, not by an error

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(10)
    time.sleep(0.1)  # it waits for the next piece by now
    began = time.monotonic()
    pieces.close()
    assert time.monotonic() - began < 4
    # Settled when `close` has returned, and once.
    assert balances(ledger) == {"day": (1, 0)}
    pieces.close()
    reader.join(10)
    assert ended.is_set()
    assert len(receipts) == 1
    with pytest.raises(RuntimeError):
        _ = pieces.reply
    wait_until(lambda: provider.cancelled == 1)


def test_two_threads_that_read_one_stream_get_each_piece_once() -> None:
    words = " ".join(str(number) for number in range(20))
    router = Router(
        bundle(), provider=ScriptedProvider(Turn(text=words, piece_s=0.002)), credentials=key_of
    )
    pieces = router.stream(HELLO, sensitivity="public")
    found: list[str] = []

    def read() -> None:
        found.extend(piece.text for piece in pieces)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(20)
    assert sorted(text.strip() for text in found if text) == sorted(words.split())
    assert pieces.reply.text == words
