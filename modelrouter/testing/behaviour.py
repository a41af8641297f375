"""What a loopback server is told to do with one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelrouter.values import Json

__all__ = [
    "Behaviour",
    "Tokens",
    "answer",
    "drop",
    "empty",
    "garbage",
    "html",
    "redirect",
    "stall",
    "status",
    "truncate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Usage the server reports.

    Attributes:
        input: All input tokens, cached ones included.
        output: All output tokens, reasoning included.
        cached: Part of the input read from a cache.
        cache_write: Part of the input written to a cache (reported by Anthropic only).
        reasoning: Part of the output that was reasoning (OpenAI and Gemini only).
    """

    input: int = 11
    output: int = 7
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One scripted reply. The functions of this module build the usual ones.

    Attributes:
        text: The answer; streamed word by word.
        reasoning: Reasoning text that precedes the answer, or empty.
        tool_calls: Function calls as (name, arguments as JSON text) pairs.
        echo_tool: Call the first tool of the request with `{}` as its arguments.
        finish_reason: OpenAI's spelling; None leaves it out.
        usage: None leaves it out.
        code: HTTP status.
        headers: Further response headers.
        body: Sent as it is instead of an answer, or None.
        content_type: Of `body`.
        stall_s: Seconds of silence before the first byte.
        stall_at: Chunk of a stream before which `stall_s` is spent, or None.
        drip_s: Seconds between the chunks of a stream.
        stop_at: Chunks of a stream after which it ends, or None for all of them.
        stop_how: `clean` ends the HTTP body properly, `close` closes the connection,
            `reset` resets it.
        garbage_at: Chunk of a stream that is replaced by bytes that are no JSON, or None.
        drop: Reset the connection instead of answering.
    """

    text: str = "Hello from the loopback server."
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    echo_tool: bool = False
    finish_reason: str | None = "stop"
    usage: Tokens | None = Tokens()
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    content_type: str = "application/json"
    stall_s: float = 0.0
    stall_at: int | None = None
    drip_s: float = 0.0
    stop_at: int | None = None
    stop_how: Literal["clean", "close", "reset"] = "clean"
    garbage_at: int | None = None
    drop: bool = False


def answer(
    text: str = "Hello from the loopback server.",
    *,
    usage: Tokens | None = Tokens(),
    finish_reason: str | None = "stop",
    reasoning: str = "",
    tool_calls: tuple[tuple[str, str], ...] = (),
    drip_s: float = 0.0,
) -> Behaviour:
    """Return an answer; `usage=None` and `finish_reason=None` leave those out."""
    return Behaviour(
        text=text,
        usage=usage,
        finish_reason=finish_reason,
        reasoning=reasoning,
        tool_calls=tool_calls,
        drip_s=drip_s,
    )


def status(
    code: int,
    *,
    body: Json = None,
    headers: Mapping[str, str] | None = None,
    message: str = "scripted failure",
    error_code: str | None = None,
) -> Behaviour:
    """Return an error status; without `body`, with an OpenAI-shaped error object."""
    from json import dumps  # noqa: PLC0415 - keeps `json` out of the module's names

    shape: Json = {"error": {"message": message, "type": error_code, "code": error_code}}
    content = dumps(shape if body is None else body).encode()
    return Behaviour(code=code, body=content, headers=headers or {})


def html(code: int = 200) -> Behaviour:
    """Return a login page, as a captive portal or a misconfigured proxy sends it."""
    page = b"<!doctype html><html><body><h1>Sign in</h1></body></html>"
    return Behaviour(code=code, body=page, content_type="text/html; charset=utf-8")


def empty(code: int = 200) -> Behaviour:
    """Return a JSON content type and no body at all."""
    return Behaviour(code=code, body=b"")


def redirect(location: str, *, code: int = 307) -> Behaviour:
    """Return a redirect to `location`."""
    return Behaviour(code=code, body=b"", headers={"Location": location})


def drop() -> Behaviour:
    """Return a connection reset after the request was read, before any answer."""
    return Behaviour(drop=True)


def truncate(
    chunks: int,
    *,
    how: Literal["clean", "close", "reset"] = "clean",
    text: str = "one two three four",
) -> Behaviour:
    """Return a stream that ends after `chunks` chunks, without a terminator."""
    return Behaviour(text=text, stop_at=chunks, stop_how=how)


def garbage(chunk: int = 1) -> Behaviour:
    """Return a stream whose chunk number `chunk` (from 0) is no JSON."""
    return Behaviour(text="one two three four", garbage_at=chunk)


def stall(seconds: float, *, chunk: int | None = None) -> Behaviour:
    """Return silence of `seconds`, before the answer or before a chunk of the stream."""
    return Behaviour(text="one two three four", stall_s=seconds, stall_at=chunk)
