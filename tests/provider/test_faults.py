from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from modelrouter.errors import ErrorKind
from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.litellm_provider.faults import fault_of_response, retry_after_s
from modelrouter.ports import Completion, ProviderError
from modelrouter.testing import (
    Behaviour,
    LoopbackServer,
    answer,
    drop,
    empty,
    garbage,
    html,
    redirect,
    stall,
    status,
    truncate,
)
from tests.provider.sending import (
    ANTHROPIC,
    ECHO,
    GEMINI,
    IN_HOUSE,
    MODES,
    OPENAI,
    PLAIN,
    STREAM,
    STREAMED_WAYS,
    UPSTREAMS,
    VLLM,
    WAYS,
    carry,
    failing,
    sending,
)

STATUSES = {
    300: ErrorKind.NOT_FOUND,
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.UNAUTHORISED,
    402: ErrorKind.QUOTA_EXHAUSTED,
    403: ErrorKind.UNAUTHORISED,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.INVALID_REQUEST,
    413: ErrorKind.TOO_LARGE,
    422: ErrorKind.INVALID_REQUEST,
    429: ErrorKind.RATE_LIMITED,
    500: ErrorKind.SERVER_ERROR,
    502: ErrorKind.SERVER_ERROR,
    503: ErrorKind.SERVER_ERROR,
    529: ErrorKind.SERVER_ERROR,
}


@pytest.mark.parametrize("code", STATUSES)
@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_a_status_is_one_request_and_one_kind(
    provider: LiteLLMProvider, upstream: str, mode: str, code: int
) -> None:
    with LoopbackServer(status(code, message=ECHO)) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
        assert len(server.requests) == 1
    assert (error.kind, error.status) == (STATUSES[code], code)
    assert error.billed == (code >= 500 or code == 408)
    assert error.retry_after_s is None


# Bodies as the providers send them, shortened.
BODIES: list[tuple[int, Any, ErrorKind]] = [
    (429, {"error": {"code": "insufficient_quota", "type": "x"}}, ErrorKind.QUOTA_EXHAUSTED),
    (429, {"error": {"type": "insufficient_quota"}}, ErrorKind.QUOTA_EXHAUSTED),
    (400, {"error": {"code": "context_length_exceeded"}}, ErrorKind.TOO_LARGE),
    (400, {"error": {"type": "exceed_context_size_error", "code": 400}}, ErrorKind.TOO_LARGE),
    (
        400,
        {"object": "error", "message": "This model's maximum context length is 4096 tokens"},
        ErrorKind.TOO_LARGE,
    ),
    (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"},
        },
        ErrorKind.TOO_LARGE,
    ),
    (413, {"type": "error", "error": {"type": "request_too_large"}}, ErrorKind.TOO_LARGE),
    (529, {"type": "error", "error": {"type": "overloaded_error"}}, ErrorKind.SERVER_ERROR),
    (402, {"type": "error", "error": {"type": "billing_error"}}, ErrorKind.QUOTA_EXHAUSTED),
    (429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], ErrorKind.RATE_LIMITED),
    (
        429,
        {
            "error": {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}],
            }
        },
        ErrorKind.QUOTA_EXHAUSTED,
    ),
    (400, "not an object", ErrorKind.INVALID_REQUEST),
    (400, {"error": "a sentence"}, ErrorKind.INVALID_REQUEST),
    (500, None, ErrorKind.SERVER_ERROR),
]


@pytest.mark.parametrize(("code", "body", "kind"), BODIES)
def test_a_structured_code_says_more_than_the_status(code: int, body: Any, kind: ErrorKind) -> None:
    fault = fault_of_response(code, {}, json.dumps(body).encode())
    assert (fault.kind, fault.status, fault.refused) == (kind, code, False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "12"}, 12.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "99999999999999999999 Oct"}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_retry_after_may_be_a_date() -> None:
    found = retry_after_s({"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    assert found is not None
    assert 58 <= found <= 61


def test_google_says_the_pause_in_the_body() -> None:
    body = {"error": {"code": 429, "details": [{"retryDelay": "37s"}]}}
    assert fault_of_response(429, {}, json.dumps(body).encode()).retry_after_s == 37.0


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_retry_after_arrives(provider: LiteLLMProvider, upstream: str, mode: str) -> None:
    script = status(429, headers={"Retry-After": "7"})
    with LoopbackServer(script) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
    assert (error.kind, error.retry_after_s) == (ErrorKind.RATE_LIMITED, 7.0)


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_declining_the_content_is_an_answer(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    script = status(400, error_code="content_policy_violation", message=ECHO)
    with LoopbackServer(script) as server:
        done = await carry(provider, sending(server, upstream, mode), mode)
    if isinstance(done, Completion):
        assert provider.as_response(done.payload).choices[0].finish_reason == "content_filter"
        assert done.usage is None
        assert ECHO not in json.dumps(done.payload)
    else:
        assert [chunk.finish_reason for chunk in done] == ["content_filter"]
        assert done[0].response.choices[0].delta.refusal == ""


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_a_connection_that_is_reset_is_one_request(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    with LoopbackServer(drop()) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
        assert len(server.requests) == 1
    assert (error.kind, error.status, error.billed) == (ErrorKind.UNREACHABLE, None, True)


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_a_refused_connection_costs_nothing(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    with LoopbackServer() as server:
        pass
    error = await failing(provider, sending(server, upstream, mode), mode)
    assert (error.kind, error.status, error.billed) == (ErrorKind.UNREACHABLE, None, False)


async def test_a_name_that_does_not_resolve_is_unreachable(provider: LiteLLMProvider) -> None:
    with LoopbackServer() as server:
        send = sending(server, VLLM, api_base="http://nowhere.invalid/v1")
        error = await failing(provider, send, PLAIN)
    assert (error.kind, error.billed) == (ErrorKind.UNREACHABLE, False)


@pytest.mark.parametrize("script", [html(), empty()], ids=["html", "empty"])
@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_a_page_or_nothing_is_no_answer(
    provider: LiteLLMProvider, upstream: str, mode: str, script: Behaviour
) -> None:
    with LoopbackServer(script) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
    assert (error.kind, error.status, error.billed) == (ErrorKind.INVALID_OUTPUT, 200, True)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"choices": []}', b"[1]", b'"text"', b'{"choices": [', b"null"]
)
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_json_without_choices_is_no_answer(
    provider: LiteLLMProvider, upstream: str, body: bytes
) -> None:
    with LoopbackServer(Behaviour(body=body)) as server:
        error = await failing(provider, sending(server, upstream), PLAIN)
    assert error.kind is ErrorKind.INVALID_OUTPUT


@pytest.mark.parametrize("body", [b"", b"data: [DONE]\n\n", b"<html>\n\n", b": hello\n\n"])
@pytest.mark.parametrize(("upstream", "mode"), STREAMED_WAYS)
async def test_a_stream_without_an_answer_is_no_answer(
    provider: LiteLLMProvider, upstream: str, mode: str, body: bytes
) -> None:
    script = Behaviour(body=body, content_type="text/event-stream")
    with LoopbackServer(script) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
    kinds = {ErrorKind.INCOMPLETE, ErrorKind.INVALID_OUTPUT}
    assert error.kind in kinds
    assert error.billed


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_a_missing_finish_reason_is_an_error(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    with LoopbackServer(answer("It looks whole.", finish_reason=None)) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
        assert len(server.requests) == 1
    assert (error.kind, error.billed) == (ErrorKind.INCOMPLETE, True)


@pytest.mark.parametrize("how", ["clean", "close", "reset"])
@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize(("upstream", "mode"), STREAMED_WAYS)
async def test_a_stream_that_breaks_off_is_never_whole(
    provider: LiteLLMProvider, upstream: str, mode: str, chunks: int, how: Any
) -> None:
    with LoopbackServer(truncate(chunks, how=how)) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
        assert len(server.requests) == 1
    assert (error.kind, error.billed) == (ErrorKind.INCOMPLETE, True)


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_what_arrived_before_a_stream_broke_was_yielded(
    provider: LiteLLMProvider, upstream: str
) -> None:
    # Anthropic's first two events open the message and its block.
    chunks = 4 if upstream == ANTHROPIC else 3
    seen: list[str] = []
    reasons: list[str | None] = []
    error: ProviderError | None = None
    with LoopbackServer(truncate(chunks)) as server:
        try:
            async for chunk in provider.stream(sending(server, upstream, STREAM)):
                seen.append(chunk.text)
                reasons.append(chunk.finish_reason)
        except ProviderError as caught:
            error = caught
    assert error is not None
    assert error.kind is ErrorKind.INCOMPLETE
    assert "".join(seen).startswith("one two ")
    assert set(reasons) == {None}


@pytest.mark.parametrize("chunk", [0, 1, 2])
@pytest.mark.parametrize(("upstream", "mode"), STREAMED_WAYS)
async def test_garbage_in_a_stream_is_an_error(
    provider: LiteLLMProvider, upstream: str, mode: str, chunk: int
) -> None:
    with LoopbackServer(garbage(chunk)) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
    assert (error.kind, error.status, error.billed) == (ErrorKind.INVALID_OUTPUT, 200, True)


@pytest.mark.parametrize(
    ("frame", "kind", "code"),
    [
        ({"error": {"message": ECHO, "code": 429}}, ErrorKind.RATE_LIMITED, 429),
        ({"error": {"message": ECHO}}, ErrorKind.SERVER_ERROR, None),
        ({"object": "error", "message": ECHO, "code": 400}, ErrorKind.INVALID_REQUEST, 400),
        ({"type": "error", "error": {"type": "overloaded_error"}}, ErrorKind.SERVER_ERROR, None),
        ({"error": {"code": 503, "status": "UNAVAILABLE"}}, ErrorKind.SERVER_ERROR, 503),
    ],
)
@pytest.mark.parametrize(("upstream", "mode"), STREAMED_WAYS)
async def test_an_error_within_a_stream_is_an_error(
    provider: LiteLLMProvider,
    upstream: str,
    mode: str,
    frame: Any,
    kind: ErrorKind,
    code: int | None,
) -> None:
    body = f"data: {json.dumps(frame)}\n\n".encode()
    script = Behaviour(body=body, content_type="text/event-stream")
    with LoopbackServer(script) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
    assert (error.kind, error.status, error.billed) == (kind, code, True)


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_the_deadline_holds_before_the_first_byte(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    with LoopbackServer(stall(5)) as server:
        started = time.monotonic()
        error = await failing(provider, sending(server, upstream, mode, timeout_s=0.3), mode)
        assert time.monotonic() - started < 2
        assert server.wait_for(lambda seen: seen.requests[0].disconnected, seconds=1)
    assert (error.kind, error.status, error.billed) == (ErrorKind.TIMEOUT, None, True)


@pytest.mark.parametrize(("upstream", "mode"), STREAMED_WAYS)
async def test_the_deadline_is_of_the_whole_stream_and_not_of_one_read(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    script = answer("one two three four five six seven eight nine ten", drip_s=0.1)
    with LoopbackServer(script) as server:
        started = time.monotonic()
        error = await failing(provider, sending(server, upstream, mode, timeout_s=0.4), mode)
        assert time.monotonic() - started < 1.5
        assert server.wait_for(lambda seen: seen.requests[0].disconnected, seconds=1)
    assert (error.kind, error.billed) == (ErrorKind.TIMEOUT, True)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_no_redirect_is_followed(
    provider: LiteLLMProvider, upstream: str, mode: str, code: int
) -> None:
    with LoopbackServer() as decoy, LoopbackServer(redirect(decoy.url, code=code)) as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
        assert (len(server.requests), len(decoy.requests)) == (1, 0)
    assert (error.kind, error.status) == (ErrorKind.NOT_FOUND, code)


async def test_a_parameter_that_a_provider_does_not_take_is_refused_and_not_dropped(
    provider: LiteLLMProvider,
) -> None:
    with LoopbackServer() as server:
        send = sending(server, ANTHROPIC, parameters={"logit_bias": {"50256": -100}})
        error = await failing(provider, send, PLAIN)
        assert server.requests == ()
    assert (error.kind, error.billed) == (ErrorKind.INVALID_REQUEST, False)


@pytest.mark.parametrize("mode", MODES)
async def test_an_unknown_provider_is_refused_before_anything_is_sent(
    provider: LiteLLMProvider, mode: str
) -> None:
    with LoopbackServer() as server:
        for upstream in ("bedrock/anthropic.claude-v2", "gpt-4o", "", "nonsense/x"):
            error = await failing(provider, sending(server, upstream, mode), mode)
            assert (error.kind, error.billed) == (ErrorKind.INTERNAL, False)
        assert server.requests == ()


async def test_an_unguarded_provider_has_to_be_named_and_is_never_in_house() -> None:
    trusting = LiteLLMProvider(unguarded={"ollama_chat"})
    reply = {
        "model": "m",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": "Hi"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 2,
    }
    with LoopbackServer(Behaviour(body=json.dumps(reply).encode())) as server:
        send = sending(server, "ollama_chat/m", api_base=server.url, timeout_s=20.0)
        done = await trusting.complete(send)
        assert done.usage is not None
        assert done.usage.input_tokens == 3
        inside = sending(server, "ollama_chat/m", IN_HOUSE, api_base=server.url)
        assert (await failing(trusting, inside, IN_HOUSE)).kind is ErrorKind.INTERNAL
        assert len(server.requests) == 1
    for code, kind in {503: ErrorKind.SERVER_ERROR, 429: ErrorKind.RATE_LIMITED}.items():
        with LoopbackServer(status(code)) as server:
            send = sending(server, "ollama_chat/m", api_base=server.url, timeout_s=20.0)
            assert (await failing(trusting, send, PLAIN)).kind is kind
    unreachable = await failing(trusting, send, PLAIN)
    assert unreachable.kind is ErrorKind.UNREACHABLE


async def test_a_connection_lost_after_the_last_word_loses_nothing(
    provider: LiteLLMProvider,
) -> None:
    frames = [
        {"id": "x", "choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": None}]},
        {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    body = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode()
    # The promised length never comes: the connection breaks instead.
    script = Behaviour(
        body=body, content_type="text/event-stream", headers={"Content-Length": "9999"}
    )
    with LoopbackServer(script) as server:
        done = await carry(provider, sending(server, OPENAI, STREAM, timeout_s=1.0), STREAM)
        assert isinstance(done, list)
    assert [(chunk.text, chunk.finish_reason) for chunk in done] == [("Yes", None), ("", "stop")]


async def test_gemini_streams_and_still_notices_a_broken_stream(
    provider: LiteLLMProvider,
) -> None:
    with LoopbackServer([answer("one two three"), truncate(2)]) as server:
        whole = await carry(provider, sending(server, GEMINI, STREAM), STREAM)
        assert isinstance(whole, list)
        assert len([chunk for chunk in whole if chunk.text]) == 3
        error = await failing(provider, sending(server, GEMINI, STREAM), STREAM)
        assert error.kind is ErrorKind.INCOMPLETE
