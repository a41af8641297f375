"""Regions for people: few boxes, each as wide as it can be, and each as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.comparison.effort import Effort
from modelrouter.comparison.joint import LABELLED, UNLABELLED, Joint, carries_of, stand_in_of
from modelrouter.labels import Label
from modelrouter.proof.coherence import NO, UNKNOWN, YES
from modelrouter.proof.examples import described
from modelrouter.proof.space import TooHardError

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.proof.space import Region, Space

__all__ = [
    "BOXES_SHOWN",
    "Cover",
    "box_text",
    "cover",
    "known_labels",
    "unlabelled_box",
    "unlabelled_calls",
]

BOXES_SHOWN = 8
SURE = 1 << NO | 1 << YES


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A region as boxes that may overlap.

    Attributes:
        boxes: The widest ones.
        more: How many smaller ones are left out.
    """

    boxes: tuple[int, ...]
    more: int


def cover(
    effort: Effort, region: Region, *, outside: Region = (), most: int = BOXES_SHOWN
) -> Cover:
    """Return few boxes that together are a region; none can be wider.

    Args:
        effort: Does the work.
        region: The region.
        outside: Calls that nobody asks about: a box may reach into them.
        most: Boxes to return.
    """
    space = effort.space
    sure = known_labels(space)
    left = tuple(box for box in region if space.possible(box))
    found: list[int] = []
    while left and len(found) < most:
        seed = max(left, key=lambda box: (space.possible(box & sure), box.bit_count(), -box))
        try:
            found.append(widest(effort, seed, region, outside))
            left = effort.less(left, (found[-1],))
        except TooHardError:  # as good as it gets: still exact, only more boxes than needed
            found += [box for box in left if box not in found]
            return Cover(boxes=tuple(found[:most]), more=max(0, len(found) - most))
    kept = found if left else needed(effort, found, outside)
    return Cover(boxes=tuple(kept), more=len(left))


def widest(effort: Effort, box: int, region: Region, outside: Region) -> int:
    """Return a box of a region that is as wide as it can be: first whole fields, then values.

    A whole field may be opened into what nobody asks about, a value only where it adds calls of
    the region: "employee or missing" would be no help where a missing fact is refused anyway.
    """
    space, within = effort.space, (*region, *outside)
    fields = [*reversed(space.table.fields)]
    for field in fields:
        wider = box | field.mask
        if wider != box and effort.covers(within, wider):
            box = wider
    for field in fields:
        for place in range(len(field.atoms)):
            bit = 1 << field.offset + place
            added = box & ~field.mask | bit
            if box & bit or not any(space.possible(added & part) for part in region):
                continue
            if effort.covers(within, box | bit):
                box |= bit
    return box


def needed(effort: Effort, boxes: Sequence[int], outside: Region) -> Sequence[int]:
    """Return boxes without those that the others hold together."""
    kept = [*boxes]
    for box in sorted(boxes, key=int.bit_count):
        others = [other for other in kept if other != box]
        try:
            if len(kept) > 1 and effort.covers([*others, *outside], box):
                kept = others
        except TooHardError:
            return kept
    return kept


def known_labels(space: Space) -> int:
    """Return the box of the calls of whose label everything is known."""
    box = space.everything
    for name in space.coherence.categories:
        box &= space.only(f"category:{name}", SURE)
    return box & space.only("label", 1 << LABELLED) if "label" in space.table.by_name else box


def unlabelled_box(joint: Joint, bundle: Bundle) -> int | None:
    """Return a box that holds just the calls nobody labelled, and like ones; None if none does.

    A call that nobody labelled is like one whose detectors all failed: it has the highest
    level, and every category is unknown unless its task carries it.
    """
    space = joint.space
    if joint.stated:
        return space.only("label", 1 << UNLABELLED)
    scheme = bundle.scheme
    if stand_in_of(bundle) in scheme.rank or not scheme.categories:
        return None
    box = space.only("level", 1 << len(scheme.levels) - 1)
    for name in scheme.categories:
        box &= space.only(f"category:{name}", 1 << UNKNOWN | 1 << YES)
    return box


def unlabelled_calls(joint: Joint, bundle: Bundle) -> Region:
    """Return the calls that nobody labelled and no detector spoke of, as a policy reads them."""
    space, scheme, stand_in = joint.space, bundle.scheme, stand_in_of(bundle)
    if joint.stated:
        return (space.only("label", 1 << UNLABELLED),)
    found: list[int] = []
    for place, atom in enumerate(space.table.by_name["task"].atoms):
        carried = Label(level=scheme.lowest, categories=carries_of(bundle, str(atom.value)))
        here = Label(level=stand_in) if stand_in in scheme.rank else scheme.top("")
        label = scheme.join(carried, here)
        box = space.only("task", 1 << place) & space.only("level", 1 << scheme.rank[label.level])
        for name in scheme.categories:
            state = YES if name in label.categories else UNKNOWN if name in label.unknown else NO
            box &= space.only(f"category:{name}", 1 << state)
        found.append(box)
    return tuple(found)


def box_text(joint: Joint, box: int, bundle: Bundle, *, within: Region | None = None) -> str:
    """Return a box as text; what it leaves open is not mentioned.

    Args:
        joint: The space.
        box: The box.
        bundle: The policy that reads its calls.
        within: The calls that are asked about; all by default.
    """
    space, nobody = joint.space, unlabelled_box(joint, bundle)
    if joint.stated:
        return stated_text(space, box)
    text = described(space, box, unknowns=True)
    asked = space.all if within is None else within
    if nobody is None or not any(space.possible(box & nobody & part) for part in asked):
        return text
    if space.possible(box & known_labels(space)):
        return text if text == "every request" else f"{text}; unlabelled too"
    if space.less((box,), (nobody,)):
        return f"{text}; unlabelled among them"
    rest = box
    for field in (space.table.by_name["level"], *space.coherence.categories.values()):
        if field.bits(nobody) & ~field.bits(box) == 0:  # "unlabelled" says as much
            rest |= field.mask
    text = described(space, rest, unknowns=True)
    return "unlabelled" if text == "every request" else f"unlabelled; {text}"


def stated_text(space: Space, box: int) -> str:
    """Return a box of stated labels as text; whether there is a label comes first."""
    label = space.table.by_name["label"]
    text = described(space, box | label.mask, unknowns=True)
    if label.bits(box) == label.mask >> label.offset:
        return text
    word = next(label.texts(box))
    return word if text == "every request" else f"{word}; {text}"
