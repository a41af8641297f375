"""The policy in force: one reference, replaced whole, that every call and every gate reads."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelrouter.decision import Reason, Removal
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.errors import Problem
from modelrouter.forking import renew_after_fork

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.world import Clock, Target

__all__ = ["InForce", "Known", "LoadedPolicy", "PolicyStatus", "in_force_of"]

DAYS_KEPT = 4
HANDING_OVER_S = 5.0
"""Most seconds a new policy waits for a transmission that is being handed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """A policy as a router uses it.

    Attributes:
        bundle: What was loaded.
        targets: Where each of its models is reached.
        engines: The bundle compiled, by day; filled as days are asked for.
    """

    bundle: Bundle
    targets: Mapping[str, Target]
    engines: dict[datetime.date, Engine] = field(
        default_factory=dict[datetime.date, Engine], repr=False, compare=False
    )

    def engine(self, day: datetime.date) -> Engine:
        """Return the policy compiled for a day; the same one every time."""
        engine = self.engines.get(day)
        if engine is None:
            compiled = kept(compile_bundle(self.bundle, day))
            while len(self.engines) >= DAYS_KEPT:
                self.engines.pop(next(iter(self.engines)), None)
            # Two threads may compile at once: gates compare engines by identity, so one stays.
            engine = self.engines.setdefault(day, compiled)
        return engine


def kept(engine: Engine) -> Engine:
    """Return a compiled policy that removes every model if it breaks an invariant on its day.

    A policy proves its invariants for the day it is loaded on. Facts expire and permits lapse
    while a router runs; what cannot be proved of the new day is not sent on it.
    """
    if not engine.bundle.policy.invariants:
        return engine
    from modelrouter.proof.invariants import unproved  # noqa: PLC0415 - only for who has some

    removals = tuple(
        Removal(
            models=engine.everything,
            reason=Reason(
                stage="guard",
                rule=engine.bundle.place("invariants", name),
                detail=f"every model is closed: invariant `{name}` is not proved for {engine.at}",
            ),
        )
        for name, _, _ in unproved(engine.bundle, engine.at)
    )
    return replace(engine, retired=(*engine.retired, *removals)) if removals else engine


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStatus:
    """Which policy is in force, and what is known of its files.

    Attributes:
        digest: Digest of the policy in force.
        name: Its name.
        version: Its version; "0" where it states none.
        loaded_at: When it came into force.
        checked_at: When its files were last looked at, or None.
        fresh_at: When its files were last seen to be this policy.
        reloads: How often another policy came into force since the router was built.
        rejected: Why the files that lie there now are not in force; empty if they are.
        stale: Whether `fresh_at` lies so far back that sensitive calls are denied.
        warnings: What to know of the policy in force since it was loaded: budgets that count
            anew, and why the shadow in its files is not the one that decides beside it.
    """

    digest: str
    name: str
    version: str
    loaded_at: datetime.datetime
    checked_at: datetime.datetime | None
    fresh_at: datetime.datetime
    reloads: int
    rejected: tuple[Problem, ...]
    stale: bool
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the files; replaced whole, so that a status is of one moment.

    Attributes:
        fresh_s: `fresh_at` in monotonic seconds. The rest is as in `PolicyStatus`.
    """

    loaded_at: datetime.datetime
    checked_at: datetime.datetime | None
    fresh_at: datetime.datetime
    fresh_s: float
    reloads: int = 0
    rejected: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(slots=True, weakref_slot=True, kw_only=True)
class InForce:
    """Holds the policy in force, and knows since when its files were last seen to be it.

    Attributes:
        policy: The policy. Only `put` replaces it.
        clock: The time.
        known: What is known of its files.
        max_stale_s: Seconds without sight of its files from which it is stale; None for never.
        stale_deny_from: Lowest level that a stale policy closes; None for the level from which
            the policy denies by default.
        handing_over: Held from the last look at the policy until the provider has taken a
            transmission over, and while the policy is replaced: after `put` has returned,
            nothing leaves that only the policy before had released.
    """

    policy: LoadedPolicy
    clock: Clock
    known: Known
    max_stale_s: float | None = None
    stale_deny_from: str | None = None
    handing_over: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        """Ask to be renewed in forked children."""
        renew_after_fork(self)

    def renew(self) -> None:
        """Leave the parent's lock behind."""
        self.handing_over = threading.RLock()

    def engine(self, day: datetime.date) -> Engine:
        """Return the policy in force, compiled for a day."""
        return self.policy.engine(day)

    @property
    def stale(self) -> bool:
        """Whether nobody has seen the files to be this policy for too long."""
        if self.max_stale_s is None:
            return False
        return self.age_s > self.max_stale_s

    @property
    def age_s(self) -> float:
        """Seconds since the files were last seen to be the policy in force."""
        return max(self.clock.monotonic() - self.known.fresh_s, 0.0)

    def closed_from(self, engine: Engine) -> int | None:
        """Return the place of the lowest level that is closed to all models, or None.

        Args:
            engine: The policy whose levels are meant.
        """
        if not self.stale:
            return None
        named = engine.scheme.rank.get(self.stale_deny_from or "")
        return min(gate.deny_from for gate in engine.gates) if named is None else named

    def status(self) -> PolicyStatus:
        """Return what is known of the policy and its files."""
        known, bundle = self.known, self.policy.bundle
        return PolicyStatus(
            digest=bundle.digest,
            name=bundle.name,
            version=bundle.policy.metadata.version,
            loaded_at=known.loaded_at,
            checked_at=known.checked_at,
            fresh_at=known.fresh_at,
            reloads=known.reloads,
            rejected=known.rejected,
            stale=self.stale,
            warnings=known.warnings,
        )

    def put(
        self, policy: LoadedPolicy, known: Known, *, patience_s: float = HANDING_OVER_S
    ) -> None:
        """Put a policy in force.

        A provider that blocks while it takes a transmission over does not hold it up for ever:
        a policy may well come to forbid what that provider does.
        """
        waited = self.handing_over.acquire(timeout=patience_s)
        try:
            self.policy, self.known = policy, known
        finally:
            if waited:
                self.handing_over.release()


def in_force_of(bundle: Bundle, targets: Mapping[str, Target], clock: Clock) -> InForce:
    """Return what holds a router's first policy."""
    now = clock.now()
    known = Known(loaded_at=now, checked_at=None, fresh_at=now, fresh_s=clock.monotonic())
    return InForce(policy=LoadedPolicy(bundle=bundle, targets=targets), clock=clock, known=known)
