"""Cancellation and Ctrl-C: settled, closed, ended once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from modelrouter import Router
from modelrouter.background import LoopThread
from modelrouter.budget import MemoryLedger
from modelrouter.testing import ScriptedProvider, Turn
from tests.flow.kit import APIS, HELLO, balances, bundle, key_of, model, put, until, wait_until

TEN = [{"id": "ten", "period": "day", "limit_calls": 10}]
ROOT = Path(__file__).parents[2]


class Traced:
    """A router with a ledger and spans to look at."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self.provider = provider
        self.ledger = MemoryLedger()
        self.spans = InMemorySpanExporter()
        tracing = TracerProvider()
        tracing.add_span_processor(SimpleSpanProcessor(self.spans))
        self.router = Router(
            bundle(model("a"), budgets=TEN),
            provider=provider,
            budgets=self.ledger,
            tracer_provider=tracing,
        )

    @property
    def ended(self) -> list[str]:
        return sorted(span.name.split()[0] for span in self.spans.get_finished_spans())


async def test_cancelling_a_call_settles_closes_and_ends_once() -> None:
    traced = Traced(ScriptedProvider(Turn(hangs=True)))
    task = asyncio.ensure_future(traced.router.acompletion(HELLO, sensitivity="public"))
    await until(lambda: bool(traced.provider.sends))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert traced.ended == ["chat", "route"]
    assert balances(traced.ledger) == {"ten": (1, 0)}
    assert (traced.provider.under_way, traced.provider.cancelled) == (0, 1)


async def test_a_timeout_of_the_application_settles_too() -> None:
    traced = Traced(ScriptedProvider(Turn(hangs=True)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await traced.router.acompletion(HELLO, sensitivity="public")
    with anyio.move_on_after(0.1) as scope:
        await traced.router.acompletion(HELLO, sensitivity="public", temperature=1)
    assert scope.cancelled_caught
    assert traced.ended == ["chat", "chat", "route", "route"]
    assert balances(traced.ledger) == {"ten": (2, 0)}
    assert traced.provider.under_way == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_interruption_from_within_settles(error: type[BaseException], *, streamed: bool) -> None:
    """The approver runs in the calling thread; there Ctrl-C may arrive at any time."""

    def interrupt(_: object) -> bool:
        raise error

    traced = Traced(ScriptedProvider())
    rule = {"id": "ask", "effect": "obligate", "do": {"approval": ["x"]}}
    router = Router(
        bundle(model("a"), rules=[rule], budgets=TEN),
        provider=traced.provider,
        budgets=traced.ledger,
        approve=interrupt,
    )
    with pytest.raises(error):
        put(APIS["sync"], router, streamed=streamed, sensitivity="public")
    assert balances(traced.ledger) == {}
    assert traced.provider.sends == ()


CTRL_C = """
import sys, threading, os, signal, time
from modelrouter import Router
from modelrouter.background import LoopThread
from modelrouter.budget import MemoryLedger
from modelrouter.testing import ScriptedProvider, Turn
from tests.flow.kit import HELLO, balances, bundle, model, wait_until

receipts = []
ledger, provider = MemoryLedger(), ScriptedProvider(Turn(text="a b", hangs=True, pieces=2))
router = Router(
    bundle(model("a"), budgets=[{"id": "ten", "period": "day", "limit_calls": 10}]),
    provider=provider, budgets=ledger, receipts=receipts.append,
)

def press():
    while not provider.sends:
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=press).start()
try:
    if sys.argv[1] == "whole":
        router.completion(HELLO, sensitivity="public")
    else:
        for _ in router.stream(HELLO, sensitivity="public"):
            pass
except KeyboardInterrupt:
    print("interrupted")
assert wait_until(lambda: provider.under_way == 0)
print(balances(ledger), [(part.outcome, part.error) for part in receipts])
"""


@pytest.mark.parametrize("how", ["whole", "streamed"])
def test_ctrl_c_settles_and_frees_the_server(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, how],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("interrupted\n{'ten': (1, 0)} [('failed', 'KeyboardInterrupt')]\n")


def test_a_call_that_timed_out_frees_the_server() -> None:
    traced = Traced(ScriptedProvider(Turn(hangs=True)))
    with pytest.raises(Exception, match="no model answered"):
        traced.router.completion(HELLO, sensitivity="public", timeout=0.1)
    assert wait_until(lambda: traced.provider.under_way == 0)
    assert traced.ended == ["chat", "route"]


@pytest.mark.parametrize("wish", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "interrupt"])
def test_a_provider_that_ends_the_process_ends_no_other_call(wish: BaseException) -> None:
    other = Router(bundle(), provider=ScriptedProvider(Turn(wait_s=0.3)), credentials=key_of)
    router = Router(bundle(), provider=ScriptedProvider([wish, "fine"]), credentials=key_of)
    beside: list[str] = []
    thread = threading.Thread(
        target=lambda: beside.append(other.completion(HELLO, sensitivity="public").text)
    )
    thread.start()
    with pytest.raises(type(wish)):  # where it was asked for
        router.completion(HELLO, sensitivity="public", timeout=5)
    assert router.completion(HELLO, sensitivity="public", timeout=5).text == "fine"
    thread.join(5)
    assert beside == ["Hello from the scripted provider."]


def test_a_loop_that_was_closed_is_started_anew() -> None:
    served = LoopThread()
    first = served.get()
    served.stop()
    assert wait_until(first.is_closed)
    again = served.get()
    assert again is not first
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "done"), again).result(5) == "done"
    served.stop()
