"""What an answer says on the wire, before LiteLLM translates it.

LiteLLM turns a stream that broke off into one that stopped, an HTML page into an empty
answer, and invents usage where none was reported. A witness reads the same bytes and knows
better: which choices ended, what usage was reported, whether anything was no JSON. It does
not translate; it only tells whether the translation can be believed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from modelrouter.errors import ErrorKind
from modelrouter.litellm_provider.faults import Fault, fault_of_error
from modelrouter.values import Json, Usage

__all__ = ["DIALECTS", "Witness", "invalid", "openai_usage"]

# Field names of server-sent events; a line that begins with anything else is no event.
FIELDS = (b"data", b"event", b"id", b"retry", b":")


class Witness:
    """Reads one answer, whole or as server-sent events.

    Args:
        dialect: A name of `DIALECTS`.

    Attributes:
        frames: The JSON objects of the answer, in order, not yet taken.
        fault: What the answer itself says went wrong, or None.
        model: Model name the provider says it used, or None.
        over: Whether the stream said that nothing follows.
    """

    def __init__(self, dialect: str) -> None:
        self._read = DIALECTS[dialect]
        self._line = b""
        self._data: list[bytes] = []
        self._open: set[int] = set()
        self._ended: set[int] = set()
        self._usage: Usage | None = None
        self.frames: deque[dict[str, Json]] = deque()
        self.fault: Fault | None = None
        self.model: str | None = None
        self.over: bool = False

    @property
    def finished(self) -> bool:
        """Whether every choice seen so far has ended with a reason, and there is one."""
        return bool(self._ended) and self._open <= self._ended

    @property
    def usage(self) -> Usage | None:
        """Tokens as reported, or None when none were."""
        return self._usage

    @property
    def choices(self) -> int:
        """Number of choices seen."""
        return len(self._open | self._ended)

    def whole(self, body: bytes) -> None:
        """Read a plain answer."""
        frame = as_object(body)
        if frame is None:
            self.fault = invalid()
            return
        self._frame(frame)
        if self.fault is None and not self.choices:
            self.fault = invalid()
        elif self.fault is None and not self.finished:
            self.fault = Fault(kind=ErrorKind.INCOMPLETE, status=200, billed=True)

    def feed(self, piece: bytes) -> None:
        """Read the next bytes of a stream."""
        *lines, self._line = (self._line + piece).split(b"\n")
        for line in lines:
            self._event_line(line.rstrip(b"\r"))

    def end(self) -> None:
        """Note that the bytes have ended."""
        self.feed(b"\n\n")
        self.over = True

    def ends(self, choice: int) -> None:
        """Note that a choice has ended with a reason."""
        self._ended.add(choice)

    def shows(self, choice: int) -> None:
        """Note that a choice has appeared."""
        self._open.add(choice)

    def counts(self, usage: Usage) -> None:
        """Note usage; a later report replaces an earlier one."""
        self._usage = usage

    def _event_line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
            self._try_data()
        elif not line:
            if self._data:  # an event ended and what it carried is no JSON
                self.fault = self.fault or invalid()
            self._data.clear()
        elif not line.startswith(FIELDS):
            self.fault = self.fault or invalid()

    def _try_data(self) -> None:
        """Take the data of an event as soon as it is JSON; it may span several lines."""
        text = b"\n".join(self._data)
        if text == b"[DONE]":
            self.over = True
        else:
            frame = as_object(text)
            if frame is None:
                return
            self._frame(frame)
        self._data.clear()

    def _frame(self, frame: dict[str, Json]) -> None:
        error = frame.get("error")
        if error or frame.get("object") == "error":
            found = error if isinstance(error, dict) else frame
            self.fault = self.fault or fault_of_error(found, status=None)
            return
        self._read(frame, self)
        self.frames.append(frame)


def invalid() -> Fault:
    """Return the fault of an answer that is none."""
    return Fault(kind=ErrorKind.INVALID_OUTPUT, status=200, billed=True)


def as_object(text: bytes) -> dict[str, Json] | None:
    """Parse a JSON object, or return None."""
    try:
        parsed: Json = json.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def read_openai(frame: Mapping[str, Json], seen: Witness) -> None:
    """Read a chat completion or one chunk of it."""
    model = frame.get("model")
    seen.model = model if isinstance(model, str) and model else seen.model
    for choice in objects(frame.get("choices")):
        place = whole_number(choice.get("index"))
        seen.shows(place)
        if choice.get("finish_reason"):
            seen.ends(place)
    usage = openai_usage(frame)
    if usage is not None:
        seen.counts(usage)


def openai_usage(frame: Mapping[str, Json]) -> Usage | None:
    """Return the usage of a chat completion or a chunk, None where there is none."""
    usage = child(frame, "usage")
    if "prompt_tokens" not in usage:
        return None
    read = child(usage, "prompt_tokens_details")
    written = child(usage, "completion_tokens_details")
    return Usage(
        input_tokens=whole_number(usage.get("prompt_tokens")),
        output_tokens=whole_number(usage.get("completion_tokens")),
        # DeepSeek reports it beside the totals.
        cached_input_tokens=whole_number(
            read.get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
        ),
        cache_write_tokens=whole_number(read.get("cache_write_tokens")),
        reasoning_tokens=whole_number(written.get("reasoning_tokens")),
    )


def read_anthropic(frame: Mapping[str, Json], seen: Witness) -> None:
    """Read a message or one event of its stream."""
    kind = frame.get("type")
    if kind in {"message", "message_start"}:
        message = child(frame, "message") if kind == "message_start" else frame
        model = message.get("model")
        seen.model = model if isinstance(model, str) and model else seen.model
        seen.shows(0)
    else:
        message = child(frame, "delta")
    if message.get("stop_reason"):
        seen.ends(0)
    seen.over = seen.over or kind == "message_stop"
    usage = child(frame, "usage") or child(message, "usage")
    if not usage:
        return
    known = seen.usage or Usage(input_tokens=0, output_tokens=0)
    cached, written = known.cached_input_tokens, known.cache_write_tokens
    fresh = known.input_tokens - cached - written
    # Counts are cumulative; the last event may repeat those of the first. Cached tokens
    # stand beside `input_tokens` there, not within.
    fresh = whole_number(usage.get("input_tokens")) or fresh
    cached = whole_number(usage.get("cache_read_input_tokens")) or cached
    written = whole_number(usage.get("cache_creation_input_tokens")) or written
    seen.counts(
        Usage(
            input_tokens=fresh + cached + written,
            output_tokens=whole_number(usage.get("output_tokens")) or known.output_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
        )
    )


def read_gemini(frame: Mapping[str, Json], seen: Witness) -> None:
    """Read a generateContent answer or one chunk of it."""
    model = frame.get("modelVersion")
    seen.model = model if isinstance(model, str) and model else seen.model
    for candidate in objects(frame.get("candidates")):
        place = whole_number(candidate.get("index"))
        seen.shows(place)
        if candidate.get("finishReason"):
            seen.ends(place)
    if child(frame, "promptFeedback").get("blockReason"):  # a refusal: no candidate follows
        seen.shows(0)
        seen.ends(0)
    usage = child(frame, "usageMetadata")
    if "promptTokenCount" in usage:
        thoughts = whole_number(usage.get("thoughtsTokenCount"))
        seen.counts(
            Usage(
                input_tokens=whole_number(usage.get("promptTokenCount"))
                + whole_number(usage.get("toolUsePromptTokenCount")),
                output_tokens=whole_number(usage.get("candidatesTokenCount")) + thoughts,
                cached_input_tokens=whole_number(usage.get("cachedContentTokenCount")),
                reasoning_tokens=thoughts,
            )
        )


DIALECTS: Mapping[str, Callable[[Mapping[str, Json], Witness], None]] = {
    "anthropic": read_anthropic,
    "gemini": read_gemini,
    "openai": read_openai,
}


def objects(value: Json) -> Iterator[dict[str, Json]]:
    """Yield the objects of a list."""
    for part in value if isinstance(value, list) else ():
        if isinstance(part, dict):
            yield part


def child(value: Mapping[str, Json], name: str) -> dict[str, Json]:
    """Return the object below `name`, or an empty one."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def whole_number(value: Json) -> int:
    """Return a count, 0 where there is none."""
    return value if isinstance(value, int) and value > 0 else 0
