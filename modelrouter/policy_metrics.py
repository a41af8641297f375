"""Metrics of reloading. Only the OpenTelemetry API is needed; without an SDK nothing is kept."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Protocol

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Counter, Observation

from modelrouter.forking import renew_after_fork

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

__all__ = ["Followed", "PolicyMeter", "policy_meter"]


class Followed(Protocol):
    """A policy whose files are followed."""

    def age(self) -> tuple[str, float]:
        """Return the policy's name, and the seconds since its files were last seen to be it."""
        ...


class PolicyMeter:
    """The instruments of one meter provider; routers share them.

    The age is asked for when metrics are collected, so that it goes on growing when the
    thread that looks at the files is dead.
    """

    __slots__ = ("__weakref__", "followed", "lock", "reloads")

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = metrics.get_meter("modelrouter", meter_provider=provider)
        self.lock: threading.Lock = threading.Lock()
        self.followed: weakref.WeakSet[Followed] = weakref.WeakSet()
        self.reloads: Counter = meter.create_counter(
            "modelrouter.policy.reloads",
            unit="{reload}",
            description="Changed sets of policy files, by what came of them.",
        )
        meter.create_observable_gauge(
            "modelrouter.policy.age",
            callbacks=[self.ages],
            unit="s",
            description="Seconds since the files were last seen to be the policy in force.",
        )
        renew_after_fork(self)

    def renew(self) -> None:
        """Leave the parent's lock behind."""
        self.lock = threading.Lock()

    def follow(self, thing: Followed) -> None:
        """Report the age of `thing` as long as it lives."""
        with self.lock:
            self.followed.add(thing)

    def leave(self, thing: Followed) -> None:
        """Report the age of `thing` no longer."""
        with self.lock:
            self.followed.discard(thing)

    def count(self, outcome: Literal["loaded", "rejected"], policy: str) -> None:
        """Count one changed set of files."""
        self.reloads.add(1, {"outcome": outcome, "modelrouter.policy.name": policy})

    def ages(self, _: CallbackOptions) -> Iterable[Observation]:
        """Return the greatest age of each policy."""
        with self.lock:
            followed = list(self.followed)
        oldest: dict[str, float] = {}
        for thing in followed:
            name, age = thing.age()
            oldest[name] = max(age, oldest.get(name, 0.0))
        return [Observation(age, {"modelrouter.policy.name": name}) for name, age in oldest.items()]


class Meters:
    """The instruments made in this process, by meter provider."""

    __slots__ = ("__weakref__", "by_provider", "lock", "shared")

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.by_provider: weakref.WeakKeyDictionary[MeterProvider, PolicyMeter] = (
            weakref.WeakKeyDictionary()
        )
        self.shared: PolicyMeter | None = None

    def renew(self) -> None:
        """Leave the parent's lock behind."""
        self.lock = threading.Lock()

    def get(self, provider: MeterProvider | None) -> PolicyMeter:
        """Return the instruments of a provider, making them on first use."""
        with self.lock:
            found = self.shared if provider is None else self.by_provider.get(provider)
            if found is None:
                found = PolicyMeter(provider)
                if provider is None:
                    self.shared = found
                else:
                    self.by_provider[provider] = found
            return found


METERS = Meters()
renew_after_fork(METERS)


def policy_meter(provider: MeterProvider | None) -> PolicyMeter:
    """Return the instruments of a provider, or of the global one; each is made once."""
    return METERS.get(provider)
