"""A provider that plays a script, and a clock moved by hand: no network, no waiting.

Example:
    ```python
    provider = ScriptedProvider([ProviderError(ErrorKind.SERVER_ERROR), "Hello"])
    clock = ManualClock()
    router = Router.from_policy("policies/quickstart", provider=provider, clock=clock)
    reply = router.completion([{"role": "user", "content": "Hi"}], sensitivity="public")
    assert reply.text == "Hello"
    assert [send.model for send in provider.sends] == ["home/small", "home/small"]
    ```
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelrouter.answers import usage_payload
from modelrouter.ports import Chunk, Completion, ProviderError, Send
from modelrouter.testing.formats import words
from modelrouter.values import Json, Usage
from modelrouter.world import Clock

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["ManualClock", "ScriptedProvider", "Turn"]

BEGINNING = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
FOR_EVER_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a scripted provider does with one transmission.

    Attributes:
        text: The answer; streamed word by word.
        message: Fields of the message beyond role and content, e.g. `tool_calls`.
        usage: What is reported, or None.
        finish_reason: OpenAI's spelling.
        error: Raised instead of the answer.
        pieces: Pieces of a stream delivered before `error` or the hanging; the first one
            names the role alone. None: `error` comes at once.
        hangs: Never ends by itself, until it is cancelled or closed.
        wait_s: Seconds before the answer or its first piece.
        piece_s: Seconds before every piece of a stream.
        before: Called when the transmission arrives, e.g. to move a clock.
    """

    text: str = "Hello from the scripted provider."
    message: Mapping[str, Json] = field(default_factory=dict[str, Json])
    usage: Usage | None = Usage(input_tokens=11, output_tokens=7)  # noqa: RUF009 - frozen
    finish_reason: str = "stop"
    error: BaseException | None = None
    pieces: int | None = None
    hangs: bool = False
    wait_s: float = 0.0
    piece_s: float = 0.0
    before: Callable[[], object] | None = None


Step = Turn | str | BaseException
Script = Step | Sequence[Step] | Callable[[Send], Step]


class ScriptedProvider:
    """A `modelrouter.ports.Provider` that plays a script and records what it was sent.

    Safe from several threads and event loops.

    Args:
        script: One step for every transmission, a list that is used up (its last one
            repeats), or a function of the transmission. A step is a `Turn`, a text to
            answer with, or an error to raise.

    Attributes:
        warmed: How often `warm_up` was called.
        cancelled: How many transmissions were cancelled or closed before their end.
        most_at_once: The most transmissions that were under way at one time.
    """

    def __init__(self, script: Script = "Hello from the scripted provider.") -> None:
        self._script: Script = script
        self._lock = threading.Lock()
        self._sends: list[Send] = []
        self._under_way = 0
        self.warmed: int = 0
        self.cancelled: int = 0
        self.most_at_once: int = 0

    @property
    def sends(self) -> tuple[Send, ...]:
        """Every transmission so far, in order of arrival."""
        with self._lock:
            return tuple(self._sends)

    @property
    def under_way(self) -> int:
        """How many transmissions have not ended yet."""
        with self._lock:
            return self._under_way

    def refusal(self, upstream: str, *, in_house: bool) -> str | None:  # noqa: ARG002
        """Return None: a script can stand for every model."""
        return None

    async def warm_up(self) -> None:
        """Count that it was asked for."""
        self.warmed += 1

    async def complete(self, send: Send) -> Completion:
        """Play the next step as a whole answer.

        Raises:
            ProviderError: The script says so.
        """
        turn = self._begin(send)
        ended = False
        try:
            await asyncio.sleep(FOR_EVER_S if turn.hangs else turn.wait_s)
            ended = True
            raise_error(turn)
            return completion_of(turn, send)
        finally:
            self._end(whole=ended)

    async def stream(self, send: Send) -> AsyncGenerator[Chunk, None]:
        """Play the next step piece by piece.

        Raises:
            ProviderError: The script says so.
        """
        turn = self._begin(send)
        ended = False
        try:
            await asyncio.sleep(turn.wait_s)
            pieces = list(pieces_of(turn, send))
            broken = turn.error is not None or turn.hangs
            for piece in pieces[: turn.pieces or 0] if broken else pieces:
                await asyncio.sleep(turn.piece_s)
                yield piece
            if turn.hangs:
                await asyncio.sleep(FOR_EVER_S)
            ended = True
            raise_error(turn)
        finally:
            self._end(whole=ended)

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    def as_response(self, payload: Mapping[str, Json]) -> ChatCompletion:
        """Return a stored `payload` as an OpenAI `ChatCompletion`."""
        from openai.types.chat import ChatCompletion  # noqa: PLC0415 - 0.5 s to import

        return ChatCompletion.construct(None, **payload)

    def _begin(self, send: Send) -> Turn:
        """Record a transmission and choose what to do with it."""
        with self._lock:
            place = len(self._sends)
            self._sends.append(send)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        step = chosen(self._script, send, place)
        if isinstance(step, Turn):
            turn = step
        else:
            turn = Turn(text=step) if isinstance(step, str) else Turn(error=step)
        if turn.before is not None:
            turn.before()
        return turn

    def _end(self, *, whole: bool) -> None:
        with self._lock:
            self._under_way -= 1
            self.cancelled += 0 if whole else 1


class ManualClock(Clock):
    """A clock that stands still until it is moved. Waiting still takes real time.

    Args:
        start: The time it begins at, with a time zone.

    Example:
        ```python
        clock = ManualClock()
        router = Router.from_policy(path, clock=clock, cache=ExactCache(timer=clock.monotonic))
        clock.advance(hours=12)
        ```
    """

    __slots__ = ("_hands", "_lock")
    _hands: list[datetime.datetime]
    _lock: threading.Lock

    def __init__(self, start: datetime.datetime = BEGINNING) -> None:
        # The class above is frozen.
        object.__setattr__(self, "_lock", threading.Lock())
        object.__setattr__(self, "_hands", [start, start])
        super().__init__(now=self._read, monotonic=self._seconds)

    def advance(
        self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Move the clock; both the time and the monotonic seconds go on."""
        step = datetime.timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        with self._lock:
            self._hands[1] += step

    def _read(self) -> datetime.datetime:
        with self._lock:
            return self._hands[1]

    def _seconds(self) -> float:
        return (self._read() - self._hands[0]).total_seconds()


def chosen(script: Script, send: Send, place: int) -> Step:
    """Return the step of a script for the transmission at `place`."""
    if isinstance(script, Turn | str | BaseException):
        return script
    if callable(script):
        return script(send)
    return script[min(place, len(script) - 1)]


def raise_error(turn: Turn) -> None:
    """Raise the error of a turn, a new one each time: a raised one keeps its traceback."""
    error = turn.error
    if isinstance(error, ProviderError):
        raise ProviderError(
            error.kind,
            status=error.status,
            retry_after_s=error.retry_after_s,
            billed=error.billed,
        )
    if error is not None:
        raise copy.copy(error)


def completion_of(turn: Turn, send: Send) -> Completion:
    """Return the whole answer of a turn."""
    message: Json = {"role": "assistant", "content": turn.text, **turn.message}
    choice: Json = {"index": 0, "message": message, "finish_reason": turn.finish_reason}
    payload: dict[str, Json] = {**head(send, "chat.completion"), "choices": [choice]}
    if turn.usage is not None:
        payload["usage"] = usage_payload(turn.usage)
    return Completion(payload=payload, usage=turn.usage, upstream=send.upstream)


def pieces_of(turn: Turn, send: Send) -> Iterator[Chunk]:
    """Yield the pieces of a turn: the role, the words, the end, the usage."""
    shape = head(send, "chat.completion.chunk")
    deltas: list[Mapping[str, Json]] = [{"role": "assistant"}]
    deltas += [{"content": word} for word in words(turn.text)]
    deltas += [turn.message] if turn.message else []
    for delta in deltas:
        choice: Json = {"index": 0, "delta": {**delta}, "finish_reason": None}
        yield Chunk(text=str(delta.get("content") or ""), payload={**shape, "choices": [choice]})
    last: Json = {"index": 0, "delta": {}, "finish_reason": turn.finish_reason}
    yield Chunk(text="", payload={**shape, "choices": [last]}, finish_reason=turn.finish_reason)
    if turn.usage is not None:
        payload: dict[str, Json] = {**shape, "choices": [], "usage": usage_payload(turn.usage)}
        yield Chunk(text="", payload=payload, usage=turn.usage)


def head(send: Send, kind: str) -> dict[str, Json]:
    """Return what every answer begins with."""
    return {"id": "chatcmpl-scripted", "object": kind, "created": 0, "model": send.upstream}
