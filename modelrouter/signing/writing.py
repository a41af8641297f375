"""Writes files whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_new", "write_whole"]


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that must not exist yet, with its access rights from the first byte on.

    Raises:
        FileExistsError: There is something of this name, also a link that leads nowhere.
        OSError: It cannot be written; nothing is left of it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        path.unlink()
        raise


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file, or create it. After a crash the old content is there, or the new one.

    The new content is first written beside the file as `.NAME.new`; what a crash left there
    is dropped.

    Raises:
        OSError: It cannot be written; the old content is still there.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    write_new(beside, content, mode=mode)
    beside.replace(path)
    if os.name != "nt":  # there, folders cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
