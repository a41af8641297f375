"""A comparison of two policies as Markdown for a comment on a pull request.

Names come from the policies, which the author of the change writes. Everything that Markdown or
HTML could read in them is written as a character reference, so that a name is only a name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from modelrouter.cli.diff_text import (
    STATED_LABELS,
    change_title,
    field_text,
    grouped,
    less_asked,
    more_text,
    no_request,
    presence_text,
    summary,
)
from modelrouter.proof.proving import request_text

if TYPE_CHECKING:
    from modelrouter.comparison.changes import Change
    from modelrouter.comparison.outcome import Comparison, Difference
    from modelrouter.policy.bundle import Bundle

__all__ = ["markdown_of", "plain"]

SPECIAL = re.compile(r"[^\w\s,;:()/=.+\"'-]|_|:(?!\s|$)|(?<=www)\.", re.IGNORECASE)
MENTION = re.compile(r"&#64;|&#35;|\bGH(?=-\d)")
LONGEST_COMMENT = 60_000
"""Characters; GitHub refuses comments of more than 65,536."""
CUT = "\n\n_The rest does not fit into a comment; see the output of `modelrouter diff`._"


def markdown_of(found: Comparison, old: Bundle, new: Bundle) -> str:
    """Return a comparison as Markdown."""
    versions = [plain(part.policy.metadata.version) for part in (old, new)]
    sections = [
        f"### Policy change: {plain(new.name)} {' → '.join(versions)}",
        f"**{plain(summary(found))}** (on {found.at.isoformat()})",
    ]
    if found.stated_labels and found.differences:
        sections.append(STATED_LABELS)
    if found.not_comparable:
        sections.append(plain(found.not_comparable))
    sections += differing(found.differences)
    for part in found.later:
        sections.append(f"**From {part.day.isoformat()} on**")
        sections += differing(part.differences)
    if found.changes:
        sections.append(details("Changes in the policy", changes_table(found.changes)))
    return joined(sections)


def joined(sections: Iterable[str]) -> str:
    """Return sections as one text, without those that no longer fit."""
    text = ""
    for section in sections:
        longer = f"{text}\n\n{section}" if text else section
        if len(longer) > LONGEST_COMMENT:
            return text + CUT
        text = longer
    return text


def plain(text: str) -> str:
    """Return text in which no character means anything to Markdown or HTML."""
    shown = "".join(
        char if char.isprintable() or char in "\n\r\t" else f"(U+{ord(char):04X})" for char in text
    )
    escaped = SPECIAL.sub(lambda found: f"&#{ord(found.group())};", " ".join(shown.split()))
    # GitHub looks for mentions after it has decoded entities; an empty comment parts them.
    return MENTION.sub(lambda found: f"{found.group()}<!-- -->", escaped)


def differing(differences: Sequence[Difference]) -> Iterator[str]:
    """Yield the tables of what models may receive, and the calls to try."""
    groups = [*grouped(differences)]
    rows: list[tuple[str, str]] = []
    for models, part in groups:
        texts = [extent.text for extent in part.allowed]
        texts += [more_text(part.more_allowed)] if part.more_allowed else []
        texts += [part.not_comparable] if part.not_comparable else []
        rows += [(names(models, part), plain(text)) for text in texts]
    if rows:
        yield "#### Newly allowed"
        yield table(("model", "calls"), rows)
    calls = [*calls_of(groups)]
    if calls:
        yield details("Calls to try with `modelrouter explain`", "\n".join(calls))
    less = [
        (names(models, part), plain(asked), plain(text))
        for models, part in groups
        for asked, texts in less_asked(part)
        for text in texts
    ]
    if less:
        yield "#### Less is asked"
        yield table(("model", "obligation", "calls"), less)
    closed = [
        (names(models, part), plain(text))
        for models, part in groups
        for text in (
            *(extent.text for extent in part.forbidden),
            *[more_text(part.more_forbidden)] * bool(part.more_forbidden),
        )
    ]
    if closed:
        yield details("Newly forbidden", table(("model", "calls"), closed))


def calls_of(groups: Sequence[tuple[Sequence[str], Difference]]) -> Iterator[str]:
    """Yield the calls of the regions that are newly allowed, one block each."""
    for models, part in groups:
        for extent in part.allowed:
            yield f"{names(models, part)}: {plain(extent.text)}\n"
            if extent.request is None:
                yield f"{plain(no_request())}\n"
            else:
                yield f"<pre>{html.escape(request_text(extent.request))}</pre>\n"


def names(models: Sequence[str], part: Difference) -> str:
    """Return models that fare the same."""
    return ", ".join(plain(name) for name in models) + presence_text(part)


def changes_table(changes: Sequence[Change]) -> str:
    """Return the table of what changed in the text of the policies."""
    rows: list[tuple[str, ...]] = []
    for change in changes:
        fields = change.fields if change.section != "tests" else ()
        texts = [plain(field_text(part)) for part in fields]
        texts += [f"**wider: {plain(change.wider)}**"] if change.wider else []
        rows.append((plain(change_title(change)), "<br>".join(texts)))
    return table(("part", "old -> new"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def details(title: str, body: str) -> str:
    """Return a part that is folded."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
