"""The exact cache: after the decision, keyed by all that shapes an answer, never shared too far."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from modelrouter import CallFailed, Reply, Router
from modelrouter.cache import ExactCache
from modelrouter.errors import CallTimedOut, ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.testing import ManualClock, ScriptedProvider, Turn
from tests.flow.kit import HELLO, Api, bundle, key_of, model, runtime, until, vendor

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
CACHED = runtime(cache={"mode": "exact", "ttl_s": 60})
ABLE: dict[str, Any] = {"capabilities": ["tools", "json_schema", "vision"]}
FACTS = {
    "tenant": {"type": "string", "source": "auth"},
    "purpose": {"type": "enum", "values": ["care", "research"], "source": "host"},
    "note": {"type": "string", "source": "caller"},
}


def router_with(provider: ScriptedProvider, *, runtime: Any = CACHED, **more: Any) -> Router:
    cache = more.pop("cache", None)
    clock = more.pop("clock", None)
    sections = {"facts": FACTS, "tasks": ["chat", "other"], **more}
    return Router(
        bundle(model("local", **ABLE), vendor("cloud", **ABLE), runtime=runtime, **sections),
        provider=provider,
        credentials=key_of,
        cache=cache,
        clock=clock,
    )


def test_the_same_call_is_answered_from_the_cache(api: Api) -> None:
    provider = ScriptedProvider()
    router = router_with(provider)
    first, second = api.complete(router, **PUBLIC), api.complete(router, **PUBLIC)
    assert (first.cached, second.cached) == (False, True)
    assert (first.text, first.model, first.usage) == (second.text, second.model, second.usage)
    assert (first.sends, second.sends) == (1, 0)
    assert second.cost_usd == 0
    assert (first.receipt.cache, second.receipt.cache) == ("miss", "hit")
    assert len(provider.sends) == 1


def test_both_apis_share_the_cache() -> None:
    provider = ScriptedProvider()
    router = router_with(provider)
    router.completion(HELLO, sensitivity="public")
    assert asyncio.run(router.acompletion(HELLO, sensitivity="public")).cached


TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
DIFFERENT: dict[str, dict[str, Any]] = {
    "words": {"messages": [{"role": "user", "content": "Hello!"}]},
    "role": {"messages": [{"role": "system", "content": "Hello"}]},
    "system prompt": {"messages": [{"role": "system", "content": "x"}, *HELLO]},
    "name": {"messages": [{"role": "user", "name": "Bo", "content": "Hello"}]},
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hello"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                ],
            }
        ],
    },
    "tools": {"tools": TOOLS},
    "tool choice": {"tools": TOOLS, "tool_choice": "none"},
    "temperature": {"temperature": 0},
    "top_p": {"top_p": 0.5},
    "stop": {"stop": ["x"]},
    "seed": {"seed": 7},
    "max_tokens": {"max_tokens": 3},
    "n": {"n": 2},
    "user": {"user": "u"},
    "response format": {"response_format": {"type": "json_object"}},
    "model": {"model": "local"},
    "min_quality": {"min_quality": 0.5},
    "label": {"sensitivity": "internal"},
    "category": {"sensitivity": ["public", "source_code"]},
    "task": {"task": "chat"},
    "auth fact": {"facts": {"tenant": "a"}},
}


@pytest.mark.parametrize("name", list(DIFFERENT))
def test_whatever_shapes_the_answer_or_who_may_see_it_parts_calls(name: str) -> None:
    provider = ScriptedProvider()
    router = router_with(provider)
    other = {**PUBLIC, **DIFFERENT[name]}
    messages = other.pop("messages", HELLO)
    assert not router.completion(HELLO, **PUBLIC).cached
    assert not router.completion(messages, **other).cached
    assert router.completion(messages, **other).cached
    assert router.completion(HELLO, **PUBLIC).cached
    assert len(provider.sends) == 2


def test_every_auth_fact_has_its_own_answers() -> None:
    router = router_with(ScriptedProvider())
    said = [{**PUBLIC, "facts": {"tenant": tenant}} for tenant in ("a", "b", "a", "b")]
    assert [router.completion(HELLO, **call).cached for call in said] == [False, False, True, True]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"runtime": runtime(cache={"mode": "exact", "partition": ["purpose"]})},
        {
            "rules": [
                {
                    "id": "r",
                    "effect": "forbid",
                    "when": {"facts": {"purpose": "research"}},
                    "models": {"id": "cloud"},
                }
            ]
        },
        {"budgets": [{"id": "b", "period": "day", "limit_calls": 9, "scope": ["purpose"]}]},
    ],
    ids=["a fact nobody reads", "partition", "read by a rule", "scope of a budget"],
)
def test_calls_that_differ_in_a_fact_never_share_an_answer(sections: dict[str, Any]) -> None:
    router = router_with(ScriptedProvider(), **sections)
    router.completion(HELLO, **PUBLIC, facts={"purpose": "care"})
    assert not router.completion(HELLO, **PUBLIC, facts={"purpose": "research"}).cached


def test_another_policy_finds_nothing() -> None:
    cache, provider = ExactCache(), ScriptedProvider()
    router_with(provider, cache=cache).completion(HELLO, **PUBLIC)
    assert router_with(provider, cache=cache).completion(HELLO, **PUBLIC).cached
    changed = [{"id": "x", "effect": "forbid", "when": {"task": "chat"}, "models": {"id": "cloud"}}]
    stricter = router_with(provider, cache=cache, rules=changed)
    assert not stricter.completion(HELLO, **PUBLIC).cached


def test_an_answer_of_a_model_that_may_not_serve_the_call_now_is_not_given() -> None:
    clock, provider = ManualClock(), ScriptedProvider([ProviderError(ErrorKind.SERVER_ERROR), "x"])
    router = Router(
        bundle(
            model("local", price={"input": 1, "output": 1}),
            vendor("cloud", retires="2026-11-24"),
            runtime=CACHED,
        ),
        provider=provider,
        credentials=key_of,
        clock=clock,
    )
    assert router.completion(HELLO, **PUBLIC).model == "cloud"
    assert router.completion(HELLO, **PUBLIC).cached
    clock.advance(days=1)
    reply = router.completion(HELLO, **PUBLIC)
    assert (reply.model, reply.cached) == ("local", False)


OBLIGED = {
    "cache none": {"cache": "none"},
    "approval": {"approval": ["lead"]},
}


@pytest.mark.parametrize("name", list(OBLIGED))
def test_an_obligation_keeps_an_answer_out_of_the_cache(api: Api, name: str) -> None:
    cache, provider = ExactCache(), ScriptedProvider()
    rule = {"id": "o", "effect": "obligate", "do": OBLIGED[name]}
    router = Router(
        bundle(model("a"), rules=[rule], runtime=CACHED),
        provider=provider,
        cache=cache,
        approve=lambda _: True,
    )
    assert not api.complete(router, **PUBLIC).cached
    assert not api.complete(router, **PUBLIC).cached
    assert len(cache.store) == 0
    assert len(provider.sends) == 2


def test_an_obligation_of_one_model_leaves_the_others_answers_alone(api: Api) -> None:
    cache = ExactCache()
    rule = {
        "id": "o",
        "effect": "obligate",
        "models": {"id": "local"},
        "do": {"cache": "none"},
    }
    provider = ScriptedProvider(["local", ProviderError(ErrorKind.SERVER_ERROR), "cloud"])
    router = router_with(provider, cache=cache, rules=[rule])
    assert api.complete(router, **PUBLIC).text == "local"
    assert len(cache.store) == 0
    assert api.complete(router, **PUBLIC).text == "cloud"
    assert len(cache.store) == 1
    assert api.complete(router, **PUBLIC).cached


@pytest.mark.parametrize(
    "turn",
    [
        Turn(text="", finish_reason="content_filter"),
        Turn(text="", message={"refusal": "no"}),
        ProviderError(ErrorKind.SERVER_ERROR),
        Turn(hangs=True),
    ],
    ids=["refused", "refusal in words", "failed", "timed out"],
)
def test_refusals_and_failures_are_not_kept(api: Api, turn: Any) -> None:
    cache = ExactCache()
    router = router_with(
        ScriptedProvider(turn), cache=cache, runtime=runtime(attempts=1, cache={"mode": "exact"})
    )
    for _ in range(2):
        try:
            assert not api.complete(router, **PUBLIC, timeout=0.2).cached
        except CallFailed:
            continue
    assert len(cache.store) == 0


def test_an_answer_is_kept_as_long_as_the_policy_says(api: Api) -> None:
    clock = ManualClock()
    cache = ExactCache(timer=clock.monotonic)
    router = router_with(ScriptedProvider(), cache=cache, clock=clock)
    assert not api.complete(router, **PUBLIC).cached
    clock.advance(seconds=59)
    assert api.complete(router, **PUBLIC).cached
    clock.advance(seconds=2)
    assert not api.complete(router, **PUBLIC).cached


def test_changing_a_reply_does_not_change_the_next(api: Api) -> None:
    router = router_with(ScriptedProvider("good"))
    for _ in range(3):
        reply = api.complete(router, **PUBLIC)
        assert reply.text == "good"
        payload: Any = reply.payload
        payload["choices"][0]["message"]["content"] = "evil"
        payload["choices"].append("more")


def test_the_largest_answers_are_not_kept_and_the_oldest_go_first() -> None:
    cache = ExactCache(max_bytes=3000)
    router = router_with(
        ScriptedProvider(lambda send: str(send.messages[0]["content"])), cache=cache
    )

    def ask(words: str) -> bool:
        return router.completion([{"role": "user", "content": words}], sensitivity="public").cached

    assert not ask("x" * 4000)
    assert not ask("x" * 4000)
    assert not ask("first")
    assert ask("first")
    for number in range(5):
        ask(f"{number}" * 300)
    assert not ask("first")


def test_nothing_is_kept_unless_the_policy_says_so(api: Api) -> None:
    cache, provider = ExactCache(), ScriptedProvider()
    router = router_with(provider, cache=cache, runtime=runtime())
    assert [api.complete(router, **PUBLIC).receipt.cache for _ in range(2)] == ["off", "off"]
    assert len(cache.store) == 0


def test_a_key_shows_nothing() -> None:
    cache = ExactCache()
    router_with(ScriptedProvider(), cache=cache).completion(HELLO, **PUBLIC)
    (key,) = cache.store
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


def test_fifty_identical_calls_are_one_transmission(api: Api) -> None:
    provider = ScriptedProvider(Turn(wait_s=0.2))
    router = router_with(provider)
    found = api.together(router, [PUBLIC] * 50)
    assert all(isinstance(part, Reply) for part in found)
    replies = [part for part in found if isinstance(part, Reply)]
    assert len(provider.sends) == 1
    outcomes = sorted(reply.receipt.cache for reply in replies)
    assert outcomes.count("miss") == 1
    assert set(outcomes) <= {"miss", "shared", "hit"}
    assert sum(reply.sends for reply in replies) == 1


def test_when_the_leader_fails_the_others_go_on(api: Api) -> None:
    failing = Turn(wait_s=0.2, error=ProviderError(ErrorKind.INVALID_REQUEST))
    provider = ScriptedProvider([failing, "fine"])
    found = api.together(router_with(provider), [PUBLIC] * 10)
    failed = [part for part in found if isinstance(part, CallFailed)]
    assert len(failed) == 1
    assert {part.text for part in found if isinstance(part, Reply)} == {"fine"}
    assert len(found) == 10


async def test_when_the_leader_is_cancelled_the_others_go_on() -> None:
    provider = ScriptedProvider([Turn(hangs=True), "fine"])
    router = router_with(provider)
    leader = asyncio.ensure_future(router.acompletion(HELLO, **PUBLIC))
    await until(lambda: bool(provider.sends))
    others = [asyncio.ensure_future(router.acompletion(HELLO, **PUBLIC)) for _ in range(5)]
    await asyncio.sleep(0.05)
    leader.cancel()
    replies = await asyncio.wait_for(asyncio.gather(*others), 2)
    assert {reply.text for reply in replies} == {"fine"}
    with pytest.raises(asyncio.CancelledError):
        await leader


async def test_a_follower_that_is_cancelled_leaves_the_leader_alone() -> None:
    provider = ScriptedProvider(Turn(wait_s=0.2))
    router = router_with(provider)
    leader = asyncio.ensure_future(router.acompletion(HELLO, **PUBLIC))
    await until(lambda: bool(provider.sends))
    follower = asyncio.ensure_future(router.acompletion(HELLO, **PUBLIC))
    other = asyncio.ensure_future(router.acompletion(HELLO, **PUBLIC))
    await asyncio.sleep(0.05)
    follower.cancel()
    assert (await leader).text == (await other).text
    assert (await other).receipt.cache == "shared"
    with pytest.raises(asyncio.CancelledError):
        await follower
    assert len(provider.sends) == 1


def test_a_follower_never_waits_past_its_deadline() -> None:
    provider = ScriptedProvider(Turn(wait_s=1.0))
    router = router_with(provider)
    leader = threading.Thread(target=lambda: router.completion(HELLO, **PUBLIC))
    leader.start()
    while not provider.sends:
        time.sleep(0.01)
    started = time.monotonic()
    with pytest.raises(CallTimedOut):
        router.completion(HELLO, **PUBLIC, timeout=0.2)
    assert 0.19 <= time.monotonic() - started < 0.7
    # The deadline has passed: nothing is sent any more.
    assert len(provider.sends) == 1
    leader.join()


def test_calls_that_may_not_share_do_not_wait_for_each_other(api: Api) -> None:
    provider = ScriptedProvider(Turn(wait_s=0.1))
    rule = {"id": "o", "effect": "obligate", "do": {"cache": "none"}}
    found = api.together(router_with(provider, rules=[rule]), [PUBLIC] * 5)
    assert len(provider.sends) == 5
    assert [getattr(part, "cached", part) for part in found] == [False] * 5
