"""Findings that the owner of a policy accepts: `lint.allow`."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelrouter.engine.model_matching import expired
from modelrouter.errors import Problem
from modelrouter.lint.finding import Found
from modelrouter.policy.document import Accepted

__all__ = ["Sorted", "sort_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """Findings, sorted by whether they are accepted.

    Attributes:
        open: Those that are not.
        accepted: Those that are.
        lapsed: What is to be said of acceptances whose last day has passed.
        stale: What is to be said of acceptances that match nothing.
    """

    open: tuple[Problem, ...]
    accepted: tuple[Problem, ...]
    lapsed: tuple[Found, ...]
    stale: tuple[Found, ...]


def sort_out(
    problems: Sequence[Problem],
    entries: Sequence[Accepted],
    *,
    at: datetime.date,
    undecided: frozenset[str],
) -> Sorted:
    """Sort findings by whether an entry accepts them on a day.

    Args:
        problems: The findings.
        entries: The entries of `lint.allow`.
        at: The day.
        undecided: Codes whose checks gave up: their entries may match what was not found.
    """
    standing = [entry for entry in entries if not expired(entry.until, at)]
    accepted = [part for part in problems if any(matches(entry, part) for entry in standing)]
    return Sorted(
        open=tuple(part for part in problems if part not in accepted),
        accepted=tuple(accepted),
        lapsed=tuple(lapsed(problems, entries, at)),
        stale=tuple(stale(problems, entries, undecided)),
    )


def matches(entry: Accepted, problem: Problem) -> bool:
    """Whether an entry speaks of a finding."""
    return problem.code == entry.code and entry.about in {None, problem.about}


def lapsed(
    problems: Sequence[Problem], entries: Sequence[Accepted], at: datetime.date
) -> Iterator[Found]:
    """Yield what is to be said of acceptances whose last day has passed (MR503)."""
    for place, entry in enumerate(entries):
        if entry.until is None or not expired(entry.until, at):
            continue
        if any(matches(entry, part) for part in problems):
            yield Found(
                part=("lint", str(place)),
                at=("until",),
                about=entry.code,
                message=f"the acceptance of {named(entry)} lapsed on {entry.until.isoformat()}",
                hint="mend the finding, or accept it anew with a later `until`",
            )


def stale(
    problems: Sequence[Problem], entries: Sequence[Accepted], undecided: frozenset[str]
) -> Iterator[Found]:
    """Yield what is to be said of acceptances that match nothing (MR504)."""
    for place, entry in enumerate(entries):
        if entry.code in undecided or any(matches(entry, part) for part in problems):
            continue
        known = ", ".join(
            sorted({f"`{part.about}`" for part in problems if part.code == entry.code})
        )
        yield Found(
            part=("lint", str(place)),
            at=("code",) if entry.about is None else ("about",),
            about=entry.code,
            message=f"the acceptance of {named(entry)} matches no finding",
            hint=f"{entry.code} is found about {known}" if known else "remove the entry",
        )


def named(entry: Accepted) -> str:
    """Return the code of an entry with what it is about."""
    return entry.code if entry.about is None else f"{entry.code} about `{entry.about}`"
