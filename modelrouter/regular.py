"""Opens files without waiting for anybody: a pipe that nobody writes to has no end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_any", "open_regular"]

# Neither is known everywhere.
FLAGS: int = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes.

    Raises:
        OSError: It cannot be opened, or is a folder, a pipe or a device.
    """
    descriptor = os.open(path, FLAGS)
    try:
        need_regular(os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def need_regular(mode: int) -> None:
    """Refuse what is not a file."""
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file")


def open_any(path: Path) -> BinaryIO:
    """Open a file, a device or a pipe; a pipe that nobody has opened for writing is empty.

    Raises:
        OSError: It cannot be opened, or is a folder.
    """
    descriptor = os.open(path, FLAGS)
    try:
        if os.name != "nt":  # from here on a writer that is there is waited for
            os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise
