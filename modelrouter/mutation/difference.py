"""Whether two policies ever decide differently, and a request on which they do.

The regions of `profile` find where a difference can be; a request from there is decided by
both policies before it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.comparison.joint import carries_of, stand_in_of
from modelrouter.mutation.profile import Profile, ceilings_of, profile_of
from modelrouter.mutation.witness import Witness, first_witness
from modelrouter.proof.coherence import NO, UNKNOWN, YES
from modelrouter.proof.conditions import known_requests
from modelrouter.proof.examples import asked_at, supplied
from modelrouter.proof.layout import mentions_of, space_of
from modelrouter.proof.space import TooHardError

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.labels import Label
    from modelrouter.policy.suite import AskedRequest
    from modelrouter.proof.space import Space

__all__ = ["Difference", "difference_of"]

BOXES_TRIED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What was found out about two policies.

    Attributes:
        equivalent: Whether they are proved to decide alike on every request.
        witness: A request on which they differ; None if none was found.
    """

    equivalent: bool
    witness: Witness | None = None


def difference_of(before: Engine, after: Engine) -> Difference:
    """Return whether two versions of a policy decide alike, with a request if they do not.

    Both have the same catalogue, labels, tasks and facts, and are compiled for the same day.
    """
    space = space_of(before.bundle, mentions_of([before.bundle, after.bundle]))
    ceilings = ceilings_of((before, after))
    try:
        profiles = profile_of(space, before, ceilings), profile_of(space, after, ceilings)
        boxes = [*differing(space, *profiles)]
        unlabelled = [*differing_unlabelled(space, profiles[0], before, after)]
    except TooHardError:
        return Difference(equivalent=False)
    if not boxes and not unlabelled:
        return Difference(equivalent=True)
    asked = (*requests_in(space, boxes, before), *unlabelled_in(space, unlabelled, before))
    return Difference(equivalent=False, witness=first_witness(asked, before, after))


def differing(space: Space, before: Profile, after: Profile) -> Iterator[int]:
    """Yield boxes in which two policies do something else."""
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key, ()), after.get(key, ())
        if one != other:
            yield from filter(space.possible, space.less(one, other))
            yield from filter(space.possible, space.less(other, one))


def differing_unlabelled(
    space: Space, profile: Profile, before: Engine, after: Engine
) -> Iterator[int]:
    """Yield boxes in which a call nobody labelled meets something else.

    The labels of a box are what else is known of the call: what its task carries, what its
    thread and detectors found. Each policy joins its own stand-in to that.
    """
    stand_ins = [stand_in_of(engine.bundle) for engine in (before, after)]
    if stand_ins[0] == stand_ins[1]:
        return
    for region in profile.values():
        one, other = (
            [joined_into(space, box, stand_in) for box in region] for stand_in in stand_ins
        )
        yield from filter(space.possible, space.less(one, other))
        yield from filter(space.possible, space.less(other, one))


def joined_into(space: Space, box: int, stand_in: str) -> int:
    """Return the box of the labels that lie in `box` once a stand-in has joined them."""
    scheme = space.coherence.scheme
    level = space.coherence.level
    lowest = scheme.rank.get(stand_in, len(scheme.levels) - 1)
    bits = level.bits(box)
    below = (1 << lowest) - 1 if bits >> lowest & 1 else 0
    box = box & ~level.mask | (bits >> lowest << lowest | below) << level.offset
    if stand_in in scheme.rank:
        return box
    for part in space.coherence.categories.values():
        bits = part.bits(box)
        unknown = 1 << NO | 1 << UNKNOWN if bits >> UNKNOWN & 1 else 0
        box = box & ~part.mask | (bits & 1 << YES | unknown) << part.offset
    return box


def box_of(space: Space, label: Label, task: str) -> int:
    """Return the box of the requests with a label and a task."""
    ranks = space.coherence.scheme.rank
    tasks = [atom.value for atom in space.table.by_name["task"].atoms]
    box = space.only("level", 1 << ranks[label.level]) & space.only("task", 1 << tasks.index(task))
    for name in space.coherence.categories:
        certain = YES if name in label.categories else UNKNOWN if name in label.unknown else NO
        box &= space.only(f"category:{name}", 1 << certain)
    return box


def requests_in(space: Space, boxes: list[int], engine: Engine) -> Iterator[AskedRequest]:
    """Yield a request of each box; where everything is known comes first."""
    known = known_requests(space)
    for box in (*space.meet(boxes, known), *boxes)[:BOXES_TRIED]:
        asked = asked_at(space.point(box), engine)
        if asked is not None:
            yield supplied(asked, engine)


def unlabelled_in(space: Space, boxes: list[int], engine: Engine) -> Iterator[AskedRequest]:
    """Yield requests without a label: of each box in which nothing else is known of them."""
    for task in sorted(engine.bundle.words.tasks):
        label = engine.scheme.label(categories=carries_of(engine.bundle, task))
        plain = box_of(space, label, task)
        found = [here for box in boxes if space.possible(here := box & plain)]
        for here in found[:BOXES_TRIED]:
            asked = asked_at(space.point(here), engine)
            if asked is not None:
                nobody = {"level": None, "categories": ()}
                yield supplied(asked, engine).model_copy(update=nobody)
