"""What stands in a policy folder. A name out of a policy may be anything: too long, a loop."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

__all__ = [
    "FILES_AT_MOST",
    "inside",
    "is_companion",
    "is_folder",
    "is_there",
    "tidied",
    "yaml_files",
]

FILES_AT_MOST = 200
"""A folder with more YAML files than this is no policy folder."""

SUFFIXES = frozenset({".yaml", ".yml"})
COMPANIONS = ("*_test.yaml", "*_test.yml", "properties.yaml", "properties.yml")


def yaml_files(folder: Path) -> tuple[Path, ...]:
    """Return the YAML files of a folder by name.

    Raises:
        OSError: The folder cannot be listed.
    """
    return tuple(sorted(part for part in folder.iterdir() if part.suffix in SUFFIXES))


def is_companion(name: str) -> bool:
    """Whether a file is called like tests or properties, whatever stands in it."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in COMPANIONS)


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; what cannot be looked at is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # no access, a name that is too long, a NUL in it
        return False


def is_there(file: Path) -> bool:
    """Whether there is something to read; what cannot be looked at is not there."""
    try:
        return file.exists()
    except (OSError, ValueError):  # as in `is_folder`
        return False


def inside(folder: Path | None, name: str) -> Path | None:
    """Return the file `name` of a folder, or None if it would lie outside."""
    if folder is None or Path(name).is_absolute():
        return None
    try:
        file = (folder / name).resolve()
        return folder / name if file.is_relative_to(folder.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a loop of links, and as in `is_folder`
        return None


def tidied(path: Path) -> Path:
    """Return a path as people are shown it: without `..` where that is the same place.

    Behind a link it need not be, and need not stay so: what is opened is `path` itself.
    """
    if ".." not in path.parts:
        return path
    shorter = Path(os.path.normpath(path))
    try:
        return shorter if shorter.samefile(path) else path
    except (OSError, ValueError):  # one of the two is not there, or may not be looked at
        return path
