"""What kind a document is, and the document as a value once it is the expected kind."""

from __future__ import annotations

from typing import TypeVar

from modelrouter.policy.findings import Findings, did_you_mean, shortened, validate
from modelrouter.policy.shapes import Shape, is_mapping
from modelrouter.yamlsource import Source

__all__ = ["KINDS", "document_of", "entry_of", "kind_of", "note_wrong_kind"]

KINDS = ("Policy", "Catalog", "PolicyTest", "Properties")
ShapeT = TypeVar("ShapeT", bound=Shape)


def entry_of(source: Source, key: str) -> object:
    """Return the value of a key at the top of a document, or None."""
    return source.data.get(key) if is_mapping(source.data) else None


def kind_of(source: Source) -> str | None:
    """Return the `kind` of a document, or None where it has no known one."""
    kind = entry_of(source, "kind")
    return kind if isinstance(kind, str) and kind in KINDS else None


def document_of(
    source: Source, kind: str, shape: type[ShapeT], findings: Findings
) -> ShapeT | None:
    """Return the validated document of one kind, or None after noting why not."""
    findings.problems.extend(source.problems)
    if any(part.severity == "error" for part in source.problems):
        return None
    if kind_of(source) != kind:
        note_wrong_kind(source, (kind,), findings)
        return None
    return validate(shape, source, findings)


def note_wrong_kind(source: Source, wanted: tuple[str, ...], findings: Findings) -> None:
    """Note a document of an unknown or unexpected kind."""
    kind = entry_of(source, "kind")
    hint: str
    expected = " or ".join(f"`{name}`" for name in wanted)
    if not is_mapping(source.data):
        message, hint = "the document is not a mapping", "begin with `apiVersion:` and `kind:`"
    elif kind is None:
        message, hint = "no `kind`", f"expected {expected}"
    elif not isinstance(kind, str):
        message, hint = "`kind` is not text", f"expected {expected}"
    else:
        message = f"kind `{shortened(kind)}` where {expected} is expected"
        hint = did_you_mean(kind, wanted, listed=False) or "name another file, or change the kind"
    findings.add(source, ("kind",), "MR012", message, hint=hint)
