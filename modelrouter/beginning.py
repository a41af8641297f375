"""The policy a router begins with, and how its files are followed from there."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelrouter.accepting import errors_of, gated
from modelrouter.errors import ConfigurationError, PolicyError
from modelrouter.following import Build, Follower
from modelrouter.in_force import InForce
from modelrouter.reloading import Reload, check_stale_level
from modelrouter.watching import Reading, look_at, read_policy, unsteady
from modelrouter.world import Clock

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["Beginning", "first_reading"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The policy a router begins with, and where it was read.

    Attributes:
        path: Where its files are read again; absolute, as the process may change its folder.
    """

    path: Path
    bundle: Bundle
    reading: Reading

    def follow(self, options: Reload | None, in_force: InForce, build: Build) -> Follower:
        """Return what follows the files from here on, with its thread at work.

        Raises:
            ConfigurationError: The options name a level the policy does not have.
        """
        chosen = Reload(interval_s=None) if options is None else options
        check_stale_level(chosen, self.bundle)
        reading = self.reading
        in_force.max_stale_s, in_force.stale_deny_from = chosen.max_stale_s, chosen.stale_deny_from
        in_force.known = replace(
            in_force.known, checked_at=reading.at, fresh_at=reading.at, fresh_s=reading.at_s
        )
        follower = Follower(
            path=self.path,
            options=chosen,
            in_force=in_force,
            build=build,
            clock=in_force.clock,
            files=reading.files,
            equal=reading.sight.content,
        )
        if options is not None:
            follower.begin()
        return follower


def first_reading(path: str, options: Reload | None, clock: Clock) -> Beginning:
    """Return the policy a router begins with; one that follows its files begins with a good one.

    Raises:
        PolicyError: It does not load, or one of the gates refuses it.
        ConfigurationError: `options` is something else.
    """
    if options is not None and not hasattr(options, "every_gate"):
        raise ConfigurationError(
            f"`reload` is a {type(options).__name__}", hint="pass `modelrouter.Reload(…)`"
        )
    # Absolute where it is read again later: the process may have changed its folder by then.
    # Problems of a policy that is not followed name the path as it was given.
    home = Path(path).absolute()
    place = Path(path) if options is None else home
    # Files that were written long ago stand still already.
    written_at = look_at(place, ()).written_at
    settle_s = 0.0 if options is None else options.settle_s
    moving = abs(time.time() - written_at) < settle_s
    reading = read_policy(place, (), clock, settle_s=settle_s if moving else 0.0)
    if reading is None:
        raise PolicyError([unsteady(place)])
    bundle, problems = reading.found.bundle, errors_of(reading.found)
    if bundle is not None and options is not None:
        problems = problems or gated(bundle, reading.at.date(), options.every_gate)
    if bundle is None or (problems and options is not None):
        raise PolicyError(problems)
    files = tuple(file.absolute() for file in reading.files)
    return Beginning(path=home, bundle=bundle, reading=replace(reading, files=files))
