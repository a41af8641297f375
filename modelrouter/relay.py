"""Passes a streamed answer on, attempt by attempt."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from modelrouter import telemetry
from modelrouter.answers import Assembly
from modelrouter.attempts import Attempt
from modelrouter.errors import ErrorKind
from modelrouter.gating import HandOver, Overtaken
from modelrouter.ports import Chunk, ProviderError
from modelrouter.reply import Reply, finish_reasons_of
from modelrouter.values import Usage

__all__ = ["Outcome", "Relay"]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Where a stream leaves its reply once it has ended.

    Attributes:
        reply: The reply, or None while the stream lasts or if it broke.
    """

    reply: Reply | None = None


@dataclass(slots=True, kw_only=True)
class Relay:
    """One attempt of a streamed call.

    Attributes:
        attempt: The attempt.
        assembly: The answer so far.
        overtaken: Whether the policy was replaced before the provider took over.
        begun: Whether a piece has been delivered to the caller.
        failure: Why the attempt failed, or None.
        usage: Tokens as reported.
        upstream: Model name the provider says it used.
        first_s: Seconds to the first piece.
    """

    attempt: Attempt
    assembly: Assembly = field(default_factory=Assembly)
    overtaken: bool = False
    begun: bool = False
    failure: ProviderError | None = None
    usage: Usage | None = None
    upstream: str = ""
    first_s: float | None = None

    async def pieces(self) -> AsyncGenerator[Chunk, None]:
        """Yield the pieces of the attempt; afterwards its hold is settled, whatever happened."""
        attempt, world = self.attempt, self.attempt.call.world
        started = time.monotonic()
        source = world.pace.pull(handed_over(attempt), deadline=started + attempt.send.timeout_s)
        waiting: list[Chunk] = []
        try:
            while (piece := await self.next_piece(source)) is not None:
                self.first_s = self.first_s or time.monotonic() - started
                waiting.append(piece)
                # A first piece that only names the role is no answer yet: held back, it
                # leaves the next candidate free to answer if this one breaks off here.
                if self.begun or speaks(piece):
                    self.begun = True
                    for held in waiting:
                        yield held
                    waiting = []
            if self.failure is None and not self.overtaken:
                await self.succeeded()
                for held in waiting:
                    yield held
        finally:
            try:
                await source.aclose()
            finally:
                await attempt.close("cancelled")

    async def next_piece(self, source: AsyncGenerator[Chunk, None]) -> Chunk | None:
        """Return the next piece, or None at the end; a failure is noted and settled."""
        failure: ProviderError
        try:
            # Attached only while the provider works, never across a yield to the caller.
            with telemetry.attached(self.attempt.span):
                piece = await anext(source, None)
        except Overtaken:
            self.overtaken = True
            await self.attempt.withdraw()
            return None
        except ProviderError as error:
            failure = error
        except TimeoutError:
            failure = ProviderError(ErrorKind.TIMEOUT, billed=True)
        else:
            if piece is not None:
                self.assembly.add(piece.payload)
                self.usage = piece.usage or self.usage
                self.upstream = self.upstream or str(piece.payload.get("model") or "")
            return piece
        if self.begun and not failure.billed:
            # What has been delivered has been generated, whatever the error says.
            failure = ProviderError(failure.kind, status=failure.status, billed=True)
        self.failure = failure
        await self.attempt.failed(failure)
        return None

    async def succeeded(self) -> None:
        """Settle a stream that came to its end."""
        await self.attempt.succeeded(
            usage=self.usage,
            upstream=self.upstream,
            finish_reasons=finish_reasons_of(self.assembly.payload(self.usage)),
            first_chunk_s=self.first_s,
        )


async def handed_over(attempt: Attempt) -> AsyncGenerator[Chunk, None]:
    """Yield what the provider streams, if the policy still stands when it takes over."""
    source = attempt.call.world.provider.stream(attempt.send)
    try:
        piece = await HandOver(attempt.call, attempt.released, lambda: anext(source, None))
        while piece is not None:
            yield piece
            piece = await anext(source, None)
    finally:
        await source.aclose()


def speaks(piece: Chunk) -> bool:
    """Whether a piece carries more than the role of who speaks."""
    choices = piece.payload.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta")
        said = delta if isinstance(delta, dict) else {}
        if choice.get("finish_reason") or any(
            value for name, value in said.items() if name != "role"
        ):
            return True
    return False
