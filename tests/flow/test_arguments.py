"""Arguments of a call: what is wrong is named, nothing is sent, nothing is held."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from modelrouter import CallError, Label, Receipt, Router
from modelrouter.budget import MemoryLedger
from modelrouter.testing import ScriptedProvider, Turn
from tests.flow.kit import HELLO, Api, bundle, key_of, model, put

FACTS = {
    "tenant": {"type": "string", "source": "auth"},
    "purpose": {"type": "enum", "values": ["care", "research"], "source": "host"},
    "urgent": {"type": "bool", "source": "host"},
    "count": {"type": "int", "source": "host"},
    "topic": {"type": "string", "source": "classifier"},
}
CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "text for messages": ({"messages": "Hello"}, "messages"),
    "no messages": ({"messages": []}, "messages"),
    "a mapping for messages": ({"messages": {"role": "user"}}, "messages"),
    "a message that is text": ({"messages": ["Hello"]}, "messages[0]"),
    "an unknown role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]"),
    "no role": ({"messages": [*HELLO, {"content": "x"}]}, "messages[1]"),
    "a number as content": ({"messages": [{"role": "user", "content": 3}]}, "messages[0]"),
    "an unknown part": (
        {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
        "messages[0].content[0]",
    ),
    "a part that is text": (
        {"messages": [{"role": "user", "content": ["x"]}]},
        "messages[0].content[0]",
    ),
    "bytes": ({"messages": [{"role": "user", "content": b"x"}]}, "messages"),
    "not a number": ({"messages": [{"role": "user", "content": float("nan")}]}, "messages"),
    "a lone surrogate": ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages"),
    "a cycle": ({"messages": [{"role": "user", "content": [CYCLE]}]}, "messages"),
    "nested too deeply": ({"messages": [{"role": "user", "content": DEEP}]}, "messages"),
    "an object": ({"temperature": object()}, "parameters"),
    "an unknown parameter": ({"temprature": 1}, "temprature"),
    "an address": ({"api_base": "http://evil"}, "api_base"),
    "a key": ({"api_key": "sk"}, "api_key"),
    "headers": ({"extra_headers": {}}, "extra_headers"),
    "a body": ({"extra_body": {}}, "extra_body"),
    "fallbacks of LiteLLM": ({"fallbacks": ["x"]}, "fallbacks"),
    "retries of LiteLLM": ({"num_retries": 3}, "num_retries"),
    "stream": ({"stream": True}, "stream"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "tokens as text": ({"max_tokens": "5"}, "max_tokens"),
    "tokens as a truth": ({"max_completion_tokens": True}, "max_completion_tokens"),
    "two limits": ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
    "no choices": ({"n": 0}, "n"),
    "too many choices": ({"n": 1000}, "n"),
    "an unknown level": ({"sensitivity": "secret"}, "sensitivity"),
    "a number as a label": ({"sensitivity": 3}, "sensitivity"),
    "a mapping as a label": ({"sensitivity": {"level": "public"}}, "sensitivity"),
    "an unknown label object": ({"sensitivity": Label(level="secret")}, "sensitivity"),
    "an unknown task": ({"task": "chatt"}, "task"),
    "a number as a task": ({"task": 3}, "task"),
    "an unknown fact": ({"facts": {"tennant": "a"}}, "facts"),
    "an unknown value": ({"facts": {"purpose": "car"}}, "facts"),
    "a fact of another type": ({"facts": {"urgent": "yes"}}, "facts"),
    "a truth for a number": ({"facts": {"count": True}}, "facts"),
    "a fact of a classifier": ({"facts": {"topic": "x"}}, "facts"),
    "a fraction as a fact": ({"facts": {"count": 1.5}}, "facts"),
    "a list of facts": ({"facts": ["tenant"]}, "facts"),
    "an unknown need": ({"needs": "visoin"}, "needs"),
    "a number as a need": ({"needs": 3}, "needs"),
    "an unknown model": ({"model": "locl"}, "model"),
    "a number as a model": ({"model": [3]}, "model"),
    "a negative cost": ({"max_cost_usd": -1}, "max_cost_usd"),
    "an endless cost": ({"max_cost_usd": float("inf")}, "max_cost_usd"),
    "words as a cost": ({"max_cost_usd": "cheap"}, "max_cost_usd"),
    "a truth as a cost": ({"max_cost_usd": True}, "max_cost_usd"),
    "quality above one": ({"min_quality": 1.2}, "min_quality"),
    "a fraction of a millisecond": ({"max_ttft_ms": 1.5}, "max_ttft_ms"),
    "no time": ({"timeout": 0}, "timeout"),
    "endless time": ({"timeout": float("inf")}, "timeout"),
    "time as text": ({"timeout": "5"}, "timeout"),
}


@pytest.mark.parametrize("name", list(WRONG))
@pytest.mark.parametrize("streamed", [False, True])
def test_a_wrong_argument_is_named_and_nothing_happens(
    api: Api, name: str, *, streamed: bool
) -> None:
    call, argument = WRONG[name]
    provider, ledger, receipts = ScriptedProvider(), MemoryLedger(), list[Receipt]()
    router = Router(
        bundle(
            model("local", capabilities=["vision"]),
            facts=FACTS,
            tasks=["chat", "other"],
            budgets=[{"id": "ten", "period": "day", "limit_calls": 10}],
        ),
        provider=provider,
        budgets=ledger,
        receipts=receipts.append,
    )
    with pytest.raises(CallError) as caught:
        put(api, router, streamed=streamed, **{"sensitivity": "public", **call})
    assert caught.value.argument == argument
    assert str(caught.value).startswith(f"`{argument}`: ")
    assert provider.sends == ()
    assert ledger.balances == {}
    assert receipts == []


def test_an_error_of_an_argument_does_not_show_the_prompt(api: Api) -> None:
    router = Router(bundle(model("a")), provider=ScriptedProvider())
    for content in (b"canary", {"canary": 1}, [{"type": "text", "text": b"canary"}], ["canary"]):
        with pytest.raises(CallError) as caught:
            api.complete(router, [{"role": "user", "content": content}])
        error: BaseException | None = caught.value
        while error is not None:
            assert "canary" not in f"{error} {error.args} {vars(error)}"
            error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "call",
    [
        {"max_cost_usd": Decimal("0.5")},
        {"max_cost_usd": "0.5"},
        {"max_cost_usd": 0.5},
        {"sensitivity": ("public", "pii")},
        {"sensitivity": Label(level="internal", categories=frozenset({"pii"}))},
        {"facts": None, "task": None, "model": None, "timeout": None},
        {"temperature": None, "tools": None, "max_tokens": None},
        {"stream": False},
        {"n": 2, "max_completion_tokens": 5, "max_tokens": 5},
        {"facts": {"count": 0, "urgent": False}},
    ],
)
def test_what_is_right_is_taken(api: Api, call: dict[str, Any]) -> None:
    provider = ScriptedProvider()
    router = Router(bundle(facts=FACTS), provider=provider, credentials=key_of)
    api.complete(router, **{"sensitivity": "public", **call})
    assert len(provider.sends) == 1
    assert "stream" not in provider.sends[0].parameters
    assert None not in provider.sends[0].parameters.values()


def test_changing_the_messages_afterwards_does_not_change_what_is_sent(api: Api) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "before"}]}]
    tools: list[Any] = [{"type": "function", "function": {"name": "f", "parameters": {"a": 1}}}]

    def change() -> None:
        content: Any = messages[0]["content"]
        content[0]["text"] = "after"
        messages.append({"role": "user", "content": "after"})
        tools[0]["function"]["parameters"]["a"] = "after"

    provider = ScriptedProvider(lambda _: Turn(before=change))
    router = Router(bundle(model("a", capabilities=["tools"])), provider=provider)
    api.complete(router, messages, sensitivity="public", tools=tools)
    sent = json.dumps([provider.sends[0].messages, dict(provider.sends[0].parameters)])
    assert "after" in json.dumps(messages)
    assert "after" not in sent
    assert "before" in sent


def test_a_stream_sends_what_was_said_when_it_was_made() -> None:
    messages = [{"role": "user", "content": "before"}]
    provider = ScriptedProvider()
    router = Router(bundle(model("a")), provider=provider)
    pieces = router.stream(messages, sensitivity="public")
    messages[0]["content"] = "after"
    assert len(list(pieces)) > 0
    assert provider.sends[0].messages[0]["content"] == "before"


def test_a_schema_keeps_the_order_of_its_keys(api: Api) -> None:
    schema = {"type": "object", "properties": {"reasoning": {}, "answer": {}}, "required": []}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    provider = ScriptedProvider()
    router = Router(bundle(model("a", capabilities=["json_schema"])), provider=provider)
    api.complete(router, sensitivity="public", response_format=shape)
    assert json.dumps(provider.sends[0].parameters["response_format"]) == json.dumps(shape)
    assert json.dumps(provider.sends[0].messages[0]) == json.dumps(HELLO[0])


def test_messages_of_the_openai_sdk_are_taken(api: Api) -> None:
    from openai.types.chat import ChatCompletionMessage  # noqa: PLC0415 - half a second

    provider = ScriptedProvider()
    router = Router(bundle(model("a")), provider=provider)
    said = ChatCompletionMessage(role="assistant", content="Hi")
    api.complete(router, [*HELLO, said, *HELLO], sensitivity="public")
    assert provider.sends[0].messages[1] == {"role": "assistant", "content": "Hi"}
