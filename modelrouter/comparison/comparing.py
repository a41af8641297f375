"""Compares two policies: what the new one allows that the old one forbids, and what changed.

The guard is compared as regions of calls, exactly, for each model. A call is taken as it is
stated, and each policy closes and reads it by its own rules; `reading` says how names are read
that only one of them has. What cannot be compared exactly counts as wider, and says so.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelrouter.comparison.boxes import box_text, cover, unlabelled_calls
from modelrouter.comparison.effort import Effort
from modelrouter.comparison.guarded import Side, allowed, gained, side_of
from modelrouter.comparison.joint import Joint, joint_space
from modelrouter.comparison.keeping import Steps, kept_by_runtime
from modelrouter.comparison.lapsing import days_of_change, told, untold
from modelrouter.comparison.models import model_changes
from modelrouter.comparison.outcome import (
    Comparison,
    Difference,
    Extent,
    Later,
    Less,
    Presence,
)
from modelrouter.comparison.reading import Reading
from modelrouter.comparison.samples import lets_pass, request_of, sample_of
from modelrouter.comparison.sections import section_changes, word_changes
from modelrouter.comparison.weaker import weaker_regions
from modelrouter.engine.compiled import compile_bundle
from modelrouter.proof.space import TooHardError

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.proof.space import Region

__all__ = ["Pair", "compare", "pair_of", "regions_of"]

TOO_HARD = "not comparable: the regions of this model need too many boxes"
DISAGREES = "not comparable: the engine does not bear the regions out; report this"
DAYS_AT_MOST = 100
TOO_MANY_DAYS = (
    f"not comparable: something lapses on more than {DAYS_AT_MOST} later days; compare with `--at`"
)
RUNTIME_TOO_HARD = "not comparable: the conditions of `runtime` need too many boxes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two policies over one space.

    Attributes:
        joint: The space.
        purse: Bounds the work of all questions together.
        old: The old policy.
        new: The new policy.
    """

    joint: Joint
    purse: Effort
    old: Side
    new: Side

    def effort(self) -> Effort:
        """Return what does the work of one question."""
        return Effort(self.joint.space, purse=self.purse)


def pair_of(old: Bundle, new: Bundle, *, at: datetime.date, joint: Joint | None = None) -> Pair:
    """Return two policies over one space, compiled for a day."""
    joint = joint_space((old, new)) if joint is None else joint
    sides = [
        side_of(Reading(joint=joint, bundle=bundle), compile_bundle(bundle, at))
        for bundle in (old, new)
    ]
    return Pair(joint=joint, purse=Effort.together(joint.space), old=sides[0], new=sides[1])


def compare(old: Bundle, new: Bundle, *, at: datetime.date) -> Comparison:
    """Return what differs between two policies on the day `at`."""
    changes = (*model_changes(old, new), *section_changes(old, new), *word_changes(old, new))
    if old.digest == new.digest:
        return Comparison(at=at, stated_labels=False, differences=(), changes=changes)
    pair = pair_of(old, new, at=at)
    kept: Steps | None = None
    with contextlib.suppress(TooHardError):  # fail closed: `not_comparable` below
        kept = kept_by_runtime(pair.effort(), pair.old, pair.new)
    found = tuple(part for part in differences(pair, kept) if part.differs)
    troubles = [RUNTIME_TOO_HARD] if kept is None else []
    days = days_of_change((old, new), after=at)
    troubles += [TOO_MANY_DAYS] if len(days) > DAYS_AT_MOST else []
    return Comparison(
        at=at,
        stated_labels=pair.joint.stated,
        differences=found,
        changes=changes,
        not_comparable="; ".join(troubles) or None,
        later=tuple(later(pair, kept, found, days[:DAYS_AT_MOST])),
    )


def later(
    pair: Pair, kept: Steps | None, found: Sequence[Difference], days: Sequence[datetime.date]
) -> Iterator[Later]:
    """Yield the days on which exposure grows as it did not on the days before.

    Args:
        pair: The policies.
        kept: What `kept_by_runtime` returns; no day changes it.
        found: What differs on the day of the comparison.
        days: Later days on which something lapses.
    """
    known = told(found)
    old, new = (side.reading.bundle for side in (pair.old, pair.new))
    for day in days:
        then = replace(pair_of(old, new, at=day, joint=pair.joint), purse=pair.purse)
        differing = [part for part in differences(then, kept) if part.wider]
        fresh = untold(differing, known, day)
        if fresh:
            yield Later(day=day, differences=tuple(fresh))
        known |= told(differing)


def differences(pair: Pair, kept: Steps | None) -> Iterator[Difference]:
    """Yield what differs for each model; models of which the same clauses speak fare the same."""
    found: dict[object, Difference] = {}
    for model in sorted({*pair.old.engine.ids, *pair.new.engine.ids}):
        fate = pair.old.signature(model), pair.new.signature(model)
        if fate not in found:
            found[fate] = difference_of(pair, model, kept)
        yield replace(found[fate], model=model)


def difference_of(pair: Pair, model: str, kept: Steps | None) -> Difference:
    """Return what differs for one model."""
    presence: Presence = "both"
    if model not in pair.old.engine.place:
        presence = "added"
    elif model not in pair.new.engine.place:
        presence = "removed"
    try:
        opened, closed = regions_of(pair, model)
        less = less_asked(pair, model, opened, kept) if kept and presence == "both" else ()
    except TooHardError:
        return Difference(model=model, presence=presence, not_comparable=TOO_HARD)
    allowing, sure = extents(pair, opened, (pair.new, pair.old), model)
    forbidding, also = extents(pair, closed, (pair.old, pair.new), model)
    return Difference(
        model=model,
        presence=presence,
        allowed=allowing[0],
        more_allowed=allowing[1],
        forbidden=forbidding[0],
        more_forbidden=forbidding[1],
        less=less,
        not_comparable=None if sure and also else DISAGREES,
    )


def regions_of(pair: Pair, model: str) -> tuple[Region, Region]:
    """Return the calls that are newly allowed for a model, and those newly forbidden.

    Raises:
        TooHardError: The question needs too many boxes.
    """
    old, new = pair.old.standing(model), pair.new.standing(model)
    return gained(pair.effort(), old, new), gained(pair.effort(), new, old)


def less_asked(pair: Pair, model: str, opened: Region, kept: Steps) -> tuple[Less, ...]:
    """Return where less is asked of a model for calls that both policies let it have."""
    standing = pair.new.standing(model)
    if standing is None:
        return ()
    found: list[Less] = []
    for part in weaker_regions(pair.effort(), pair.old, pair.new, model, kept):
        effort = pair.effort()
        region = effort.less(allowed(effort, standing, [part.region]), opened)
        if not region:
            continue
        boxes = cover(pair.effort(), region, outside=pair.new.refused)
        texts = tuple(box_text(pair.joint, box, pair.new.reading.bundle) for box in boxes.boxes)
        found.append(
            Less(about=part.about, old=part.old, new=part.new, texts=texts, more=boxes.more)
        )
    return tuple(found)


def extents(
    pair: Pair, region: Region, sides: tuple[Side, Side], model: str
) -> tuple[tuple[tuple[Extent, ...], int], bool]:
    """Return a region for people, and whether the engine bears it out.

    Args:
        pair: The policies.
        region: Calls that the first policy allows and the second does not.
        sides: The two policies.
        model: The model.
    """
    allowing, other = (side.engine for side in sides)
    joint, boxes = pair.joint, cover(pair.effort(), region, outside=sides[0].refused)
    nobody = unlabelled_calls(joint, allowing.bundle) if region else ()
    found: list[Extent] = []
    sure = True
    for box in boxes.boxes:
        # A call that no other region holds shows best what this one is about.
        others = [other for other in boxes.boxes if other != box]
        read = joint.space.less((box,), sides[0].refused)
        own = joint.space.less(read, others)
        sample = sample_of(joint, (*own, *read), allowing)
        if sample is not None:
            sure &= lets_pass(allowing, sample.request, model)
            sure &= not lets_pass(other, request_of(sample.point, other), model)
        found.append(
            Extent(
                text=box_text(joint, box, allowing.bundle),
                unlabelled=any(joint.space.possible(box & part) for part in nobody),
                request=None if sample is None else sample.asked,
            )
        )
    return (tuple(found), boxes.more), sure
