"""Follows `extends` from a policy to the layers above it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from modelrouter.documents import Reading, Refusal
from modelrouter.folders import is_folder, is_there
from modelrouter.policy.document import Policy
from modelrouter.policy.kinds import document_of, kind_of
from modelrouter.yamlsource import Source

__all__ = ["LAYERS_AT_MOST", "Draft", "lineage"]

LAYERS_AT_MOST = 8
HINT = "name a policy file, or a folder with one, relative to this file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A policy document on the way from the lowest layer up.

    Attributes:
        file: Where it lies, or None for text without a file.
        near: Its folder, relative to that of the lowest layer; "" for that one.
    """

    policy: Policy
    source: Source
    file: Path | None
    near: str

    @property
    def folder(self) -> Path | None:
        """The folder its catalogues and companions lie in."""
        return None if self.file is None else self.file.parent


def lineage(reading: Reading, source: Source, file: Path | None) -> tuple[Draft, ...] | None:
    """Return a policy and the layers above it, from the top down.

    None if a document has no usable form, or `extends` leads nowhere: the names a layer may use
    are then not known, and nothing below it can be checked.
    """
    found: list[Draft] = []
    near = ""
    while True:
        policy = document_of(source, "Policy", Policy, reading.findings)
        if policy is None or not contained(reading, policy, source):
            return None
        found.append(Draft(policy=policy, source=source, file=file, near=near))
        if policy.extends is None:
            return tuple(reversed(found))
        parent = parent_of(reading, policy.extends, found)
        if isinstance(parent, Refusal):
            message = f"the layer above {parent.message}"
            reading.findings.add(source, ("extends",), "MR130", message, hint=parent.hint)
            return None
        folder = Path(policy.extends)
        if file is not None and not is_folder(file.parent / folder):
            folder = folder.parent
        near = posixpath.normpath(posixpath.join(near, folder.as_posix()))
        source, file = parent


def contained(reading: Reading, policy: Policy, source: Source) -> bool:
    """Whether a policy names no other, or may; if not it is noted, and nothing was opened."""
    hint = "a signed bundle holds one policy, and nothing outside of it is read"
    message = "names a policy outside of what was signed"
    if reading.alone and policy.extends is not None:
        reading.findings.add(source, ("extends",), "MR130", f"`extends` {message}", hint=hint)
        return False
    if reading.alone and policy.shadow is not None:
        reading.findings.add(source, ("shadow",), "MR020", f"`shadow` {message}", hint=hint)
        return False
    return True


def parent_of(reading: Reading, extends: str, found: list[Draft]) -> tuple[Source, Path] | Refusal:
    """Return the document that the last of `found` extends, or why there is none."""
    folder = found[-1].folder
    if folder is None:
        hint = "save the text as a file, and load that"
        return Refusal(message="cannot be found from a text without a file", hint=hint)
    path = folder / extends
    if not is_there(path):
        reading.elsewhere.append(path)
        return Refusal(message="does not exist", hint=HINT)
    parent = reading.policy_at(path)
    if isinstance(parent, Refusal):
        return Refusal(message=f"cannot be used: {parent.message}", hint=parent.hint)
    return unfit(*parent, found) or parent


def unfit(source: Source, file: Path, below: list[Draft]) -> Refusal | None:
    """Return why a document that was found cannot stand above others, or None if it can."""
    if not source.readable:
        problem = source.problems[0]
        return Refusal(message=f"cannot be read: {problem.message}", hint=problem.hint)
    broken = any(problem.severity == "error" for problem in source.problems)
    if not broken and kind_of(source) != "Policy":
        return Refusal(message="is no `kind: Policy`", hint=HINT)
    if any(same(file, draft.file) for draft in below):
        hint = "leave `extends` out in the uppermost layer"
        return Refusal(message="is one of those below it: `extends` leads in a circle", hint=hint)
    if len(below) == LAYERS_AT_MOST:
        message = f"is one too many: there are at most {LAYERS_AT_MOST} layers"
        return Refusal(message=message, hint="merge two of them")
    return None


def same(one: Path, two: Path | None) -> bool:
    """Whether two paths lead to one file, through links or not."""
    try:
        return two is not None and one.samefile(two)
    except (OSError, ValueError):  # gone since it was read
        return False
