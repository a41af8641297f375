from __future__ import annotations

import json
from typing import Any

import pytest

from modelrouter.errors import ErrorKind
from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.litellm_provider.routes import ROUTES
from modelrouter.ports import Chunk, Completion, Key
from modelrouter.testing import Behaviour, LoopbackServer, Tokens, answer
from modelrouter.values import Usage
from tests.provider.sending import (
    ANTHROPIC,
    GEMINI,
    IN_HOUSE,
    MODES,
    OPENAI,
    PLAIN,
    STREAM,
    UPSTREAMS,
    VLLM,
    WAYS,
    carry,
    failing,
    sending,
)


def text_of(done: Completion | list[Chunk]) -> str:
    if isinstance(done, Completion):
        payload: Any = done.payload
        text: str = payload["choices"][0]["message"]["content"]
        return text
    return "".join(chunk.text for chunk in done)


def usage_of(done: Completion | list[Chunk]) -> Usage | None:
    if isinstance(done, Completion):
        return done.usage
    reported = [chunk.usage for chunk in done if chunk.usage is not None]
    assert len(reported) <= 1
    return reported[0] if reported else None


def reason_of(done: Completion | list[Chunk]) -> str | None:
    if isinstance(done, Completion):
        payload: Any = done.payload
        reason: str | None = payload["choices"][0]["finish_reason"]
        return reason
    reasons = [chunk.finish_reason for chunk in done if chunk.finish_reason]
    assert len(reasons) == 1
    return reasons[0]


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_an_answer_comes_back_whole(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    with LoopbackServer(answer("One two  three\nfour.")) as server:
        done = await carry(provider, sending(server, upstream, mode), mode)
        assert text_of(done) == "One two  three\nfour."
        assert reason_of(done) == "stop"
        assert len(server.requests) == 1
    if isinstance(done, Completion):
        response = provider.as_response(done.payload)
        assert response.choices[0].message.content == "One two  three\nfour."
        assert (done.first_chunk_s is not None) == (mode == IN_HOUSE)
    else:
        assert len(done) > 3
        assert all(chunk.response.object == "chat.completion.chunk" for chunk in done)


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_usage_is_what_the_provider_reported(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    writes = 5 if upstream == ANTHROPIC else 0
    thinks = 0 if upstream == ANTHROPIC else 4
    tokens = Tokens(input=100, output=20, cached=30, cache_write=writes, reasoning=thinks)
    with LoopbackServer(answer("Hi", usage=tokens)) as server:
        done = await carry(provider, sending(server, upstream, mode), mode)
    assert usage_of(done) == Usage(
        input_tokens=100,
        output_tokens=20,
        cached_input_tokens=30,
        cache_write_tokens=writes,
        reasoning_tokens=thinks,
    )


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_usage_that_nobody_reported_is_not_invented(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    with LoopbackServer(answer("Hi there", usage=None)) as server:
        done = await carry(provider, sending(server, upstream, mode), mode)
    assert text_of(done) == "Hi there"
    assert usage_of(done) is None
    if isinstance(done, Completion):
        assert "usage" not in done.payload


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_tool_calls_are_pieced_together(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    calls = (("look_up", '{"name": "Ada"}'), ("add", '{"a": 1, "b": 2}'))
    tools: list[Any] = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name, _ in calls
    ]
    with LoopbackServer(answer(tool_calls=calls)) as server:
        send = sending(server, upstream, mode, parameters={"tools": tools, "tool_choice": "auto"})
        done = await carry(provider, send, mode)
        assert "look_up" in json.dumps(server.requests[0].body)
    assert reason_of(done) == "tool_calls"
    if isinstance(done, Completion):
        message = provider.as_response(done.payload).choices[0].message
        found: Any = message.tool_calls
        assert [(call.function.name, json.loads(call.function.arguments)) for call in found] == [
            (name, json.loads(text)) for name, text in calls
        ]
        assert len({call.id for call in found}) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("upstream", [OPENAI, VLLM])
async def test_reasoning_survives(provider: LiteLLMProvider, upstream: str, mode: str) -> None:
    with LoopbackServer(answer("Four.", reasoning="two and two")) as server:
        done = await carry(provider, sending(server, upstream, mode), mode)
    assert text_of(done) == "Four."
    if isinstance(done, Completion):
        payload: Any = done.payload
        assert payload["choices"][0]["message"]["reasoning_content"] == "two and two"
    else:
        pieces: Any = [chunk.payload["choices"] for chunk in done]
        deltas = [part[0]["delta"] for part in pieces if part]
        assert "".join(d.get("reasoning_content", "") for d in deltas) == "two and two"


def events(*frames: dict[str, Any]) -> bytes:
    text = "".join(f"data: {json.dumps({'id': 'x', 'created': 1, **f})}\n\n" for f in frames)
    return (": a comment\n\n" + text + "data: [DONE]\n\n").encode()


def piece(index: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> Any:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish, **more}]}


async def test_a_stream_is_rebuilt_with_all_choices_log_probabilities_and_refusals(
    provider: LiteLLMProvider,
) -> None:
    def probability(token: str) -> dict[str, Any]:
        content = [{"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []}]
        return {"logprobs": {"content": content, "refusal": None}}

    body = events(
        piece(0, {"role": "assistant", "content": "Y"}, **probability("Y")),
        piece(1, {"role": "assistant", "refusal": "I "}),
        piece(0, {"content": "es"}, "stop", **probability("es")),
        piece(1, {"refusal": "will not"}),
        piece(1, {}, "content_filter"),
    )
    script = Behaviour(body=body, content_type="text/event-stream; charset=utf-8")
    with LoopbackServer(script) as server:
        send = sending(server, VLLM, IN_HOUSE, parameters={"n": 2, "logprobs": True})
        done = await provider.complete(send)
        sent: Any = server.requests[0].body
    assert (sent["n"], sent["logprobs"]) == (2, True)
    first, second = provider.as_response(done.payload).choices
    assert (first.message.content, first.finish_reason) == ("Yes", "stop")
    assert first.logprobs is not None
    assert [part.token for part in first.logprobs.content or []] == ["Y", "es"]
    assert (second.message.refusal, second.finish_reason) == ("I will not", "content_filter")


@pytest.mark.parametrize(
    ("upstream", "place"),
    [
        (OPENAI, ("max_tokens",)),
        ("openai/gpt-5-mini", ("max_completion_tokens",)),
        ("openai/o3-mini", ("max_completion_tokens",)),
        (VLLM, ("max_tokens",)),
        (ANTHROPIC, ("max_tokens",)),
        (GEMINI, ("generationConfig", "max_output_tokens")),
    ],
)
@pytest.mark.parametrize("mode", MODES)
async def test_what_is_reserved_is_what_is_sent(
    provider: LiteLLMProvider, upstream: str, place: tuple[str, ...], mode: str
) -> None:
    with LoopbackServer() as server:
        await carry(provider, sending(server, upstream, mode, max_output=77), mode)
        found: Any = server.requests[0].body
    for name in place:
        found = found[name]
    assert found == 77


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("upstream", [OPENAI, VLLM])
async def test_parameters_pass_unchanged(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    parameters: dict[str, Any] = {
        "temperature": 0.25,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["END"],
        "user": "u-1",
        "presence_penalty": 0.5,
        "response_format": {"type": "json_object"},
    }
    with LoopbackServer() as server:
        await carry(provider, sending(server, upstream, mode, parameters=parameters), mode)
        sent: Any = server.requests[0].body
    assert {name: sent.get(name) for name in parameters} == parameters
    assert set(sent) - set(parameters) <= {
        "model",
        "messages",
        "max_tokens",
        "stream",
        "stream_options",
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("upstream", ["openai/gpt-5.4", "openai/gpt-5.4-pro", "openai/o1-pro"])
async def test_openai_is_spoken_to_by_chat_completions_alone(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    parameters: Any = {"tools": [tool], "reasoning_effort": "low"}
    with LoopbackServer() as server:
        send = sending(server, upstream, mode, parameters=parameters, max_output=77)
        if upstream == "openai/gpt-5.4":
            await carry(provider, send, mode)
            (request,) = server.requests
            assert request.path == "/v1/chat/completions"
            sent: Any = request.body
            assert sent["reasoning_effort"] == "low"
            assert sent["model"] == "gpt-5.4"
            assert sent["max_completion_tokens"] == 77
            assert "max_tokens" not in sent
        else:  # LiteLLM lists these as models of the Responses protocol
            assert (await failing(provider, send, mode)).kind is ErrorKind.INTERNAL
            assert server.requests == ()


async def test_what_litellm_would_turn_into_another_protocol_is_refused(
    provider: LiteLLMProvider,
) -> None:
    with LoopbackServer() as server:
        for upstream in ("openai/responses/gpt-4o", "perplexity/openai/gpt-5-mini"):
            error = await failing(provider, sending(server, upstream), PLAIN)
            assert (error.kind, error.billed) == (ErrorKind.INTERNAL, False)
        assert server.requests == ()


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_the_declared_key_is_the_only_one_sent(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    header = {ANTHROPIC: "x-api-key", GEMINI: "x-goog-api-key"}.get(upstream, "authorization")
    with LoopbackServer() as server:
        await carry(provider, sending(server, upstream, mode), mode)
        await carry(provider, sending(server, upstream, mode, key=Key("")), mode)
        first, second = server.requests
    assert first.headers[header].removeprefix("Bearer ") == "sk-declared"
    keys = {"authorization", "api-key", "x-api-key", "x-goog-api-key"}
    assert keys & set(first.headers) == {header}
    assert not keys & set(second.headers)
    assert "key=" not in second.path


@pytest.mark.parametrize("upstream", [OPENAI, VLLM, GEMINI])
async def test_a_refusal_at_the_end_is_an_answer(provider: LiteLLMProvider, upstream: str) -> None:
    with LoopbackServer(answer("I", finish_reason="content_filter")) as server:
        done = await provider.complete(sending(server, upstream))
    assert reason_of(done) == "content_filter"


async def test_gemini_blocking_a_prompt_is_an_answer(provider: LiteLLMProvider) -> None:
    body = json.dumps({"promptFeedback": {"blockReason": "SAFETY"}}).encode()
    with LoopbackServer(Behaviour(body=body)) as server:
        done = await provider.complete(sending(server, GEMINI))
    assert reason_of(done) == "content_filter"


async def test_the_upstream_is_what_the_provider_names(provider: LiteLLMProvider) -> None:
    with LoopbackServer() as server:
        done = await provider.complete(sending(server, "openai/gpt-4o-2024"))
    assert done.upstream == "gpt-4o-2024"


async def test_a_message_may_be_any_mapping_and_is_not_changed(
    provider: LiteLLMProvider,
) -> None:
    parts: list[Any] = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    messages: tuple[Any, ...] = (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts},
    )
    before = json.dumps(messages)
    with LoopbackServer() as server:
        for upstream in UPSTREAMS:
            await provider.complete(sending(server, upstream, messages=messages))
    assert json.dumps(messages) == before


@pytest.mark.parametrize("name", sorted(ROUTES))
async def test_every_guarded_provider_uses_the_guarded_client(
    provider: LiteLLMProvider, name: str
) -> None:
    with LoopbackServer(answer("Yes.")) as server:
        for mode in MODES:
            send = sending(server, f"{name}/some-model", mode, api_base=server.url + "/v1")
            assert text_of(await carry(provider, send, mode)) == "Yes."
        # A client of LiteLLM's own would send these to an in-house endpoint too.
        assert len(server.requests) == 3
        assert "x-stainless-lang" not in server.requests[1].headers
        assert server.requests[1].headers["accept-encoding"] == "gzip, deflate"


async def test_streams_of_one_word_and_of_none_are_answers(provider: LiteLLMProvider) -> None:
    for text in ("Yes", ""):
        with LoopbackServer(answer(text)) as server:
            for upstream in (OPENAI, VLLM, ANTHROPIC):
                done = await carry(provider, sending(server, upstream, STREAM), STREAM)
                assert text_of(done) == text
                assert (await provider.complete(sending(server, upstream, PLAIN))).usage
