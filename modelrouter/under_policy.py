"""The side of a router that faces its policy: which one is in force, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrouter.errors import ConfigurationError
from modelrouter.in_force import InForce, PolicyStatus
from modelrouter.world import World

if TYPE_CHECKING:
    from typing import Self

    from modelrouter.following import Follower

__all__ = ["UnderPolicy"]


class UnderPolicy:
    """What works by a policy that may be replaced while it works.

    Args:
        worlds: The ports of the synchronous and of the asynchronous API.
    """

    def __init__(self, worlds: tuple[World, World]) -> None:
        self._worlds: tuple[World, World] = worlds
        self._in_force: InForce = worlds[0].in_force
        self._follower: Follower | None = None

    @property
    def policy_digest(self) -> str:
        """Digest of the policy in force."""
        return self._in_force.policy.bundle.digest

    def reload(self) -> PolicyStatus:
        """Look at the policy's files once, and put them in force if they changed and may be.

        A set that was rejected before is judged again.

        Raises:
            ConfigurationError: The router was built from a bundle and has no files.
        """
        if self._follower is None:
            raise ConfigurationError(
                "this router was built from a bundle: there are no files to load again",
                hint="build it with `Router.from_policy(path)`",
            )
        self._follower.look(anew=True)
        return self.policy_status()

    def policy_status(self) -> PolicyStatus:
        """Return which policy is in force and what is known of its files. Looks at none."""
        return self._in_force.status()

    def close(self) -> None:
        """Stop following the policy's files. What is in force stays, and may grow stale."""
        if self._follower is not None:
            self._follower.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _newest_worlds(self) -> tuple[World, World]:
        """Return the ports for calls that are decided from now on.

        The reference in `InForce` is what a reload replaces; this pair only remembers it.
        """
        if self._follower is not None:
            self._follower.ensure()  # a forked child has no thread yet
        worlds, policy = self._worlds, self._in_force.policy
        if worlds[0].policy is not policy:
            worlds = (worlds[0].under(policy), worlds[1].under(policy))
            self._worlds = worlds
        return worlds
