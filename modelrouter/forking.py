"""Renews what a forked child must not share with its parent: locks, and calls under way.

A lock that another thread of the parent held at the fork stays locked for ever in the
child, where that thread does not exist.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Renewable", "renew_after_fork"]


class Renewable(Protocol):
    """Something with a lock or with calls under way."""

    def renew(self) -> None:
        """Forget what belongs to the parent process."""
        ...


RENEWABLE: weakref.WeakValueDictionary[int, Renewable] = weakref.WeakValueDictionary()


def renew_after_fork(thing: Renewable) -> None:
    """Have `thing` renewed in every child forked from now on, as long as it lives."""
    RENEWABLE[id(thing)] = thing


def _renew_all() -> None:
    for thing in list(RENEWABLE.values()):
        thing.renew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_all)
