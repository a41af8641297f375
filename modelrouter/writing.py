"""Writes files whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

__all__ = ["target_of", "write_new", "write_out", "write_whole"]


def target_of(path: Path) -> Path:
    """Return what a path leads to through links, whether it is there yet or not.

    Raises:
        OSError: It leads in a circle, or may not be followed.
    """
    try:
        return path.resolve()
    except RuntimeError:  # Python 3.11 and 3.12 say it so
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def write_out(path: Path, content: bytes, *, mode: int = 0o666) -> bool:
    """Write what a command was asked for; a reader sees the old file or the whole new one.

    A link stays a link: the file it leads to is replaced. What is no file (a device, a pipe),
    and the file that standard output goes to, are written into.

    Returns:
        Whether a file was replaced or created.

    Raises:
        OSError: It cannot be written.
    """
    stream = standard_stream(path)
    if stream is not None:
        sys.stdout.flush()
        with os.fdopen(os.dup(stream), "wb") as own:
            own.write(content)
    elif path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        write_whole(target_of(path), content, mode=mode, writer=f".{os.getpid()}")
        return True
    return False


def standard_stream(path: Path) -> int | None:
    """Return the descriptor of standard output or error that a path leads to, or None."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except (OSError, ValueError):  # closed, or nothing there
            continue
    return None


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
    except BaseException:  # also Ctrl-C: half a file would be taken for a whole one
        path.unlink()
        raise


def write_whole(path: Path, content: bytes, *, mode: int, writer: str = "") -> None:
    """Replace a file, or create it. After a crash the old content is there, or the new one.

    The new content is first written beside the file as `.NAME.new`; what a crash left there
    is dropped.

    Args:
        path: The file, not a link to it.
        content: What it is to hold.
        mode: Its access rights.
        writer: Distinguishes writers that no lock keeps apart.

    Raises:
        OSError: It cannot be written; the old content is still there.
    """
    beside = path.with_name(f".{path.name}{writer}.new")
    beside.unlink(missing_ok=True)
    write_new(beside, content, mode=mode)
    beside.replace(path)
    if os.name != "nt":  # there, folders cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
