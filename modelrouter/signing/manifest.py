"""The manifest: what a bundle says of itself, in one spelling only."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import Field, StrictInt, StrictStr, StringConstraints, ValidationError

from modelrouter.errors import BundleRefused
from modelrouter.policy.shapes import Shape

__all__ = [
    "FORMAT",
    "LARGEST_MANIFEST",
    "LARGEST_SERIAL",
    "FileEntry",
    "Manifest",
    "digest",
    "encoded",
    "fitting_name",
    "read_manifest",
    "stamp",
]

FORMAT: Final = 1
LARGEST_MANIFEST: Final = 262_144
LARGEST_FILE: Final = 1_048_576
"""Bytes; the loader reads no larger document."""
MOST_FILES: Final = 256
LONGEST: Final = 90
LARGEST_SERIAL: Final = 2**53 - 1
"""The largest whole number that every JSON reader understands alike."""
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")

Sha256 = Annotated[StrictStr, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Stamp = Annotated[
    StrictStr, StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}Z$")
]


class FileEntry(Shape):
    """One file of a bundle."""

    name: StrictStr
    sha256: Sha256
    size: Annotated[StrictInt, Field(ge=0, le=LARGEST_FILE)]


class Manifest(Shape):
    """What is signed: everything a bundle holds, and which release of which policy it is.

    Attributes:
        created: When it was made, in UTC; said by who made it, and not compared with anything.
        digest: The policy's own digest.
        files: Every file by name.
        main: The policy document among them.
        policy: The policy's name.
        serial: Number of the release; a later one has a larger one.
        version: The policy's version, for people.
    """

    created: Stamp
    digest: Sha256
    files: Annotated[tuple[FileEntry, ...], Field(min_length=1, max_length=MOST_FILES)]
    format: Literal[1]
    main: StrictStr
    policy: Annotated[StrictStr, StringConstraints(max_length=2000)]
    serial: Annotated[StrictInt, Field(ge=1, le=LARGEST_SERIAL)]
    version: Annotated[StrictStr, StringConstraints(max_length=100)]


def digest(content: bytes) -> str:
    """Return SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def stamp(moment: datetime.datetime) -> str:
    """Return a moment as manifests write it: to the second, in UTC."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encoded(manifest: Manifest) -> bytes:
    """Return the one spelling of a manifest."""
    plain = manifest.model_dump(mode="json")
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"


def read_manifest(content: bytes) -> Manifest:
    """Return the manifest that `content` spells.

    Raises:
        BundleRefused: It is anything but what `encoded` returns for a manifest that makes sense.
    """
    try:
        manifest = (
            Manifest.model_validate_json(content) if len(content) <= LARGEST_MANIFEST else None
        )
    except (ValidationError, RecursionError):
        manifest = None
    # The same bytes again: no key twice, no other order, no other spelling of a value.
    if manifest is None or encoded(manifest) != content:
        raise BundleRefused("the manifest is not in the form of this format")
    names = [part.name for part in manifest.files]
    problem = problem_of(names)
    if problem is None and manifest.main not in names:
        problem = "the manifest names a policy document that is not in the bundle"
    if problem is not None:
        raise BundleRefused(problem)
    return manifest


def problem_of(names: list[str]) -> str | None:
    """Return what is wrong with the names of files, or None."""
    folded: Mapping[str, str] = {name.casefold(): name for name in names}
    if not all(fitting_name(name) for name in names):
        return "the name of a file in the bundle is not allowed"
    if names != sorted(names) or len(folded) < len(names):
        return "the files of the bundle are out of order, or one stands in it twice"
    folders = {str(above) for name in folded for above in PurePosixPath(name).parents}
    if folders & folded.keys():
        return "the bundle holds a file and a folder of the same name"
    return None


def fitting_name(name: str) -> bool:
    """Whether a name is the same everywhere: relative, plain ASCII, nothing hidden, no `..`."""
    return len(name) <= LONGEST and NAME.fullmatch(name) is not None
