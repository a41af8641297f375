"""Closed labels as regions: what a region of requests says of labels, and its least labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modelrouter.labels import Label
from modelrouter.lint.regions import Bounded
from modelrouter.proof.coherence import CARRIED, YES
from modelrouter.proof.space import Region

__all__ = ["labels_of", "least_labels", "name_of", "state_of"]


def labels_of(space: Bounded, region: Iterable[int]) -> Region:
    """Return every request whose label some request of a region has.

    What else a request is gets opened; the task leaves behind what it carries.
    """
    task = space.coherence.task
    rest = space.everything & ~label_bits(space)
    found: list[int] = []
    for box in region:
        for bits, carried in space.coherence.carried:
            part = box & space.only(task.name, bits)
            for name in carried:
                part &= space.only(f"category:{name}", CARRIED)
            if space.possible(part):
                found.append(part | rest)
    return space.distinct(found)


def label_bits(space: Bounded) -> int:
    """Return the bits of the level and the categories."""
    fields = (space.coherence.level, *space.coherence.categories.values())
    return sum(field.mask for field in fields)


def least_labels(space: Bounded, region: Region) -> list[Label]:
    """Return the least labels of a region, in order of level and name.

    A box has one least label for each set of categories that its tasks carry, so comparing
    those is enough.
    """
    found = {label for box in region for label in least_of(space, box)}
    least = [label for label in found if not any(below(space, other, label) for other in found)]
    rank = space.coherence.scheme.rank
    return sorted(least, key=lambda label: (rank[label.level], sorted(label.categories)))


def least_of(space: Bounded, box: int) -> Iterator[Label]:
    """Yield the least labels of one box."""
    coherence = space.coherence
    for bits, carried in coherence.carried:
        found = coherence.least(box, carried) if bits & coherence.task.bits(box) else None
        if found is not None:
            level, certain = found
            names = (name for name, value in certain.items() if value == YES)
            yield Label(level=coherence.scheme.levels[level], categories=frozenset(names))


def below(space: Bounded, one: Label, other: Label) -> bool:
    """Whether one label is less sensitive than another in every respect, and not the same."""
    rank = space.coherence.scheme.rank
    return (
        one != other and rank[one.level] <= rank[other.level] and one.categories <= other.categories
    )


def state_of(space: Bounded, label: Label) -> int:
    """Return the box of the requests with one label."""
    box = space.only("level", 1 << space.coherence.scheme.rank[label.level])
    for name in space.coherence.categories:
        bits = CARRIED if name in label.categories else 1
        box &= space.only(f"category:{name}", bits)
    return box


def name_of(space: Bounded, label: Label) -> str:
    """Return a label as people write it: without what its categories bring along."""
    categories = space.coherence.scheme.categories
    implied = {part for name in label.categories for part in categories[name].includes}
    waiting = [*implied]
    while waiting:
        more = categories[waiting.pop()].includes - implied
        implied |= more
        waiting += more
    return "+".join([label.level, *sorted(label.categories - implied)])
