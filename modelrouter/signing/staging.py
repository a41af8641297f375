"""Loads documents that are at hand as bytes, by the loader that reads folders."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from modelrouter.errors import ConfigurationError, PolicyError, Problem
from modelrouter.loader import inspect
from modelrouter.policy.bundle import Bundle

__all__ = ["load_files"]


def load_files(files: Mapping[str, bytes], *, main: str, shown: str) -> Bundle:
    """Return the policy in `files`. Nothing of it, nor any message, names a temporary folder.

    Args:
        files: Exact bytes by name, which may lie in folders.
        main: Name of the policy document.
        shown: The path that the policy is to have.

    Raises:
        PolicyError: It does not load; places are `NAME:line:column`.
        ConfigurationError: There is no room for temporary files.
    """
    # The folder is readable by this user alone, and gone before the policy is used.
    try:
        with tempfile.TemporaryDirectory(prefix="modelrouter-") as folder:
            for name, content in files.items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            found = inspect(Path(folder, main), alone=True)
    except OSError as error:
        message = f"the bundle cannot be laid out for reading: {error.strerror}"
        hint = f"it needs room in {tempfile.gettempdir()}"
        raise ConfigurationError(message, hint=hint) from None
    problems = tuple(mapped(problem, folder, shown) for problem in found.problems)
    if found.bundle is None:
        raise PolicyError([part for part in problems if part.severity == "error"])
    places = {
        key: dataclasses.replace(place, file=place.file and inner(place.file, folder, shown))
        for key, place in found.bundle.places.items()
    }
    layers = tuple(
        dataclasses.replace(layer, file=inner(layer.file, folder, shown))
        for layer in found.bundle.layers
    )
    positions = found.bundle.positions.renamed(lambda file: inner(file, folder, shown))
    return dataclasses.replace(
        found.bundle,
        path=shown,
        places=places,
        positions=positions,
        problems=problems,
        layers=layers,
    )


def mapped(problem: Problem, folder: str, shown: str) -> Problem:
    """Return a problem that speaks of the bundle."""
    return dataclasses.replace(
        problem,
        file=inner(problem.file, folder, shown),
        message=inner(problem.message, folder, shown),
        hint=problem.hint and inner(problem.hint, folder, shown),
    )


def inner(text: str, folder: str, shown: str) -> str:
    """Return a text in which names of the bundle stand for paths in the folder."""
    return text.replace(folder + os.sep, "").replace(folder, shown)
