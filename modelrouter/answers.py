"""OpenAI-shaped payloads: of whole answers, of chunks, of a refusal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from modelrouter.ports import Chunk, Completion
from modelrouter.values import Json, Usage

__all__ = [
    "Assembly",
    "as_chunk",
    "as_one_chunk",
    "plain",
    "refusal",
    "usage_chunk",
    "usage_payload",
    "whole_payload",
]

# The message fields of OpenAI's schema, and the reasoning that its relatives add. LiteLLM
# puts more on its objects; that is about LiteLLM.
MESSAGE_FIELDS = (
    "role",
    "content",
    "refusal",
    "reasoning_content",
    "thinking_blocks",
    "tool_calls",
    "function_call",
    "audio",
    "annotations",
)
TEXT_FIELDS = ("content", "refusal", "reasoning_content")
# OpenAI's schema requires these; not every server sends them.
NO_HEAD: dict[str, Json] = {"id": "", "created": 0, "model": ""}
HEAD_FIELDS = ("id", "created", "model", "system_fingerprint", "service_tier")


def plain(value: Json | Mapping[str, Json]) -> Any:  # noqa: ANN401 - JSON in LiteLLM's eyes
    """Copy mappings and lists to fresh dicts and lists: LiteLLM changes what it is given."""
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value


def whole_payload(answer: Mapping[str, Json], usage: Usage | None) -> dict[str, Json]:
    """Return a plain answer as a `chat.completion` with the fields of OpenAI's schema."""
    choices: list[Json] = []
    for choice in objects(answer.get("choices")):
        part = shaped(choice)
        part["message"] = {"content": None, **fields(choice.get("message"))}
        choices.append(part)
    return whole(head(answer), choices, usage)


def as_chunk(piece: Mapping[str, Json], usage: Usage | None = None) -> Chunk:
    """Return a piece of a stream as a chunk with the fields of OpenAI's schema.

    Args:
        piece: An OpenAI-shaped chunk.
        usage: What the provider reported in this piece.
    """
    choices: list[Json] = []
    text, reason = "", None
    for choice in objects(piece.get("choices")):
        delta = fields(choice.get("delta"))
        part = shaped(choice)
        part["delta"] = delta
        choices.append(part)
        if part["index"] == 0:
            text = str(delta.get("content") or "")
            reason = str(part["finish_reason"]) if part["finish_reason"] else None
    payload: dict[str, Json] = {"object": "chat.completion.chunk", **head(piece)}
    payload["choices"] = choices
    if usage is not None:
        payload["usage"] = usage_payload(usage)
    return Chunk(text=text, payload=payload, finish_reason=reason, usage=usage)


def usage_chunk(last: Chunk, usage: Usage) -> Chunk:
    """Return the chunk without choices that carries the usage of a stream."""
    return as_chunk({**last.payload, "choices": []}, usage)


def as_one_chunk(completion: Completion) -> Chunk:
    """Return a whole answer as the only chunk of a stream."""
    choices = [
        {**choice, "delta": choice["message"]} for choice in objects(completion.payload["choices"])
    ]
    return as_chunk({**completion.payload, "choices": [*choices]}, completion.usage)


def usage_payload(usage: Usage) -> dict[str, Json]:
    """Return usage as OpenAI reports it."""
    read: dict[str, Json] = {"cached_tokens": usage.cached_input_tokens}
    if usage.cache_write_tokens:
        read["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": read,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def refusal(model: str) -> Completion:
    """Return the answer that a provider gives by declining the content with an error."""
    message: Json = {"role": "assistant", "content": None, "refusal": ""}
    payload: dict[str, Json] = {
        "object": "chat.completion",
        "id": "refused",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "content_filter"}],
    }
    return Completion(payload=payload, usage=None, upstream=model)


class Assembly:
    """Puts the chunks of a stream together into one `chat.completion`."""

    def __init__(self) -> None:
        self._head: dict[str, Json] = {}
        self._choices: dict[int, Choice] = {}

    def add(self, chunk: Mapping[str, Json]) -> None:
        """Take the next chunk, a chunk's payload."""
        for name in HEAD_FIELDS:
            if chunk.get(name) is not None:
                self._head.setdefault(name, chunk[name])
        for part in objects(chunk["choices"]):
            place = part["index"]
            if isinstance(place, int):
                self._choices.setdefault(place, Choice()).add(part)

    def payload(self, usage: Usage | None) -> dict[str, Json]:
        """Return the whole answer."""
        choices: list[Json] = [
            {"index": place, **self._choices[place].payload()} for place in sorted(self._choices)
        ]
        return whole(self._head, choices, usage)


class Choice:
    """The pieces of one choice."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Json]] = {}
        self._arguments: dict[int, list[str]] = {}
        self._blocks: list[Json] = []
        self._other: dict[str, Json] = {"role": "assistant"}
        self._logprobs: dict[str, list[Json]] = {}
        self._finish: Json = None

    def add(self, part: Mapping[str, Json]) -> None:
        """Take a piece."""
        self._finish = part.get("finish_reason") or self._finish
        delta = part["delta"]
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name in TEXT_FIELDS:
                self._texts.setdefault(name, []).append(str(value))
            elif name == "tool_calls" and isinstance(value, list):
                for call in value:
                    self._call(call)
            elif isinstance(value, list):
                self._blocks_of(name).extend(value)
            else:
                self._other[name] = value
        found = part.get("logprobs")
        for name, value in found.items() if isinstance(found, dict) else ():
            if isinstance(value, list):
                self._logprobs.setdefault(name, []).extend(value)

    def payload(self) -> dict[str, Json]:
        """Return message, finish reason and log probabilities."""
        message: dict[str, Json] = {"content": None, **self._other}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._calls:
            message["content"] = message["content"] or None
            message["tool_calls"] = [self._tool_call(place) for place in sorted(self._calls)]
        found: dict[str, Json] = {"message": message, "finish_reason": self._finish}
        if self._logprobs:
            found["logprobs"] = {**self._logprobs}
        return found

    def _call(self, call: Json) -> None:
        """Take a piece of a tool call; its index says which one it continues."""
        if not isinstance(call, dict):
            return
        place = call.get("index")
        place = place if isinstance(place, int) else len(self._calls)
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        known = self._calls.setdefault(place, {})
        for name, value in (("id", call.get("id")), ("name", function.get("name"))):
            if value:
                known.setdefault(name, value)
        self._arguments.setdefault(place, []).append(str(function.get("arguments") or ""))

    def _tool_call(self, place: int) -> Json:
        known = self._calls[place]
        function: Json = {
            "name": known.get("name", ""),
            "arguments": "".join(self._arguments[place]),
        }
        return {"id": known.get("id", f"call_{place}"), "type": "function", "function": function}

    def _blocks_of(self, name: str) -> list[Json]:
        """The list under `name`, begun if need be."""
        found = self._other.setdefault(name, [])
        return found if isinstance(found, list) else []


def whole(head: dict[str, Json], choices: list[Json], usage: Usage | None) -> dict[str, Json]:
    """Return a `chat.completion`; without usage where none was reported."""
    payload: dict[str, Json] = {"object": "chat.completion", **head, "choices": choices}
    if usage is not None:
        payload["usage"] = usage_payload(usage)
    return payload


def objects(value: Json) -> Iterator[dict[str, Json]]:
    """Yield the objects of a list."""
    for part in value if isinstance(value, list) else ():
        if isinstance(part, dict):
            yield part


def head(answer: Mapping[str, Json]) -> dict[str, Json]:
    """Return id, time and model of an answer or a chunk."""
    return NO_HEAD | {name: answer[name] for name in HEAD_FIELDS if answer.get(name) is not None}


def shaped(choice: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a choice holds beside its message or delta."""
    index = choice.get("index")
    found: dict[str, Json] = {
        "index": index if isinstance(index, int) else 0,
        "finish_reason": choice.get("finish_reason") or None,
    }
    logprobs = choice.get("logprobs")
    return found if logprobs is None else found | {"logprobs": logprobs}


def fields(message: Json) -> dict[str, Json]:
    """Return the fields of a message or delta that are set."""
    if not isinstance(message, dict):
        return {}
    found = {name: message[name] for name in MESSAGE_FIELDS if message.get(name) is not None}
    if "reasoning" in message and "reasoning_content" not in found:  # vLLM since 0.11, OpenRouter
        found |= {"reasoning_content": message["reasoning"]} if message["reasoning"] else {}
    return found
