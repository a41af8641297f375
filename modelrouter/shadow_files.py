"""The policy that stands under `shadow:` of another one, read when the other is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelrouter.folders import is_folder, is_there
from modelrouter.policy.findings import Findings, shortened
from modelrouter.yamlsource import Source

if TYPE_CHECKING:
    from modelrouter.loader import Inspection
    from modelrouter.policy.bundle import Bundle

__all__ = ["shadow_of"]

FROM_THE_FILE = "give a path from the policy's own file, such as `../next`"


def shadow_of(
    name: str | None,
    source: Source,
    folder: Path | None,
    findings: Findings,
    inspect: Callable[[Path], Inspection],
) -> Bundle | None:
    """Return the shadow that a policy names, or None after noting why there is none.

    Args:
        name: Path of the shadow from the file of the policy; None names none.
        source: The document of the policy.
        folder: Where the document lies, or None if it has no file.
        findings: Takes what is wrong.
        inspect: Reads a policy without following the shadow that it names itself.
    """
    if name is None:
        return None
    path = None if folder is None or Path(name).is_absolute() else folder / name
    if path is None:
        found, message, hint = None, "is no path from the policy's file", FROM_THE_FILE
    elif not is_there(path):
        found, message, hint = None, "does not exist", f"looked in {folder}"
    elif leads_to(path, source):
        found, message, hint = None, "is the policy itself", "name the policy to be tried"
    else:
        found, message, hint = read(path, source, inspect)
    if found is None:
        text = f"shadow `{shortened(name)}` {message}"
        findings.add(source, ("shadow",), "MR020", text, hint=hint)
    return found


def read(
    path: Path, source: Source, inspect: Callable[[Path], Inspection]
) -> tuple[Bundle | None, str, str]:
    """Return the shadow at `path`, or None, what is wrong with it, and what to do."""
    found = inspect(path)
    if found.bundle is None:
        errors = (part for part in found.problems if part.severity == "error")
        first = next((f": {str(part).splitlines()[0]}" for part in errors), "")
        return None, f"does not load{first}", f"see `modelrouter check {path}`"
    back = found.bundle.policy.shadow
    start = path if is_folder(path) else path.parent
    if back is not None and leads_to(start / back, source):
        return None, "has this policy as its shadow", "leave `shadow` out of one of the two"
    return found.bundle, "", ""


def leads_to(path: Path, source: Source) -> bool:
    """Whether a path is a policy's own file, or its folder."""
    try:
        file = Path(source.file).resolve()
        return path.resolve() in {file, file.parent}
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is too long
        return False
