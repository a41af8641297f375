"""What the flow of a call acts on: the router's ports, in one frozen value."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelrouter.budget import BudgetStore
from modelrouter.cache import ExactCache, Flights
from modelrouter.decision import Decision
from modelrouter.pace import Pace
from modelrouter.ports import Key, Provider
from modelrouter.receipts import Receipt
from modelrouter.shadowing import Shadow

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from modelrouter.engine.clauses import Engine

__all__ = ["Approval", "Clock", "Target", "World"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What an approver is asked.

    Attributes:
        decision: The decision to be carried out.
        model: The candidate about to be used.
        roles: Roles that must approve.
    """

    decision: Decision
    model: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time.

    Attributes:
        now: Returns the current time with a time zone.
        monotonic: Returns seconds that never go back.
    """

    now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a model is reached.

    Attributes:
        upstream: Provider-prefixed model name.
        api_base: Address; never empty.
        in_house: Whether the model is `self_hosted` or `private_cloud`.
        key_name: Environment variable that holds the key, or None.
        keyless: Whether the endpoint takes no key.
    """

    upstream: str
    api_base: str
    in_house: bool
    key_name: str | None
    keyless: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports of one router, for one of its two APIs.

    Attributes:
        provider: Carries transmissions.
        pace: How this API waits.
        ledger: Keeps budgets.
        cache: Keeps answers.
        flights: Identical calls under way.
        engine: Returns the newest policy, compiled for a day.
        targets: Where each model is reached.
        key: Returns the key of a model, or None if it is not set.
        approve: Asks for approval, or None if nobody can give it.
        receive: Takes receipts, or None.
        unfulfillable: Obligations nobody can carry out here.
        warm: Set once the provider has loaded.
        secret: Key of content hashes.
        shadow: Decides every call by a second policy, where there is one.
    """

    provider: Provider
    pace: Pace
    ledger: BudgetStore
    cache: ExactCache
    flights: Flights
    engine: Callable[[datetime.date], Engine]
    targets: Mapping[str, Target]
    key: Callable[[str, Target], Key | None]
    approve: Callable[[Approval], bool | Awaitable[bool]] | None
    receive: Callable[[Receipt], None] | None
    unfulfillable: frozenset[str]
    tracer: Tracer
    warm: threading.Event
    clock: Clock = field(default_factory=Clock)
    secret: bytes = field(repr=False, default=b"")
    shadow: Shadow = field(default_factory=Shadow)

    def paced(self, pace: Pace) -> World:
        """Return the same ports for the other API."""
        return replace(self, pace=pace)
