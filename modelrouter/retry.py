"""What follows a failed attempt: the same candidate again, the next one, or the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from modelrouter.errors import ErrorKind

if TYPE_CHECKING:
    from modelrouter.policy.document import FallbackAfter, Retry, Runtime

__all__ = ["REACTIONS", "Plan", "Reaction", "Step", "wait_before"]


class Reaction(Enum):
    """How a kind of error is met."""

    RETRY = "the same candidate again, then the next"
    WAIT_OR_FALL_OVER = "wait as long as the provider asks if that fits, otherwise the next"
    FALL_OVER = "the next candidate at once"
    STOP = "no other attempt"


REACTIONS: Mapping[ErrorKind, tuple[Reaction, FallbackAfter | None]] = {
    ErrorKind.TIMEOUT: (Reaction.RETRY, "timeout"),
    ErrorKind.RATE_LIMITED: (Reaction.WAIT_OR_FALL_OVER, "rate_limited"),
    ErrorKind.QUOTA_EXHAUSTED: (Reaction.FALL_OVER, "rate_limited"),
    ErrorKind.SERVER_ERROR: (Reaction.RETRY, "server_error"),
    ErrorKind.UNREACHABLE: (Reaction.RETRY, "server_error"),
    ErrorKind.INCOMPLETE: (Reaction.RETRY, "server_error"),
    ErrorKind.INTERNAL: (Reaction.FALL_OVER, "server_error"),
    ErrorKind.INVALID_OUTPUT: (Reaction.FALL_OVER, "invalid_output"),
    ErrorKind.INVALID_REQUEST: (Reaction.STOP, None),
    ErrorKind.TOO_LARGE: (Reaction.STOP, None),
    ErrorKind.UNAUTHORISED: (Reaction.STOP, None),
    ErrorKind.NOT_FOUND: (Reaction.STOP, None),
    ErrorKind.CREDENTIAL_MISSING: (Reaction.STOP, None),
}
"""For each kind of error: how it is met, and the word of `fallback.after` that allows the
next candidate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do next.

    Attributes:
        candidate: Place of the candidate in the decision.
        wait_s: Pause before it, in seconds.
    """

    candidate: int
    wait_s: float = 0.0


def wait_before(retry: Retry, *, number: int, retry_after_s: float | None) -> float:
    """Return the pause before retry `number` of a candidate.

    The provider's own `Retry-After` is a lower bound.

    Args:
        retry: The policy's retry section.
        number: Retries of this candidate so far, starting at 1 with the coming one.
        retry_after_s: What the provider asked for, in seconds, or None.

    Returns:
        Pause in seconds, at least 0.

    Source: RFC 9110 section 10.2.3 for Retry-After; "full jitter", AWS Architecture Blog, 2015.
    """
    import tenacity  # noqa: PLC0415 - loads asyncio, and only a failed attempt needs it

    strategy = (
        tenacity.wait_random_exponential if retry.jitter == "full" else tenacity.wait_exponential
    )
    state = tenacity.RetryCallState(retry_object=tenacity.Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = number
    wait = strategy(
        multiplier=retry.initial_ms / 1000, max=retry.max_ms / 1000, exp_base=float(retry.factor)
    )
    return max(wait(state), retry_after_s or 0.0)


@dataclass(slots=True, kw_only=True)
class Plan:
    """The attempts of one call. It only ever names candidates of its decision.

    Attributes:
        candidates: How many there are.
        runtime: The policy's section that governs the call.
        current: Place of the candidate that is tried.
        sends: Transmissions so far.
        retries: Retries of the current candidate.
    """

    candidates: int
    runtime: Runtime
    current: int = 0
    sends: int = 0
    retries: int = 0

    def sent(self) -> int:
        """Count one transmission and return its number."""
        self.sends += 1
        return self.sends

    def skip(self) -> Step | None:
        """Return the step past a candidate that was not sent to."""
        self.current += 1
        self.retries = 0
        return Step(candidate=self.current) if self.current < self.candidates else None

    def after(self, kind: ErrorKind, *, retry_after_s: float | None, left_s: float) -> Step | None:
        """Return the step after a failed attempt, or None if the call has failed.

        Args:
            kind: What went wrong.
            retry_after_s: What the provider asked to wait, in seconds, or None.
            left_s: Seconds until the deadline of the call.
        """
        reaction, word = REACTIONS[kind]
        fallback = self.runtime.fallback
        if reaction is Reaction.STOP or self.sends >= fallback.max_attempts or left_s <= 0:
            return None
        waits = reaction is Reaction.RETRY or retry_after_s is not None
        may_retry = reaction in {Reaction.RETRY, Reaction.WAIT_OR_FALL_OVER} and waits
        if may_retry and self.retries < self.runtime.retry.max:
            wait = wait_before(
                self.runtime.retry, number=self.retries + 1, retry_after_s=retry_after_s
            )
            if wait < left_s:
                self.retries += 1
                return Step(candidate=self.current, wait_s=wait)
        return self.skip() if word in fallback.after else None
