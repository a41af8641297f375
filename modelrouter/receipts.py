"""The receipt of a call: everything its decision was computed from, and no content."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Literal

from modelrouter.decision import Decision
from modelrouter.errors import Attempted
from modelrouter.shadowing import ShadowDifference
from modelrouter.values import Json, Request, Usage, usd

__all__ = ["Receipt", "content_hash", "new_call_id"]

CacheOutcome = Literal["off", "miss", "hit", "shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The record of one call.

    Attributes:
        call: UUIDv7 of the call.
        at: When it began, in seconds since the epoch.
        day: The day the policy was read for, as an ISO date.
        policy: Name of the policy.
        policy_digest: Digest of everything the policy consists of.
        request: Everything the decision knew of the call; no content.
        content_hmac: Keyed hash of the payload, in hexadecimal.
        spent: Budget state the decision saw, by budget id, in the budget's unit.
        down: Models it took to be down.
        unfulfillable: Obligations it took to be impossible here.
        decision: What was decided, with every reason.
        outcome: `answered`, `denied` or `failed`.
        error: Type of the error, or None.
        model: The model that answered, or None.
        attempts: Attempts that brought no answer.
        sends: Transmissions.
        cache: Whether the answer came from the cache.
        usage: Tokens, or None.
        cost_pico: What the call cost, in pico-dollars; None without a price.
        seconds: How long it took.
        shadow: What the shadow policy would have done otherwise, or None.
    """

    call: str
    at: float
    day: str
    policy: str
    policy_digest: str
    request: Request
    content_hmac: str
    spent: Mapping[str, int]
    down: frozenset[str]
    unfulfillable: frozenset[str]
    decision: Decision
    outcome: Literal["answered", "denied", "failed"]
    error: str | None
    model: str | None
    attempts: tuple[Attempted, ...]
    sends: int
    cache: CacheOutcome
    usage: Usage | None
    cost_pico: int | None
    seconds: float
    shadow: ShadowDifference | None = None

    @property
    def cost_usd(self) -> Decimal | None:
        """What the call cost, in US dollars."""
        return usd(self.cost_pico)

    def as_json(self) -> dict[str, Json]:
        """Return the receipt as JSON values."""
        request = self.request
        declared = request.declared
        return {
            "call": self.call,
            "at": self.at,
            "day": self.day,
            "policy": self.policy,
            "policy_digest": self.policy_digest,
            "declared": None if declared is None else str(declared),
            "evidence": [str(part) for part in request.evidence],
            "task": request.task,
            "needs": [*sorted(request.needs)],
            "tokens": request.tokens,
            "tokens_at_most": request.tokens_at_most,
            "max_output": request.max_output,
            "choices": request.choices,
            "facts": dict(request.facts),
            "content_hmac": self.content_hmac,
            "spent": dict(self.spent),
            "down": [*sorted(self.down)],
            "unfulfillable": [*sorted(self.unfulfillable)],
            "decision": self.decision.as_json(),
            "outcome": self.outcome,
            "error": self.error,
            "model": self.model,
            "attempts": [str(part) for part in self.attempts],
            "sends": self.sends,
            "cache": self.cache,
            "usage": None if self.usage is None else asdict(self.usage),
            "cost_usd": None if self.cost_usd is None else float(self.cost_usd),
            "seconds": self.seconds,
            "shadow": None if self.shadow is None else self.shadow.as_json(),
        }


def content_hash(canonical: bytes, *, secret: bytes) -> str:
    """Return the keyed SHA-256 of a payload, in hexadecimal."""
    return hmac.new(secret, canonical, hashlib.sha256).hexdigest()


def new_call_id(now: float | None = None) -> str:
    """Return a UUIDv7: ordered by time, otherwise random. Source: RFC 9562 section 5.7."""
    milliseconds = int((time.time() if now is None else now) * 1000) & (1 << 48) - 1
    value = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64
    value |= 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
