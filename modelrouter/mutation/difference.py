"""Whether two policies ever decide differently, and a request on which they do.

The regions of `profile` find where a difference can be; a request from there is decided by
both policies before it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.engine.subject import label_of
from modelrouter.mutation.profile import Profile, ceilings_of, profile_of
from modelrouter.mutation.witness import Witness, first_witness
from modelrouter.proof.coherence import NO, UNKNOWN, YES
from modelrouter.proof.conditions import known_requests
from modelrouter.proof.examples import asked_at, supplied
from modelrouter.proof.layout import mentions_of, space_of
from modelrouter.proof.space import TooHardError
from modelrouter.values import Request

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.labels import Label
    from modelrouter.policy.suite import AskedRequest
    from modelrouter.proof.space import Region, Space

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
) -> Iterator[tuple[str, int]]:
    """Yield task and box where a call nobody labelled meets something else.

    The labels are left out of the boxes: one policy takes the call for one label, the other
    for another.
    """
    for task in sorted(before.bundle.words.tasks):
        labels = [label_of(Request(task=task), task, engine) for engine in (before, after)]
        points = [box_of(space, label, task) for label in labels]
        if points[0] == points[1]:
            continue
        for region in profile.values():
            one, other = (without_labels(space, region, point) for point in points)
            yield from ((task, box) for box in space.less(one, other))
            yield from ((task, box) for box in space.less(other, one))


def box_of(space: Space, label: Label, task: str) -> int:
    """Return the box of the requests with a label and a task."""
    ranks = space.coherence.scheme.rank
    tasks = [atom.value for atom in space.table.by_name["task"].atoms]
    box = space.only("level", 1 << ranks[label.level]) & space.only("task", 1 << tasks.index(task))
    for name in space.coherence.categories:
        certain = YES if name in label.categories else UNKNOWN if name in label.unknown else NO
        box &= space.only(f"category:{name}", 1 << certain)
    return box


def without_labels(space: Space, region: Region, point: int) -> Region:
    """Return the part of a region at a label and a task, over every label."""
    fields = [space.coherence.level, *space.coherence.categories.values()]
    labels = sum(part.mask for part in fields)
    return tuple(box & point | labels for box in region if space.filled(box & point))


def requests_in(space: Space, boxes: list[int], engine: Engine) -> Iterator[AskedRequest]:
    """Yield a request of each box; where everything is known comes first."""
    known = known_requests(space)
    for box in (*space.meet(boxes, known), *boxes)[:BOXES_TRIED]:
        asked = asked_at(space.point(box), engine)
        if asked is not None:
            yield supplied(asked, engine)


def unlabelled_in(
    space: Space, boxes: list[tuple[str, int]], engine: Engine
) -> Iterator[AskedRequest]:
    """Yield a request without a label of each box."""
    for task, box in boxes[:BOXES_TRIED]:
        label = engine.scheme.label(categories=carried_by(engine, task))
        here = box & box_of(space, label, task)
        asked = asked_at(space.point(here), engine) if space.possible(here) else None
        if asked is not None:
            yield supplied(asked, engine).model_copy(update={"level": None, "categories": ()})


def carried_by(engine: Engine, task: str) -> tuple[str, ...]:
    """Return the categories that a task brings."""
    tasks = engine.bundle.policy.tasks
    return tasks[task].carries if tasks else ()
