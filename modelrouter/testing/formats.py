"""The wire formats a loopback server speaks: OpenAI, Anthropic, Gemini.

Each format is two functions: the plain body and the chunks of a stream, as JSON values.
Minimal on purpose: what a client needs to read an answer, and nothing it would ignore.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from modelrouter.testing.behaviour import Behaviour, Tokens
from modelrouter.values import Json

__all__ = ["Reply", "reply"]

CREATED = 1_700_000_000
ANTHROPIC_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
GEMINI_STOP = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer in one wire format.

    Attributes:
        streamed: Whether the client asked for a stream.
        whole: Plain body.
        events: Chunks of the stream as (event name or None, data) pairs.
        terminator: What ends the stream after the last chunk, or empty.
    """

    streamed: bool
    whole: Json
    events: tuple[tuple[str | None, Json], ...]
    terminator: bytes = b""


def reply(path: str, request: Json, behaviour: Behaviour) -> Reply | None:
    """Return the answer to `request` in the format that `path` names, or None."""
    body = request if isinstance(request, dict) else {}
    script = Script.of(body, behaviour)
    if path.endswith("/chat/completions"):
        return openai_reply(body, script)
    if path.endswith("/messages"):
        return anthropic_reply(body, script)
    if path.endswith("enerateContent"):
        return gemini_reply(path, script)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the answer says, whatever the format."""

    model: str
    text: str
    reasoning: str
    tool_calls: tuple[tuple[str, str], ...]
    finish_reason: str | None
    usage: Tokens | None

    @classmethod
    def of(cls, request: dict[str, Json], behaviour: Behaviour) -> Script:
        """Settle the script for one request."""
        calls = behaviour.tool_calls
        if behaviour.echo_tool:
            calls = ((first_tool(request), "{}"),)
        reason = behaviour.finish_reason
        if calls and reason == "stop":
            reason = "tool_calls"
        return cls(
            model=str(request.get("model") or "loopback"),
            text="" if calls else behaviour.text,
            reasoning=behaviour.reasoning,
            tool_calls=calls,
            finish_reason=reason,
            usage=behaviour.usage,
        )


def first_tool(request: dict[str, Json]) -> str:
    """Name of the first tool of an OpenAI- or Anthropic-shaped request."""
    tools = request.get("tools")
    tool = tools[0] if isinstance(tools, list) and tools else None
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    return str(function.get("name")) if isinstance(function, dict) else "tool"


def words(text: str) -> list[str]:
    """Cut `text` into pieces that add up to it."""
    return re.findall(r"\S+\s*|\s+", text)


def openai_reply(request: dict[str, Json], script: Script) -> Reply:
    """Answer in the format of OpenAI's chat completions."""
    head: dict[str, Json] = {"id": "chatcmpl-loopback", "created": CREATED, "model": script.model}
    usage = openai_usage(script.usage)
    options = request.get("stream_options")
    wanted = isinstance(options, dict) and options.get("include_usage") is True
    whole: dict[str, Json] = {
        **head,
        "object": "chat.completion",
        "service_tier": "default",
        "choices": [{"index": 0, "message": openai_message(script), **openai_finish(script)}],
    }
    if usage is not None:
        whole["usage"] = usage
    chunk: dict[str, Json] = {**head, "object": "chat.completion.chunk"}
    events: list[tuple[str | None, Json]] = [
        (None, {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        for delta in openai_deltas(script)
    ]
    if script.finish_reason is not None:
        events.append(
            (None, {**chunk, "choices": [{"index": 0, "delta": {}, **openai_finish(script)}]})
        )
    if usage is not None and wanted:
        events.append((None, {**chunk, "choices": [], "usage": usage}))
    return Reply(
        streamed=request.get("stream") is True,
        whole=whole,
        events=tuple(events),
        terminator=b"data: [DONE]\n\n" if script.finish_reason is not None else b"",
    )


def openai_finish(script: Script) -> dict[str, Json]:
    """The finish reason, absent when the script leaves it out."""
    return {} if script.finish_reason is None else {"finish_reason": script.finish_reason}


def openai_message(script: Script) -> dict[str, Json]:
    """The assistant's message of a plain answer."""
    message: dict[str, Json] = {"role": "assistant", "content": script.text or None}
    if script.reasoning:
        message["reasoning_content"] = script.reasoning
    if script.tool_calls:
        message["tool_calls"] = [
            {
                "id": f"call_{place}",
                "type": "function",
                "function": {"name": name, "arguments": text},
            }
            for place, (name, text) in enumerate(script.tool_calls)
        ]
    return message


def openai_deltas(script: Script) -> Iterator[dict[str, Json]]:
    """The deltas of a stream; a tool call's arguments arrive in two pieces."""
    yield {"role": "assistant", "content": ""}
    for piece in words(script.reasoning):
        yield {"reasoning_content": piece}
    for piece in words(script.text):
        yield {"content": piece}
    for place, (name, arguments) in enumerate(script.tool_calls):
        half = len(arguments) // 2
        first: dict[str, Json] = {"name": name, "arguments": arguments[:half]}
        call: dict[str, Json] = {"index": place, "id": f"call_{place}", "type": "function"}
        yield {"tool_calls": [{**call, "function": first}]}
        yield {"tool_calls": [{"index": place, "function": {"arguments": arguments[half:]}}]}


def openai_usage(tokens: Tokens | None) -> Json:
    """Usage as OpenAI reports it."""
    if tokens is None:
        return None
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


def anthropic_reply(request: dict[str, Json], script: Script) -> Reply:
    """Answer in the format of Anthropic's messages."""
    reason = None if script.finish_reason is None else ANTHROPIC_STOP.get(script.finish_reason)
    head: dict[str, Json] = {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": script.model,
    }
    start, end = anthropic_usage(script.usage)
    whole: dict[str, Json] = {**head, "content": anthropic_blocks(script), "stop_reason": reason}
    if script.usage is not None:
        whole["usage"] = {**start, **end}
    message: dict[str, Json] = {**head, "content": [], "stop_reason": None}
    message |= {"usage": start} if start else {}
    data: list[dict[str, Json]] = [{"type": "message_start", "message": message}]
    data += anthropic_events(script)
    if reason is not None:
        data.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": end})
        data.append({"type": "message_stop"})
    events = tuple((str(event["type"]), event) for event in data)
    return Reply(streamed=request.get("stream") is True, whole=whole, events=events)


def anthropic_blocks(script: Script) -> list[Json]:
    """Content blocks of a plain answer."""
    blocks: list[Json] = [{"type": "text", "text": script.text}] if script.text else []
    for place, (name, arguments) in enumerate(script.tool_calls):
        call: dict[str, Json] = {"type": "tool_use", "id": f"toolu_{place}", "name": name}
        blocks.append({**call, "input": json.loads(arguments)})
    return blocks


def anthropic_events(script: Script) -> Iterator[dict[str, Json]]:
    """Start, deltas and stop of each content block."""
    pieces: list[tuple[Json, list[Json]]] = []
    if script.text:
        deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in words(script.text)]
        pieces.append(({"type": "text", "text": ""}, deltas))
    for place, (name, arguments) in enumerate(script.tool_calls):
        call: Json = {"type": "tool_use", "id": f"toolu_{place}", "name": name, "input": {}}
        pieces.append((call, [{"type": "input_json_delta", "partial_json": arguments}]))
    for place, (block, deltas) in enumerate(pieces):
        yield {"type": "content_block_start", "index": place, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": place, "delta": delta}
        yield {"type": "content_block_stop", "index": place}


def anthropic_usage(tokens: Tokens | None) -> tuple[dict[str, Json], dict[str, Json]]:
    """Usage at the start and at the end; input tokens exclude cached ones there."""
    if tokens is None:
        return {}, {}
    fresh = tokens.input - tokens.cached - tokens.cache_write
    start: dict[str, Json] = {
        "input_tokens": fresh,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation_input_tokens": tokens.cache_write,
        "output_tokens": 1,
    }
    return start, {"output_tokens": tokens.output}


def gemini_reply(path: str, script: Script) -> Reply:
    """Answer in the format of Gemini's generateContent."""
    reason = None if script.finish_reason is None else GEMINI_STOP.get(script.finish_reason, "STOP")
    calls: list[Json] = [
        {"functionCall": {"name": name, "args": json.loads(arguments)}}
        for name, arguments in script.tool_calls
    ]
    parts: list[Json] = [{"text": piece} for piece in words(script.text)]
    parts += calls
    head: dict[str, Json] = {"modelVersion": script.model, "responseId": "loopback"}
    usage = gemini_usage(script.usage)
    events: list[tuple[str | None, Json]] = [
        (None, {**head, "candidates": [gemini_candidate([part], None)]}) for part in parts[:-1]
    ]
    last: dict[str, Json] = {**head, "candidates": [gemini_candidate(parts[-1:], reason)], **usage}
    whole: dict[str, Json] = {
        **head,
        "candidates": [gemini_candidate([{"text": script.text}] if script.text else calls, reason)],
        **usage,
    }
    return Reply(
        streamed="streamGenerateContent" in path, whole=whole, events=(*events, (None, last))
    )


def gemini_candidate(parts: list[Json], reason: str | None) -> Json:
    """One candidate, with its finish reason if there is one."""
    content: Json = {"role": "model", "parts": parts}
    ending: dict[str, Json] = {} if reason is None else {"finishReason": reason}
    return {"index": 0, "content": content, **ending}


def gemini_usage(tokens: Tokens | None) -> dict[str, Json]:
    """Usage as Gemini reports it; thoughts are not part of the candidates there."""
    if tokens is None:
        return {}
    return {
        "usageMetadata": {
            "promptTokenCount": tokens.input,
            "candidatesTokenCount": tokens.output - tokens.reasoning,
            "thoughtsTokenCount": tokens.reasoning,
            "cachedContentTokenCount": tokens.cached,
            "totalTokenCount": tokens.input + tokens.output,
        }
    }
