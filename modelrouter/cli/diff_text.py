"""A comparison of two policies for people, and the sentences that its other forms share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrouter.cli.common import counted
from modelrouter.proof.proving import request_text

if TYPE_CHECKING:
    import datetime

    from modelrouter.comparison.changes import Change, FieldChange
    from modelrouter.comparison.outcome import Comparison, Difference, Extent, Less
    from modelrouter.values import Json

__all__ = [
    "STATED_LABELS",
    "change_title",
    "field_text",
    "grouped",
    "less_asked",
    "lines_of",
    "more_text",
    "no_request",
    "presence_text",
    "summary",
]

STATED_LABELS = (
    "The policies close labels differently: regions speak of what a call states, before that."
)
NO_DIFFERENCE = "no difference"
LONGEST_VALUE = 120


def lines_of(found: Comparison, old: str, new: str) -> Iterator[str]:
    """Yield a comparison as lines.

    Args:
        found: The comparison.
        old: The old policy as the user named it.
        new: The new one.
    """
    yield f"{old} -> {new}, on {found.at.isoformat()}"
    yield summary(found)
    if found.stated_labels and found.differences:
        yield STATED_LABELS
    if found.not_comparable:
        yield f"every model: {found.not_comparable}"
    yield from difference_lines(found.differences, new)
    for day in found.later:
        yield from difference_lines(day.differences, new, since=day.day)
    if found.changes:
        yield ""
        yield "changes"
    for change in found.changes:
        yield f"  {change_title(change)}"
        yield from (f"    {field_text(part)}" for part in change.fields if worth_showing(change))
        if change.wider:
            yield f"    wider: {change.wider}"


def difference_lines(
    differences: Sequence[Difference], new: str, *, since: datetime.date | None = None
) -> Iterator[str]:
    """Yield what models may receive; `since` says from which day, where it is a later one."""
    for models, part in grouped(differences):
        yield ""
        day = "" if since is None else f", from {since.isoformat()} on"
        yield f"{', '.join(models)}{presence_text(part)}{day}"
        if part.not_comparable:
            yield f"  {part.not_comparable}"
        yield from extent_lines("newly allowed", part.allowed, part.more_allowed, new)
        yield from extent_lines("newly forbidden", part.forbidden, part.more_forbidden, None)
        for asked, texts in less_asked(part):
            yield f"  less asked: {asked}"
            yield from (f"    {text}" for text in texts)


def extent_lines(
    title: str, extents: Sequence[Extent], more: int, new: str | None
) -> Iterator[str]:
    """Yield regions, with a call to try where there is a policy to try it with."""
    if not extents:
        return
    yield f"  {title}:"
    for extent in extents:
        yield f"    {extent.text}"
        if new is not None and extent.request is not None:
            request = shlex.quote(request_text(extent.request))
            yield f"      modelrouter explain {shlex.quote(new)} {request}"
        elif new is not None:
            yield f"      {no_request()}"
    if more:
        yield f"    {more_text(more)}"


def no_request() -> str:
    """Return why a region comes without a call."""
    return "no call to paste: only what a classifier finds, or fails to find, brings it about"


def more_text(number: int) -> str:
    """Return how many regions are left out."""
    return f"and {number} more"


def summary(found: Comparison) -> str:
    """Return what it comes to, in one line."""
    if found.empty:
        return NO_DIFFERENCE
    opened = sum(bool(part.allowed) for part in found.differences)
    closed = sum(bool(part.forbidden) for part in found.differences)
    less = sum(bool(part.less) for part in found.differences)
    unknown = sum(bool(part.not_comparable) for part in found.differences)
    unknown += found.not_comparable is not None
    others = sum(bool(part.wider) for part in found.changes)
    counts = (
        (opened, "model", "may receive more"),
        (less, "model", "with less asked"),
        (others, "other change", "that counts as wider"),
        (unknown, "question", "not comparable"),
        (len(found.later), "later day", "on which it grows"),
        (closed, "model", "may receive less"),
    )
    parts = [f"{counted(number, noun)} {what}" for number, noun, what in counts if number]
    verdict = "exposure grows" if found.wider else "exposure does not grow"
    return f"{verdict}: {'; '.join(parts) or 'the guard and the obligations are the same'}"


def grouped(
    differences: Sequence[Difference],
) -> Iterator[tuple[Sequence[str], Difference]]:
    """Yield differences with all the models that fare the same, those that widen first."""
    models: dict[str, list[str]] = {}
    first: dict[str, Difference] = {}
    for part in sorted(differences, key=lambda part: (not part.wider, part.model)):
        key = repr(replace(part, model=""))
        models.setdefault(key, []).append(part.model)
        first.setdefault(key, part)
    for key, part in first.items():
        yield models[key], part


def presence_text(part: Difference) -> str:
    """Return whether only one of the policies knows a model."""
    return {"both": "", "added": " (added)", "removed": " (removed)"}[part.presence]


def less_asked(part: Difference) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield what is no longer asked for, with the calls; what concerns the same calls as one."""
    found: dict[tuple[str, ...], list[str]] = {}
    for less in part.less:
        texts = (*less.texts, more_text(less.more)) if less.more else less.texts
        found.setdefault(texts, []).append(less_text(less))
    for texts, asked in found.items():
        yield ", ".join(asked), texts


def less_text(less: Less) -> str:
    """Return what was asked and what is asked now."""
    now = "nothing" if less.new is None else less.new
    return f"{less.about} {less.old} -> {now}"


SECTIONS: Mapping[str, str] = {
    "budgets": "budget",
    "categories": "category",
    "facts": "fact",
    "invariants": "invariant",
    "models": "model",
    "objectives": "objective",
    "properties": "property",
    "rules": "rule",
    "sets": "set",
    "tasks": "task",
    "tests": "test",
}


def change_title(change: Change) -> str:
    """Return which part changed and how."""
    noun = SECTIONS.get(change.section, change.section)
    name = f"{noun} {change.id}" if change.id != change.section else noun
    aside = ""
    if change.kind in {"added", "removed"} and change.direction is not None:
        aside = f" ({change.direction})"
    return f"{name}: {change.kind}{aside}"


def worth_showing(change: Change) -> bool:
    """Whether the fields of a change tell more than its title; those of a test are too many."""
    return change.section != "tests" and change.kind not in {"added", "removed"}


def field_text(part: FieldChange) -> str:
    """Return one field, old to new."""
    return f"{part.name}: {value_text(part.old)} -> {value_text(part.new)}"


def value_text(value: Json) -> str:
    """Return a value of a policy; a long one is cut."""
    if value is None:
        return "(not stated)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
