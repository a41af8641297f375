"""A reload while calls are under way: it only narrows them, and loses nothing they hold."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from modelrouter import BudgetExceeded, CallError, CallFailed, PolicyDenied, Router
from modelrouter.budget import Hold, MemoryLedger, Shortage
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError, Send
from modelrouter.testing import ScriptedProvider, Turn
from modelrouter.world import Approval
from tests.flow.followed import MODELS, PUBLIC, follow, only, policy, write
from tests.flow.kit import (
    AT_HOME,
    HELLO,
    STAYS_HOME,
    Api,
    balances,
    bundle,
    model,
    put,
    runtime,
    wait_until,
)

DOWN = ProviderError(ErrorKind.SERVER_ERROR)
TEN = [{"id": "ten", "period": "day", "limit_calls": 10}]
RETRIES = runtime(retries=1, attempts=4)
FORBID_ALL = {"id": "closed", "effect": "forbid", "models": "all"}
PUBLIC_CLOSED = {**FORBID_ALL, "when": {"level": "public"}}
OTHERS_AT_HOME = {**AT_HOME, "when": {"level": "restricted", "needs": ["audio"]}}


def changing(folder: Path, first: Any, then: Any, **more: Any) -> Any:
    """Return a router of `first`, and what reloads it to `then`."""
    router: list[Router] = []

    def change() -> None:
        write(folder, policy=then)
        assert router[0].reload().rejected == ()

    router.append(follow(write(folder, policy=first), **more))
    return router[0], change


@pytest.fixture
def fails_and_changes() -> tuple[ScriptedProvider, list[Callable[[], None]]]:
    """A provider that fails every time; the first time the policy changes meanwhile."""
    changes: list[Callable[[], None]] = []

    def play(_: Send) -> Turn:
        return Turn(error=DOWN, before=changes.pop() if changes else None)

    return ScriptedProvider(play), changes


def sent(provider: ScriptedProvider) -> list[str]:
    return [send.model for send in provider.sends]


COMMON: dict[str, Any] = {
    "tasks": ["chat", "other"],
    "facts": {"desk": {"type": "string", "source": "host"}},
    "runtime": RETRIES,
}
FIRST = policy(**COMMON, budgets=TEN)
LEVELS = ["public", "internal", "confidential", "restricted"]
CODE = {"source_code": {"at_least": "public"}}


def after(**sections: Any) -> dict[str, Any]:
    return policy(**{**COMMON, **sections})


def labels(levels: list[str], categories: dict[str, Any]) -> dict[str, Any]:
    return {"levels": levels, "categories": categories}


ASK_ALL = {"id": "ask", "effect": "obligate", "models": "all", "do": {"approval": ["lead"]}}
WALL = {"type": "bool", "source": "host", "required": True}
ELSEWHERE = {"api_base": "http://127.0.0.1:8/v1"}
MOVED = [{**part, "endpoint": {**part["endpoint"], **ELSEWHERE}} for part in MODELS]
NARROWER: dict[str, tuple[dict[str, Any], str]] = {
    "forbids it": (after(rules=[AT_HOME, FORBID_ALL]), "forbidden by `closed`"),
    "removes its models": (after(models=[model("z")]), "it is no longer in the catalogue"),
    "changes its facts": (
        after(models=[{**part, "region": "eu"} for part in MODELS]),
        "its entry in the catalogue has changed",
    ),
    "changes its endpoint": (after(models=MOVED), "its entry in the catalogue has changed"),
    "does not know the task": (after(tasks=["other"]), "unknown task `chat`"),
    "does not know the fact": (after(facts={}), "unknown fact `desk`"),
    "takes the fact for another type": (
        after(facts={"desk": {"type": "int", "source": "host"}}),
        "fact `desk` is of type int, not str",
    ),
    "does not know the value of the fact": (
        after(facts={"desk": {"type": "enum", "values": ["north"], "source": "host"}}),
        "unknown value of fact `desk`",
    ),
    "requires a fact that is missing": (
        after(facts={**COMMON["facts"], "wall": WALL}),
        "fact `wall` is required and missing",
    ),
    "does not know the category": (
        after(labels=labels(LEVELS, {"phi": {"at_least": "restricted"}})),
        "unknown level or category `source_code`",
    ),
    "does not know the level": (
        after(labels=labels(["public", "confidential", "restricted"], CODE)),
        "unknown level `internal`",
    ),
    "orders the levels anew": (
        after(labels=labels(["internal", "public", "confidential", "restricted"], CODE)),
        "it orders the levels anew",
    ),
    "raises the label": (
        after(tasks={"chat": {"carries": ["phi"]}, "other": {}}, rules=[OTHERS_AT_HOME]),
        "no permit covers it at this level",
    ),
    "obliges to what nobody can do": (after(rules=[AT_HOME, ASK_ALL]), "approval"),
}


@pytest.mark.parametrize("name", list(NARROWER))
@pytest.mark.parametrize("streamed", [False, True])
def test_a_reload_between_attempts_is_met_by_the_next_one(
    api: Api,
    name: str,
    tmp_path: Path,
    fails_and_changes: tuple[ScriptedProvider, list[Callable[[], None]]],
    *,
    streamed: bool,
) -> None:
    then, because = NARROWER[name]
    (provider, changes), ledger = fails_and_changes, MemoryLedger()
    router, change = changing(tmp_path, FIRST, then, provider=provider, budgets=ledger)
    changes.append(change)
    call = {"sensitivity": "source_code", "task": "chat", "facts": {"desk": "x"}}
    with pytest.raises(CallFailed) as caught:
        put(api, router, streamed=streamed, **call)
    assert sent(provider) == ["a"]
    text = caught.value.decision.explain()
    assert "the newest policy forbids it: " in text
    assert because in text
    assert "`x`" not in text  # the value of the fact is nobody else's to read
    assert sum(held for _, held in balances(ledger).values()) == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reload_that_still_allows_a_model_goes_on(
    api: Api,
    tmp_path: Path,
    fails_and_changes: tuple[ScriptedProvider, list[Callable[[], None]]],
    *,
    streamed: bool,
) -> None:
    provider, changes = fails_and_changes
    then = policy(
        runtime=RETRIES, rules=[AT_HOME, STAYS_HOME, {**FORBID_ALL, "models": {"id": "b"}}]
    )
    router, change = changing(tmp_path, policy(runtime=RETRIES), then, provider=provider)
    changes.append(change)
    with pytest.raises(CallFailed):
        put(api, router, streamed=streamed, **PUBLIC)
    assert sent(provider) == ["a", "a", "cloud", "cloud"]


def test_a_reload_that_allows_more_does_not_widen_a_call(
    api: Api,
    tmp_path: Path,
    fails_and_changes: tuple[ScriptedProvider, list[Callable[[], None]]],
) -> None:
    provider, changes = fails_and_changes
    router, change = changing(tmp_path, only("a"), policy(), provider=provider)
    changes.append(change)
    with pytest.raises(CallFailed):
        api.complete(router, **PUBLIC)
    assert sent(provider) == ["a"]
    with pytest.raises(CallFailed):
        api.complete(router, **PUBLIC)
    assert sent(provider) == ["a", "a", "b", "cloud"]


def test_comments_alone_change_nothing_for_a_call(
    api: Api,
    tmp_path: Path,
    fails_and_changes: tuple[ScriptedProvider, list[Callable[[], None]]],
) -> None:
    provider, changes = fails_and_changes
    text = policy(runtime=RETRIES)
    router, change = changing(tmp_path, text, "# comment\n" + json.dumps(text), provider=provider)
    changes.append(change)
    with pytest.raises(CallFailed) as caught:
        api.complete(router, **PUBLIC)
    assert sent(provider) == ["a", "a", "b", "b"]
    assert "newest" not in caught.value.decision.explain()


PICTURE = [
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
    }
]


def test_what_cannot_be_scanned_is_judged_by_the_newest_policy(
    api: Api,
    tmp_path: Path,
    fails_and_changes: tuple[ScriptedProvider, list[Callable[[], None]]],
) -> None:
    provider, changes = fails_and_changes
    seeing = [{**part, "capabilities": ["vision"]} for part in (MODELS[2], MODELS[0])]
    lax = policy(models=seeing, classifiers={"unscannable": {"image": "declared"}}, runtime=RETRIES)
    strict = policy(models=seeing, runtime=RETRIES, rules=[STAYS_HOME, OTHERS_AT_HOME])
    router, change = changing(tmp_path, lax, strict, provider=provider)
    changes.append(change)
    with pytest.raises(CallFailed):
        api.complete(router, PICTURE, **PUBLIC)
    assert sent(provider) == ["a"]  # without a permit the top label is for nobody


def test_a_level_that_a_part_was_given_and_that_is_gone_denies(
    api: Api,
    tmp_path: Path,
    fails_and_changes: tuple[ScriptedProvider, list[Callable[[], None]]],
) -> None:
    provider, changes = fails_and_changes
    seeing = [{**part, "capabilities": ["vision"]} for part in MODELS]
    first = after(models=seeing, classifiers={"unscannable": {"image": "internal"}})
    without = labels(["public", "confidential", "restricted"], CODE)
    then = after(models=seeing, labels=without, classifiers={"unscannable": {"image": "declared"}})
    router, change = changing(tmp_path, first, then, provider=provider)
    changes.append(change)
    with pytest.raises(CallFailed) as caught:
        api.complete(router, PICTURE, **PUBLIC, task="chat")
    assert sent(provider) == ["a"]
    assert "unknown level `internal`" in caught.value.decision.explain()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reload_while_approval_is_awaited_denies(
    api: Api, tmp_path: Path, *, streamed: bool
) -> None:
    provider, ledger, changes = ScriptedProvider(), MemoryLedger(), list[Callable[[], None]]()

    def approve(_: Approval) -> bool:
        changes.pop()()
        return True

    ask = {"id": "ask", "effect": "obligate", "models": "all", "do": {"approval": ["lead"]}}
    router, change = changing(
        tmp_path,
        policy(rules=[AT_HOME, ask], budgets=TEN),
        policy(rules=[AT_HOME, PUBLIC_CLOSED], budgets=TEN),
        provider=provider,
        approve=approve,
        budgets=ledger,
    )
    changes.append(change)
    with pytest.raises(PolicyDenied) as caught:
        put(api, router, streamed=streamed, **PUBLIC)
    assert caught.value.decision.deny_stage == "guard"
    assert provider.sends == ()
    assert sum(sum(part) for part in balances(ledger).values()) == 0


class SlowLedger(MemoryLedger):
    """A ledger during whose reservation something happens, as with one across a network."""

    meanwhile: Callable[[], None] | None = None

    async def reserve(self, charges: Any) -> Hold | Shortage:
        held = await MemoryLedger.reserve(self, charges)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return held


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reload_while_money_is_reserved_denies(
    api: Api, tmp_path: Path, *, streamed: bool
) -> None:
    provider, ledger = ScriptedProvider(), SlowLedger()
    router, ledger.meanwhile = changing(
        tmp_path,
        policy(budgets=TEN),
        policy(rules=[AT_HOME, PUBLIC_CLOSED], budgets=TEN),
        provider=provider,
        budgets=ledger,
    )
    with pytest.raises(PolicyDenied):
        put(api, router, streamed=streamed, **PUBLIC)
    assert provider.sends == ()
    assert balances(ledger) == {"ten": (0, 0)}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reload_after_the_gate_takes_the_transmission_back(
    api: Api, tmp_path: Path, *, streamed: bool
) -> None:
    """The span begins last: a processor of the application runs between gate and provider."""
    changes: list[Callable[[], None]] = []

    class Meddling(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if span.name.startswith("chat") and changes:
                changes.pop()()

    tracers = TracerProvider()
    tracers.add_span_processor(Meddling())
    provider, ledger = ScriptedProvider(), MemoryLedger()
    router, change = changing(
        tmp_path,
        policy(budgets=TEN),
        only("b", budgets=TEN),
        provider=provider,
        budgets=ledger,
        tracer_provider=tracers,
    )
    changes.append(change)
    reply = api.stream(router, **PUBLIC).reply if streamed else api.complete(router, **PUBLIC)
    assert sent(provider) == ["b"]
    assert balances(ledger) == {"ten": (1, 0)}
    assert reply is not None
    assert (reply.model, reply.sends, reply.cost_usd) == ("b", 1, Decimal("0.000036"))
    tracers.shutdown()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_policy_comes_into_force_between_two_transmissions_never_within_one(
    api: Api, tmp_path: Path, *, streamed: bool
) -> None:
    """While the provider takes a transmission over, the policy that released it stands."""
    changed, seen = threading.Event(), list[object]()
    threads: list[threading.Thread] = []

    def reload() -> None:
        change()
        changed.set()

    def meanwhile() -> None:
        threads.append(threading.Thread(target=reload))
        threads[0].start()
        seen.extend([changed.wait(0.3), router.policy_digest == first])

    provider = ScriptedProvider(Turn(before=lambda: None if threads else meanwhile()))
    router, change = changing(tmp_path, only("a"), only("b"), provider=provider)
    first = router.policy_digest
    put(api, router, streamed=streamed, **PUBLIC)
    assert seen == [False, True]
    assert changed.wait(5)
    assert router.policy_digest != first
    threads[0].join(5)


def test_a_provider_that_blocks_does_not_hold_a_policy_up_for_ever() -> None:
    in_force = Router(bundle(), sends=False)._in_force
    done = threading.Event()

    def replace() -> None:
        in_force.put(in_force.policy, in_force.known, patience_s=0.05)
        done.set()

    with in_force.handing_over:
        thread = threading.Thread(target=replace)
        thread.start()
        assert done.wait(5)
    thread.join(5)


def test_a_stream_whose_first_piece_has_not_been_asked_for_is_gated(tmp_path: Path) -> None:
    provider = ScriptedProvider()
    router, change = changing(tmp_path, only("a"), only("b"), provider=provider)
    pieces = router.stream(HELLO, **PUBLIC)
    change()
    with pytest.raises(PolicyDenied, match="at guard"):
        next(pieces)
    assert provider.sends == ()


def test_a_stream_under_way_is_not_broken_off(api: Api, tmp_path: Path) -> None:
    changes: list[Callable[[], None]] = []
    provider = ScriptedProvider(
        Turn(text="one two three", before=lambda: [change() for change in changes])
    )
    router, change = changing(tmp_path, only("a"), only("b"), provider=provider)
    changes.append(change)
    found = api.stream(router, **PUBLIC)
    assert (found.text, found.error) == ("one two three", None)
    assert sent(provider) == ["a"]


def test_what_is_spent_stays_spent_under_a_new_limit(api: Api, tmp_path: Path) -> None:
    def limit(calls: int) -> dict[str, Any]:
        return policy(budgets=[{"id": "day", "period": "day", "limit_calls": calls}])

    provider = ScriptedProvider()
    router = follow(write(tmp_path, policy=limit(2)), provider)
    for _ in range(2):
        api.complete(router, **PUBLIC)
    write(tmp_path, policy=limit(3))
    router.reload()
    api.complete(router, **PUBLIC)
    with pytest.raises(BudgetExceeded):
        api.complete(router, **PUBLIC)
    write(tmp_path, policy=limit(1))
    router.reload()
    with pytest.raises(BudgetExceeded):
        api.complete(router, **PUBLIC)
    assert len(provider.sends) == 3


def test_a_call_under_way_settles_in_the_account_it_held(api: Api, tmp_path: Path) -> None:
    changes: list[Callable[[], None]] = []
    ledger = MemoryLedger()
    provider = ScriptedProvider(Turn(before=lambda: [change() for change in changes]))
    router, change = changing(
        tmp_path,
        policy(budgets=TEN),
        policy(budgets=[{"id": "other", "period": "day", "limit_calls": 1}]),
        provider=provider,
        budgets=ledger,
    )
    changes.append(change)
    api.complete(router, **PUBLIC)
    assert balances(ledger) == {"ten": (1, 0)}


def test_the_cache_outlives_a_reload_and_answers_its_own_policy_alone(
    api: Api, tmp_path: Path
) -> None:
    kept = runtime(cache={"mode": "exact"})
    provider = ScriptedProvider(["first", "second", "third"])
    router = follow(write(tmp_path, policy=only("a", runtime=kept)), provider)
    assert api.complete(router, **PUBLIC).text == "first"
    write(tmp_path, policy=only("b", runtime=kept))
    router.reload()
    assert api.complete(router, **PUBLIC).text == "second"
    write(tmp_path, policy=only("a", runtime=kept))
    router.reload()
    again = api.complete(router, **PUBLIC)
    assert (again.text, again.cached) == ("first", True)


def test_an_answer_of_a_call_under_way_is_not_shared_past_a_reload(tmp_path: Path) -> None:
    """Two identical calls share one transmission; the policy forbids its model meanwhile."""
    kept = runtime(cache={"mode": "exact"})
    release = threading.Event()
    provider = ScriptedProvider(lambda send: Turn(text=send.model, wait_s=0.3, before=release.set))
    router, change = changing(
        tmp_path, policy(runtime=kept), only("b", runtime=kept), provider=provider
    )
    answers: dict[str, Any] = {}

    def ask(name: str) -> None:
        try:
            answers[name] = router.completion(HELLO, **PUBLIC)
        except PolicyDenied as error:
            answers[name] = error

    leads = threading.Thread(target=ask, args=("leads",))
    leads.start()
    release.wait(5)
    waits = threading.Thread(target=ask, args=("waits",))
    waits.start()
    assert wait_until(lambda: waits.is_alive() and len(provider.sends) == 1)
    threading.Event().wait(0.05)
    change()
    leads.join(10)
    waits.join(10)
    assert answers["leads"].model == "a"  # its transmission had begun
    assert (answers["waits"].model, answers["waits"].cached) == ("b", False)


# A stream that nobody has asked for anything yet


async def test_an_asynchronous_stream_is_decided_by_the_policy_of_its_first_piece(
    tmp_path: Path,
) -> None:
    provider, ledger = ScriptedProvider("hi"), MemoryLedger()
    once = policy(budgets=[{"id": "once", "period": "day", "limit_calls": 1}])
    router, change = changing(tmp_path, policy(), once, provider=provider, budgets=ledger)
    streams = [router.astream(HELLO, **PUBLIC) for _ in range(3)]
    change()
    assert [piece.text async for piece in streams[0]] != []
    assert streams[0].decision.policy_digest == router.policy_digest
    for stream in streams[1:]:
        with pytest.raises(BudgetExceeded):
            await anext(stream)
    assert len(provider.sends) == 1


async def test_what_a_stream_was_given_is_read_anew_by_the_policy_of_its_first_piece(
    tmp_path: Path,
) -> None:
    named = {"labels": labels(["public", "internal", "restricted"], {}), "rules": [AT_HOME]}
    swapped = {**named, "labels": labels(["internal", "public", "restricted"], {})}
    router, change = changing(
        tmp_path, policy(**named), policy(**swapped), provider=ScriptedProvider("hi")
    )
    models: list[str] = ["a"]
    with router.context(sensitivity="public"):
        stream = router.astream(HELLO, sensitivity="internal", model=models)
    change()
    models.append("b")
    assert [piece.text async for piece in stream] != []
    # `public` is the higher one now: joined before, it would have been lost.
    assert (stream.decision.label.level, stream.decision.model) == ("public", "a")
    assert [part.model for part in stream.decision.candidates] == ["a"]


async def test_a_stream_that_names_what_the_newest_policy_does_not_know_is_wrong(
    tmp_path: Path,
) -> None:
    provider = ScriptedProvider("hi")
    router, change = changing(tmp_path, FIRST, after(tasks=["other"]), provider=provider)
    stream = router.astream(HELLO, task="chat", **PUBLIC)
    change()
    with pytest.raises(CallError, match="unknown task `chat`"):
        await anext(stream)
    assert provider.sends == ()
