"""The days on which something in a policy lapses, and what is told anew on each of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrouter.comparison.outcome import Difference, Extent
from modelrouter.policy.suite import Given

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["days_of_change", "told", "untold"]

DAY = datetime.timedelta(days=1)


def days_of_change(bundles: Iterable[Bundle], *, after: datetime.date) -> list[datetime.date]:
    """Return the days after `after` from which a permit, a model or a fact of one is gone."""
    found = {day for bundle in bundles for day in changing(bundle)}
    return sorted(day for day in found if day > after)


def changing(bundle: Bundle) -> Iterator[datetime.date]:
    """Yield the days from which something in a policy is gone."""
    last = [rule.expires for rule in bundle.policy.rules if rule.effect == "permit"]
    for entry in bundle.models:
        last += [entry.expires, entry.data.expires]
        if entry.retires is not None:
            yield entry.retires
    # What holds on the last day there is never lapses.
    yield from (day + DAY for day in last if day is not None and day < datetime.date.max)


Told = set[tuple[str, str, str | None]]
"""Model, text of a region, and what is less asked there; None: it is newly allowed."""


def told(differences: Iterable[Difference]) -> Told:
    """Return what a comparison tells of growing exposure."""
    found: Told = set()
    for part in differences:
        found |= {(part.model, extent.text, None) for extent in part.allowed}
        found |= {
            (part.model, text, f"{less.about} {less.old} {less.new}")
            for less in part.less
            for text in less.texts
        }
        if part.more_allowed or part.not_comparable:
            found.add((part.model, part.not_comparable or "more", None))
    return found


def untold(differences: Iterable[Difference], known: Told, day: datetime.date) -> list[Difference]:
    """Return what of the differences on a day nobody was told for an earlier one."""
    found: list[Difference] = []
    for part in differences:
        if told([part]) <= known:
            continue
        found.append(
            replace(
                part,
                allowed=tuple(on_day(extent, day) for extent in part.allowed),
                forbidden=(),
                more_forbidden=0,
            )
        )
    return found


def on_day(extent: Extent, day: datetime.date) -> Extent:
    """Return a part of a region with its call made on a day."""
    if extent.request is None:
        return extent
    return replace(extent, request=extent.request.model_copy(update={"given": Given(at=day)}))
