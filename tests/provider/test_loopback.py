"""The stand-in for model servers does what it is told."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from modelrouter.testing import (
    Behaviour,
    LoopbackServer,
    Received,
    Tokens,
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

CHAT = "/v1/chat/completions"


def post(server: LoopbackServer, path: str = CHAT, **body: Any) -> tuple[int, Any, bytes]:
    """Status, headers and body of the answer to a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    headers = {"Content-Type": "application/json", "Connection": "close", "X-Mark": "7"}
    with closing(connection):
        connection.request("POST", path, json.dumps(body), headers)
        with connection.getresponse() as response:
            return response.status, response.headers, response.read()


def frames(raw: bytes) -> list[Any]:
    lines = [line[6:] for line in raw.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_a_request_is_recorded_as_it_arrived() -> None:
    with LoopbackServer() as server:
        post(server, CHAT + "?a=1", model="m", messages=[])
        (seen,) = server.requests
    assert (seen.method, seen.path, seen.headers["x-mark"]) == ("POST", CHAT + "?a=1", "7")
    assert seen.body == {"model": "m", "messages": []}
    assert not seen.disconnected
    with pytest.raises(FrozenInstanceError):
        seen.path = "/"  # type: ignore[misc]


def test_a_script_is_one_behaviour_a_list_or_a_function() -> None:
    def echo(received: Received) -> Behaviour:
        body: Any = received.body
        return answer(body["model"])

    scripts: list[Any] = [answer("a"), [answer("a"), answer("b")], echo]
    for script, expected in zip(scripts, ("aaa", "abb", "mmm"), strict=True):
        with LoopbackServer(script) as server:
            bodies = [json.loads(post(server, model="m")[2]) for _ in range(3)]
        assert "".join(body["choices"][0]["message"]["content"] for body in bodies) == expected


def test_an_openai_stream_adds_up_and_ends() -> None:
    with LoopbackServer(answer("One two three", usage=Tokens(input=5, output=3))) as server:
        raw = post(server, stream=True, stream_options={"include_usage": True})[2]
        without = post(server, stream=True)[2]
    *chunks, last = frames(raw)
    assert last == "[DONE]"
    assert chunks[-1]["usage"]["prompt_tokens"] == 5
    texts = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1]]
    assert "".join(texts) == "One two three"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert b"usage" not in without


def test_anthropic_and_gemini_are_spoken() -> None:
    with LoopbackServer(answer("One two")) as server:
        message = json.loads(post(server, "/v1/messages", model="m")[2])
        events = frames(post(server, "/v1/messages", model="m", stream=True)[2])
        content = json.loads(post(server, "/v1beta/models/m:generateContent")[2])
        chunks = frames(post(server, "/models/m:streamGenerateContent?alt=sse")[2])
    assert message["content"] == [{"type": "text", "text": "One two"}]
    assert [event["type"] for event in events][-1] == "message_stop"
    assert content["candidates"][0]["content"]["parts"] == [{"text": "One two"}]
    assert len(chunks) == 2
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


def test_tools_are_echoed() -> None:
    tool = {"type": "function", "function": {"name": "look_up"}}
    with LoopbackServer(Behaviour(echo_tool=True)) as server:
        body = json.loads(post(server, tools=[tool])[2])
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": "{}"}


@pytest.mark.parametrize(
    ("script", "code", "kind"),
    [
        (status(429, headers={"Retry-After": "3"}), 429, "application/json"),
        (html(), 200, "text/html; charset=utf-8"),
        (html(502), 502, "text/html; charset=utf-8"),
        (empty(), 200, "application/json"),
        (redirect("http://127.0.0.1:9/"), 307, "application/json"),
    ],
)
def test_what_is_no_answer_is_sent_as_it_is(script: Behaviour, code: int, kind: str) -> None:
    with LoopbackServer(script) as server:
        found, headers, _ = post(server)
    assert (found, headers["Content-Type"]) == (code, kind)
    assert headers["Retry-After"] == ("3" if code == 429 else None)


def test_a_connection_is_dropped() -> None:
    with LoopbackServer(drop()) as server, pytest.raises(ConnectionError):
        post(server)
    assert len(server.requests) == 1


def test_streams_break_in_three_ways() -> None:
    with LoopbackServer(truncate(2)) as server:
        assert len(frames(post(server, stream=True)[2])) == 2
    closing_early = LoopbackServer(truncate(2, how="close"))
    with closing_early as server, pytest.raises(http.client.IncompleteRead):
        post(server, stream=True)
    with LoopbackServer(truncate(2, how="reset")) as server, pytest.raises(ConnectionError):
        post(server, stream=True)


def test_garbage_takes_the_place_of_a_chunk() -> None:
    with LoopbackServer(garbage(1)) as server:
        assert b"data: {no json\n\n" in post(server, stream=True)[2]


def test_a_client_that_hangs_up_is_noticed_within_a_stall() -> None:
    with LoopbackServer(stall(30)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", CHAT, "{}", {"Content-Type": "application/json"})
        assert server.wait_for(lambda seen: len(seen.requests) == 1)
        assert not server.requests[0].disconnected
        connection.close()
        assert server.wait_for(lambda seen: seen.requests[0].disconnected, seconds=1)


def test_leaving_ends_stalled_connections_and_threads() -> None:
    started = time.monotonic()
    with LoopbackServer(stall(30)) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port)
        client.request("POST", CHAT, "{}", {"Content-Type": "application/json"})
        assert server.wait_for(lambda seen: len(seen.requests) == 1)
        name = f"loopback-{server.port}"
    assert time.monotonic() - started < 2
    assert name not in {thread.name for thread in threading.enumerate()}
    client.close()


def test_it_starts_within_50_milliseconds() -> None:
    best = 1.0
    for _ in range(5):
        started = time.perf_counter()
        with LoopbackServer() as server:
            post(server)
            best = min(best, time.perf_counter() - started)
    assert best < 0.05


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules);"
        "import modelrouter.testing.loopback;"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted({'httpx', 'litellm', 'openai', 'aiohttp', 'requests'} & names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
