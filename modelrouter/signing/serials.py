"""The highest serial that was ever accepted: time for bundles runs one way.

A serial lower than the highest is a rollback; the same serial with another policy means that
two releases carry one number. Both are refused.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StrictInt, StrictStr, ValidationError

from modelrouter.errors import BundleRefused, ConfigurationError
from modelrouter.forking import renew_after_fork
from modelrouter.policy.shapes import Shape
from modelrouter.regular import open_regular
from modelrouter.signing.manifest import LARGEST_SERIAL, Manifest
from modelrouter.writing import target_of, write_whole

__all__ = ["Accepted", "ProcessSerials", "accept_in_file", "process_serials"]

LARGEST_RECORD: Final = 16_384


class Accepted(Shape):
    """The release of a policy that was accepted last."""

    policy: Annotated[StrictStr, Field(max_length=2000)]
    serial: Annotated[StrictInt, Field(ge=1, le=LARGEST_SERIAL)]
    digest: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]


def accepted(manifest: Manifest) -> Accepted:
    """Return what is remembered of a release."""
    return Accepted(policy=manifest.policy, serial=manifest.serial, digest=manifest.digest)


def compare(new: Accepted, old: Accepted | None) -> None:
    """Refuse a release that does not follow the one accepted last."""
    if old is None:
        return
    if new.policy != old.policy:
        raise BundleRefused(
            "the serial file belongs to another policy", hint="each policy has its own"
        )
    if new.serial < old.serial:
        raise BundleRefused(
            f"the bundle has serial {new.serial}, and {old.serial} was accepted before",
            hint="to go back, sign the older policy again with a larger serial",
        )
    if new.serial == old.serial and new.digest != old.digest:
        raise BundleRefused(
            f"another policy was accepted with the same serial {new.serial}",
            hint="every release has a serial of its own",
        )


def accept_in_file(path: str | os.PathLike[str], manifest: Manifest) -> None:
    """Record a release in a file that any number of processes share.

    Raises:
        BundleRefused: It does not follow the one recorded, or the file is damaged.
        ConfigurationError: The file cannot be read or written. Nothing is accepted then.
    """
    new = accepted(manifest)
    try:
        # Behind a link: replaced and locked is the one file that every path leads to.
        file = target_of(Path(path))
        with locked(file.with_name(f"{file.name}.lock")):
            old = recorded(file)
            compare(new, old)
            if new != old:
                write_whole(file, new.model_dump_json().encode() + b"\n", mode=0o600)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        message = f"the serial file `{os.fspath(path)}` cannot be used: {reason}"
        raise ConfigurationError(message) from None


def recorded(file: Path) -> Accepted | None:
    """Return what a serial file holds; None before the first release."""
    try:
        with open_regular(file) as stream:
            content = stream.read(LARGEST_RECORD)
    except FileNotFoundError:
        return None
    try:
        return Accepted.model_validate_json(content)
    except ValidationError:  # fail closed: a file that cannot be read may have said more
        raise BundleRefused(
            f"the serial file `{file}` is damaged",
            hint="write back what it held; without it any earlier release would be accepted",
        ) from None


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Keep every other process and thread out, as long as the block runs.

    The lock is on a file of its own: the serial file is replaced, and a lock would stay with
    the old one. The system lets go of it when a process dies.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        hold(descriptor)
        yield
    finally:
        let_go(descriptor)


if sys.platform == "win32":
    import msvcrt

    def hold(descriptor: int) -> None:
        """Wait for the lock, up to ten seconds."""
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def let_go(descriptor: int) -> None:
        """Give the lock back; closing a file gives its locks back."""
        os.close(descriptor)

else:
    import fcntl

    def hold(descriptor: int) -> None:
        """Wait for the lock."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def let_go(descriptor: int) -> None:
        """Give the lock back, also where a forked child holds the same open file."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class ProcessSerials:
    """What this process accepted, for those who name no serial file.

    Attributes:
        latest: The release accepted last by trusted key and policy.
        locks: One lock; a new one in a forked child.
    """

    latest: dict[tuple[str, str], Accepted] = field(default_factory=dict[tuple[str, str], Accepted])
    locks: list[threading.Lock] = field(default_factory=lambda: [threading.Lock()])

    def accept(self, manifest: Manifest, trusted: Iterable[str]) -> None:
        """Remember a release under every key that was trusted with it.

        Raises:
            BundleRefused: It does not follow one accepted before under one of the keys.
        """
        new = accepted(manifest)
        places = [(name, new.policy) for name in trusted]
        with self.locks[0]:
            for place in places:
                compare(new, self.latest.get(place))
            self.latest.update(dict.fromkeys(places, new))

    def renew(self) -> None:
        """Forget a lock that a thread of the parent process may hold."""
        self.locks[0] = threading.Lock()


@functools.cache
def process_serials() -> ProcessSerials:
    """Return the memory of this process: two routers of one process see the same releases."""
    found = ProcessSerials()
    renew_after_fork(found)
    return found
