"""The container: a POSIX tar file of which every byte is determined by names and contents.

A header is never interpreted. It is rebuilt from the name and the size that it states, and
has to be the same 512 bytes: links, devices, modes, times, owners, long names and extended
headers cannot be expressed. Nothing is compressed, so nothing expands.

Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from modelrouter.errors import BundleRefused

__all__ = ["LARGEST", "LONGEST_NAME", "joined", "members"]

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a whole file."""
LONGEST_NAME: Final = 100
"""Bytes of a member's name, including its folder."""
BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
SIZE_AT: Final = slice(124, 135)
OCTAL: Final = re.compile(rb"[0-7]{11}")


def joined(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the archive of named contents, in the order given."""
    pieces: list[bytes] = []
    for name, content in parts:
        pieces += [header(name, len(content)), content, bytes(-len(content) % BLOCK)]
    return b"".join([*pieces, END])


def members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each member, reading no further than was asked for.

    Raises:
        BundleRefused: A byte is not what `joined` would have written.
    """
    at = 0
    while (block := archive[at : at + BLOCK]) != bytes(BLOCK):
        name, size = stated(block)
        content = archive[at + BLOCK : at + BLOCK + size]
        after = at + BLOCK + size + -size % BLOCK
        padding = archive[at + BLOCK + size : after]
        if len(content) < size or len(padding) < -size % BLOCK:
            raise BundleRefused("the bundle is cut off", hint="fetch it again")
        if padding.count(0) != len(padding):
            raise BundleRefused("the bundle holds bytes between its files")
        yield name, content
        at = after
    if archive[at:] != END:
        raise BundleRefused("the bundle does not end where it should", hint="fetch it again")


def stated(block: bytes) -> tuple[str, int]:
    """Return the name and the size that a header states, if it states nothing else."""
    name, size = block[:LONGEST_NAME].partition(b"\0")[0], block[SIZE_AT]
    if name.isascii() and OCTAL.fullmatch(size):
        text = name.decode("ascii")
        if header(text, int(size, 8)) == block:
            return text, int(size, 8)
    raise BundleRefused("not a bundle, or a damaged one", hint="fetch it again")


def header(name: str, size: int) -> bytes:
    """Return the header of a plain file that belongs to nobody and has no date."""
    start = b"".join(
        (
            name.encode("ascii").ljust(LONGEST_NAME, b"\0"),
            b"0000644\0",  # mode
            b"0000000\0" * 2,  # owner and group
            b"%011o\0" % size,
            b"00000000000\0",  # time
        )
    )
    rest = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
    rest = rest.ljust(BLOCK - len(start) - 8, b"\0")
    # The sum is taken with eight blanks in its own place.
    checksum = sum(start) + 8 * ord(" ") + sum(rest)
    return start + b"%06o\0 " % checksum + rest
