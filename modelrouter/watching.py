"""Reads a policy as one set of files: what they look like at one moment, before and after."""

from __future__ import annotations

import datetime
import hashlib
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelrouter.errors import Problem
from modelrouter.folders import FILES_AT_MOST, is_folder, yaml_files

if TYPE_CHECKING:
    from modelrouter.loader import Inspection
    from modelrouter.policy.bundle import Bundle
    from modelrouter.world import Clock

__all__ = ["Reading", "Sight", "look_at", "read_policy", "unsteady"]

LOOKS = 5
"""Times a set of files that keeps changing is looked at before it is left for later."""

MAX_BYTES = 1_048_576
"""More than this of one file is no policy; the loader refuses it."""
SWAPPED = "..data"
"""The link that Kubernetes swaps when a mounted ConfigMap changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The files of a policy at one moment.

    Two sights that are equal saw the same bytes in the same files, under the same names, with
    no write between them. Equal `content` alone says that the same bytes were there: a folder
    of links that was swapped for an equal one has other files and the same content.

    Attributes:
        content: SHA-256 over absolute names, the places they lead to, and bytes, in hexadecimal.
        identities: Device, inode, size and times of change of each file and link.
        written_at: When the newest of the files was written, in seconds since the epoch.
    """

    content: str
    identities: tuple[tuple[int, ...], ...]
    written_at: float = 0.0


def look_at(path: Path, files: Iterable[Path]) -> Sight:
    """Return what is there now. Never raises: what cannot be read is part of the sight.

    Links are followed anew every time, so that a link that is swapped shows. Every file is
    looked at, however many there are: what is not looked at cannot be called unchanged.

    Args:
        path: The policy folder or file.
        files: Files and folders the loader read or looked for last time, wherever they lie.
    """
    watched = {path, *files}
    folders = {path if is_folder(path) else path.parent, *filter(is_folder, watched)}
    parts: list[str] = []
    # A link that was swapped and swapped back is another link.
    identities = [link(path)]
    for folder in sorted(folders):
        listed, word = listing(folder)
        parts += [str(folder.absolute()), word, str(len(listed)), *(file.name for file in listed)]
        identities += [link(folder), link(folder / SWAPPED)]
        # The loader reads no folder of more: their number is what counts then.
        watched.update(listed if len(listed) <= FILES_AT_MOST else ())
    newest = 0
    for file in sorted(watched - folders):
        content, identity = read(file)
        # A link to elsewhere may be refused, whatever stands there.
        parts += [str(file.absolute()), place_of(file), hashlib.sha256(content).hexdigest()]
        identities += [identity, link(file)]
        newest = max(newest, *identity[-2:-1], 0)
    # A name holds no NUL, and need not be UTF-8.
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return Sight(
        content=hashlib.sha256(text).hexdigest(),
        identities=tuple(identities),
        written_at=newest / 1e9,
    )


def listing(folder: Path) -> tuple[tuple[Path, ...], str]:
    """Return the YAML files of a folder, and `listed` or the name of why there are none."""
    try:
        return yaml_files(folder), "listed"
    except OSError as error:
        return (), type(error).__name__


def place_of(file: Path) -> str:
    """Return where a path leads through all its links, or nothing if that cannot be said."""
    try:
        return os.path.realpath(file)
    except (OSError, ValueError):
        return ""


def link(file: Path) -> tuple[int, ...]:
    """Return the identity of a link itself, or nothing if there is no such name."""
    try:
        found = file.lstat()
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_ctime_ns


def read(file: Path) -> tuple[bytes, tuple[int, ...]]:
    """Return the bytes of a file with its identity, or the name of why there are none."""
    try:
        if not file.is_file():  # asked first: opening a pipe would wait for its writer
            return b"no file", ()
        with file.open("rb") as stream:
            found = os.fstat(stream.fileno())
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        return type(error).__name__.encode(), ()
    times = (found.st_mtime_ns, found.st_ctime_ns)
    identity = (found.st_dev, found.st_ino, stat.S_IFMT(found.st_mode), found.st_size, *times)
    return b"file" + content, identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A set of files that stood still while it was loaded.

    Attributes:
        found: What came of loading it.
        sight: The files as they were.
        files: The files and folders the loader read or looked for.
        warnings: Why the shadow that the policy names is not the one it was loaded with.
        at: When the sight was taken, at the earliest.
        at_s: The same in monotonic seconds.
    """

    found: Inspection
    sight: Sight
    files: tuple[Path, ...]
    at: datetime.datetime
    at_s: float
    warnings: tuple[Problem, ...] = ()


def read_policy(
    path: Path,
    files: tuple[Path, ...],
    clock: Clock,
    *,
    settle_s: float = 0.0,
    last: Bundle | None = None,
) -> Reading | None:
    """Load the policy at `path` once its files stand still, or return None if they do not.

    The files are looked at before and after: what was loaded is one set, not half of one and
    half of the next.

    Args:
        path: The policy folder or file.
        files: What the loader read or looked for last time.
        clock: The time.
        settle_s: Seconds for which the files must stand still.
        last: The policy in force. If the files' policy is good and its shadow is not, the
            shadow of this one stays. None: the shadow has to be good, too.
    """
    for _ in range(LOOKS):
        first = look_at(path, files)
        if settle_s:
            time.sleep(settle_s)
        at, at_s = clock.now(), clock.monotonic()
        before = look_at(path, files)
        if first != before:
            continue
        found, warnings = inspected(path, at.date(), last)
        files = found.files
        if look_at(path, files) == before:
            return Reading(
                found=found, sight=before, files=files, at=at, at_s=at_s, warnings=warnings
            )
    return None


def inspected(
    path: Path, day: datetime.date, last: Bundle | None
) -> tuple[Inspection, tuple[Problem, ...]]:
    """Load the policy at `path`; return also why its shadow is left as it was, if it is."""
    from modelrouter.loader import inspect  # noqa: PLC0415 - pydantic only when a policy loads

    found = inspect(path, at=day)
    if last is None or found.bundle is not None:
        return found, ()
    alone = inspect(path, at=day, shadows=False)
    if alone.bundle is None:
        return found, ()
    # A shadow never affects a call: a good policy does not wait for it.
    kept = last.shadow if last.policy.shadow == alone.bundle.policy.shadow else None
    warnings = tuple(
        replace(part, severity="warning") for part in found.problems if part.severity == "error"
    )
    return replace(found, bundle=replace(alone.bundle, shadow=kept)), warnings


def unsteady(path: Path) -> Problem:
    """Return the problem of files that changed at every look."""
    return Problem(
        code="MR703",
        file=str(path),
        message="the files changed while they were read",
        hint="replace them in one step: write beside and rename",
    )
