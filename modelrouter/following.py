"""Follows the files of a policy: looks, loads beside, lets the gates judge, and swaps.

A set that does not load, that a gate refuses or that does not stand still never comes into
force; the last good policy stays. `PolicyStatus` says which one that is and since when the
files were last seen to be it.
"""

from __future__ import annotations

import datetime
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from modelrouter.accepting import (
    counted_anew,
    errors_of,
    gated,
    lint_is_clean,
    refusal_of,
    tests_pass,
)
from modelrouter.errors import ConfigurationError, ModelRouterError, Problem
from modelrouter.forking import renew_after_fork
from modelrouter.in_force import InForce, Known, LoadedPolicy
from modelrouter.policy_metrics import policy_meter
from modelrouter.reloading import Reload, check_stale_level
from modelrouter.watching import Reading, look_at, read_policy, unsteady
from modelrouter.world import Clock, Target

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["Build", "Follower"]

LOG = logging.getLogger("modelrouter")
LONGEST_PAUSE_S = 60.0
PLACES_LOGGED = 10
CLOSING_S = 2.0
"""Most seconds that closing waits for a look under way."""
Build: TypeAlias = "Callable[[Bundle], Mapping[str, Target]]"


@dataclass(slots=True, weakref_slot=True, kw_only=True, eq=False)
class Follower:
    """Keeps one policy in force equal to its files, by hand or by a thread of its own.

    The thread holds it weakly: a router that is dropped without `close` takes its thread with
    it. A forked child has no thread until `ensure` starts one there.

    Attributes:
        equal: Content of the files when they were the policy in force.
        judged: Content and day of the set that was refused last, so that it is not judged at
            every look.
        told: Whether the log says that the policy is stale.
        looker: The thread that looks at the moment.
        starting: Held while the thread is started or stopped, and while a policy is replaced.
    """

    path: Path
    options: Reload
    in_force: InForce
    build: Build
    clock: Clock
    files: tuple[Path, ...]
    equal: str
    judged: tuple[str, datetime.date] | None = None
    told: bool = False
    closed: bool = False
    looking: threading.Lock = field(default_factory=threading.Lock)
    looker: int | None = None
    starting: threading.RLock = field(default_factory=threading.RLock)
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        """Ask to be renewed in forked children."""
        renew_after_fork(self)

    def begin(self) -> None:
        """Report the age, and start the thread if there is to be one."""
        policy_meter(self.options.meter_provider).follow(self)
        self.ensure()

    def renew(self) -> None:
        """Leave the parent's locks behind, and its thread, which does not exist here."""
        self.looking, self.starting, self.looker = threading.Lock(), threading.RLock(), None
        self.stopping, self.thread = threading.Event(), None

    def age(self) -> tuple[str, float]:
        """Return the policy's name, and the seconds since its files were last seen to be it."""
        return self.in_force.policy.bundle.name, self.in_force.age_s

    def ensure(self) -> None:
        """Start the thread if there is to be one and it is not alive."""
        if self.options.interval_s is None or self.closed:
            return
        if self.thread is None or not self.thread.is_alive():
            self.start(self.options.interval_s)

    def start(self, interval_s: float) -> None:
        """Start the thread, unless another caller has."""
        with self.starting:
            if self.closed or (self.thread is not None and self.thread.is_alive()):
                return
            thread = threading.Thread(
                target=follow,
                args=(weakref.ref(self), self.stopping, interval_s),
                name="modelrouter-reload",
                daemon=True,
            )
            weakref.finalize(self, self.stopping.set).atexit = False
            try:
                thread.start()
            except RuntimeError:  # no thread to be had: a call must not fail for it
                LOG.error("no thread to follow a policy with")  # noqa: TRY400
                return
            self.thread = thread

    def close(self) -> None:
        """Stop the thread. The policy stays in force, and grows stale.

        A gate of the application may take long: what it judges does not come into force then.
        """
        with self.starting:
            self.closed = True
            self.stopping.set()
        policy_meter(self.options.meter_provider).leave(self)
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join(CLOSING_S)

    def look(self, *, anew: bool) -> None:
        """Look at the files once, and put them in force if they changed and may be.

        Args:
            anew: Judge a set that was refused before once more.

        Raises:
            ConfigurationError: A gate asks for a look while it judges one.
        """
        if self.looker == threading.get_ident():
            raise ConfigurationError("a gate cannot reload the policy that it judges")
        with self.looking:
            self.looker = threading.get_ident()
            try:
                self.compare(anew=anew)
            finally:
                self.looker = None

    def compare(self, *, anew: bool) -> None:
        """Compare what lies there with what is in force, and judge it if it is another set."""
        at, at_s = self.clock.now(), self.clock.monotonic()
        sight = look_at(self.path, self.files)
        if sight.content == self.equal:
            self.verified(at, at_s)
        elif anew or (sight.content, at.date()) != self.judged:
            self.judge()
        else:
            self.note(checked_at=at)

    def judge(self) -> None:
        """Load what lies there, and put it in force or note why not."""
        settle_s = self.options.settle_s
        last = self.in_force.policy.bundle
        reading = read_policy(self.path, self.files, self.clock, settle_s=settle_s, last=last)
        if reading is None:
            self.judged = None
            self.note(checked_at=self.clock.now(), rejected=(unsteady(self.path),))
            return
        self.files = reading.files
        bundle, today = reading.found.bundle, reading.at.date()
        problems = errors_of(reading.found)
        if bundle is None or bundle.digest != last.digest:
            policy = None
            if bundle is not None and not problems:
                policy, problems = self.buildable(bundle, today)
            if policy is None:
                self.refuse(reading, problems)
            else:
                self.accept(policy, reading)
            return
        # The same policy with other comments or layout: only the places of its clauses moved.
        moved = LoadedPolicy(bundle=bundle, targets=self.in_force.policy.targets)
        known = self.in_force.known
        lasting = tuple(part for part in known.warnings if part.code == "MR704")
        self.put(moved, reading, replace(known, warnings=self.warned(reading, lasting)))

    def put(self, policy: LoadedPolicy, reading: Reading, known: Known) -> bool:
        """Put a policy in force, unless this is a thread that was stopped meanwhile."""
        with self.starting:
            if self.stopping.is_set() and threading.current_thread() is self.thread:
                return False
            self.in_force.put(policy, known)
        self.equal = reading.sight.content
        self.verified(reading.at, reading.at_s)
        return True

    def buildable(
        self, bundle: Bundle, today: datetime.date
    ) -> tuple[LoadedPolicy | None, tuple[Problem, ...]]:
        """Return the policy ready for calls, or why it may not come into force."""
        built: list[LoadedPolicy] = []

        def can_be_built(bundle: Bundle, today: datetime.date) -> tuple[Problem, ...]:
            try:
                check_stale_level(self.options, bundle)
                policy = LoadedPolicy(bundle=bundle, targets=self.build(bundle))
            except ModelRouterError as error:
                return refusal_of(bundle, error)
            policy.engine(today)  # compiled before it is in force: no call waits for it
            built.append(policy)
            return ()

        tests = (tests_pass,) if self.options.run_tests else ()
        problems = gated(bundle, today, (lint_is_clean, *tests, can_be_built, *self.options.gates))
        return (None, problems) if problems else (built[0], ())

    def verified(self, at: datetime.datetime, at_s: float) -> None:
        """Note that the files are the policy in force."""
        self.judged, self.told = None, False
        known = self.in_force.known
        self.in_force.known = replace(known, checked_at=at, fresh_at=at, fresh_s=at_s, rejected=())

    def note(
        self, *, checked_at: datetime.datetime, rejected: tuple[Problem, ...] | None = None
    ) -> None:
        """Note a look that found other files than those in force."""
        known = self.in_force.known
        problems = known.rejected if rejected is None else rejected
        self.in_force.known = replace(known, checked_at=checked_at, rejected=problems)
        if self.in_force.stale and not self.told:
            self.told = True
            LOG.error("policy `%s` is stale", self.in_force.policy.bundle.name)

    def accept(self, policy: LoadedPolicy, reading: Reading) -> None:
        """Put a policy in force."""
        known = self.in_force.known
        now, count = self.clock.now(), known.reloads + 1
        anew = counted_anew(self.in_force.policy.bundle, policy.bundle)
        fresh = replace(known, loaded_at=now, reloads=count, fresh_at=reading.at)
        fresh = replace(fresh, fresh_s=reading.at_s, warnings=self.warned(reading, anew))
        if not self.put(policy, reading, fresh):
            return
        bundle = policy.bundle
        policy_meter(self.options.meter_provider).count("loaded", bundle.name)
        LOG.info("policy `%s` is in force: digest %s", bundle.name, bundle.digest)

    def warned(self, reading: Reading, more: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """Return the warnings of a policy that comes into force, and log those that are new."""
        warnings = (*more, *reading.warnings)
        if set(warnings) - set(self.in_force.known.warnings):
            name = self.in_force.policy.bundle.name
            LOG.warning("policy `%s` comes into force with warnings: %s", name, places_of(warnings))
        return warnings

    def refuse(self, reading: Reading, problems: tuple[Problem, ...]) -> None:
        """Note why a set does not come into force; what is in force stays."""
        self.judged = (reading.sight.content, reading.at.date())
        self.note(checked_at=reading.at, rejected=problems)
        bundle = self.in_force.policy.bundle
        policy_meter(self.options.meter_provider).count("rejected", bundle.name)
        LOG.error(
            "changed files of policy `%s` are rejected, digest %s stays in force: %s",
            bundle.name,
            bundle.digest,
            places_of(problems),
        )

    def look_quietly(self) -> bool:
        """Look once; return whether nothing unforeseen happened."""
        try:
            self.look(anew=False)
        except Exception as error:  # noqa: BLE001 - the thread must live; staleness tells of it
            # Not LOG.exception: a traceback could show what stands in a file.
            LOG.error("looking at a policy failed: %s", type(error).__name__)  # noqa: TRY400
            return False
        return True


def places_of(problems: tuple[Problem, ...]) -> str:
    """Return places and codes alone: a message can quote what stands in a file."""
    shown = [f"{part.file}:{part.line}:{part.column} {part.code}" for part in problems]
    more = f" and {len(shown) - PLACES_LOGGED} more" if len(shown) > PLACES_LOGGED else ""
    return ", ".join(shown[:PLACES_LOGGED]) + more


def follow(follower: weakref.ref[Follower], stopping: threading.Event, interval_s: float) -> None:
    """Look again and again until the follower is closed or gone; failures make it wait longer."""
    failures = 0
    while not stopping.wait(min(interval_s * 2**failures, max(interval_s, LONGEST_PAUSE_S))):
        followed = follower()
        if followed is None:
            return
        failures = 0 if followed.look_quietly() else min(failures + 1, 16)
        del followed
