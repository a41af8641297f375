"""The exact cache: looked at after the decision, never before, and re-authorised on read.

A key holds nothing readable: it is a keyed hash of everything that shapes the answer and
of everything that says who may see it.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import cachetools

from modelrouter.forking import renew_after_fork
from modelrouter.labels import Label
from modelrouter.values import Json, Usage

__all__ = ["Entry", "ExactCache", "Flight", "Flights", "Scope", "cache_key"]

DEFAULT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One kept answer.

    Attributes:
        text: The answer as JSON text of an OpenAI-shaped `chat.completion`.
        model: Catalogue id of the model that answered.
        label: Label of the call that was answered.
        usage: Tokens of that answer.
        trace_id: Trace of the attempt that filled the entry, or 0.
        span_id: Span of that attempt, or 0.
        ttl_s: Seconds the entry is kept.
    """

    text: str = field(repr=False)
    model: str
    label: Label
    usage: Usage | None
    trace_id: int
    span_id: int
    ttl_s: int

    @property
    def payload(self) -> dict[str, Json]:
        """A fresh copy of the answer."""
        copied: dict[str, Json] = json.loads(self.text)
        return copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What besides the payload decides whether two calls may share an answer.

    Attributes:
        policy_digest: Digest of the policy.
        label: The closed label.
        task: The task.
        facts: Facts that guardrails read, that say who calls, or that `partition` names.
        limits: The call's own limits, as text.
    """

    policy_digest: str
    label: Label
    task: str
    facts: Mapping[str, object]
    limits: str


def cache_key(scope: Scope, canonical: bytes, *, secret: bytes) -> str:
    """Return the key of an answer: a keyed SHA-256 in hexadecimal."""
    label = scope.label
    parts = json.dumps(
        [
            scope.policy_digest,
            label.level,
            sorted(label.categories),
            sorted(label.unknown),
            scope.task,
            sorted((name, type(value).__name__, str(value)) for name, value in scope.facts.items()),
            scope.limits,
        ]
    ).encode()
    digest = hmac.new(secret, len(parts).to_bytes(8) + parts + canonical, hashlib.sha256)
    return digest.hexdigest()


def _size(entry: Entry) -> int:
    return len(entry.text) + 500


def _expiry(_: str, entry: Entry, now: float) -> float:
    return now + entry.ttl_s


@dataclass(slots=True, weakref_slot=True, kw_only=True)
class ExactCache:
    """Answers kept in this process, up to a size in bytes; the least recently used go first.

    Attributes:
        max_bytes: Room for answers, in bytes of JSON text.
        timer: Seconds that never go back.
    """

    max_bytes: int = DEFAULT_BYTES
    timer: Callable[[], float] = time.monotonic
    lock: threading.Lock = field(default_factory=threading.Lock)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    store: cachetools.TLRUCache[str, Entry] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the store."""
        self.store = cachetools.TLRUCache(
            maxsize=self.max_bytes, ttu=_expiry, timer=self.timer, getsizeof=_size
        )
        renew_after_fork(self)

    def renew(self) -> None:
        """Leave the parent's lock behind, and what it may have been changing."""
        self.lock = threading.Lock()
        self.store.clear()

    def get(self, key: str) -> Entry | None:
        """Return the answer kept under `key`, or None."""
        with self.lock:
            return self.store.get(key)

    def put(self, key: str, entry: Entry) -> None:
        """Keep an answer; one larger than the whole cache is not kept."""
        if _size(entry) <= self.max_bytes:
            with self.lock:
                self.store[key] = entry

    def clear(self) -> None:
        """Forget every answer."""
        with self.lock:
            self.store.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """One of several identical calls under way.

    Attributes:
        key: What the calls have in common.
        leads: Whether this call asks the model; the others wait for it.
        landing: Becomes the answer, or None if the leader brought none.
    """

    key: Hashable
    leads: bool
    landing: concurrent.futures.Future[Entry | None]


@dataclass(slots=True, weakref_slot=True, kw_only=True)
class Flights:
    """Single-flight: of identical calls under way at once, one asks the model."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    under_way: dict[Hashable, tuple[Hashable, concurrent.futures.Future[Entry | None]]] = field(
        default_factory=dict[Hashable, "tuple[Hashable, concurrent.futures.Future[Entry | None]]"]
    )

    def __post_init__(self) -> None:
        """Ask to be renewed in forked children."""
        renew_after_fork(self)

    def renew(self) -> None:
        """Forget calls that the parent process carries out."""
        self.lock = threading.Lock()
        self.under_way.clear()

    def join(self, key: Hashable, *, owner: Hashable) -> Flight | None:
        """Return the flight of `key`; the first to join leads it.

        Args:
            key: What identical calls have in common.
            owner: The thread or task that calls. One that calls again while it leads (from
                an approver, say) would wait for itself: it gets None, and goes alone.
        """
        with self.lock:
            found = self.under_way.get(key)
            if found is not None:
                leader, landing = found
                return None if leader == owner else Flight(key=key, leads=False, landing=landing)
            landing = concurrent.futures.Future[Entry | None]()
            self.under_way[key] = (owner, landing)
            return Flight(key=key, leads=True, landing=landing)

    def land(self, flight: Flight, entry: Entry | None) -> None:
        """End a flight; those who waited get the entry, or go on their own."""
        with self.lock:
            self.under_way.pop(flight.key, None)
        flight.landing.set_result(entry)
