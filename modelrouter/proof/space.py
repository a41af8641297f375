"""A space of requests, or of requests and conceivable models, and its regions.

A box holds, for each field, a set of atoms; it stands for every choice of one atom from each.
All fields stand side by side in one integer, so that two boxes intersect with `&`. A region is
a union of boxes. Not every point exists: a label is closed, a task brings what it carries, the
facts of a catalogue entry expire together; `Coherence` says which boxes hold a point that does.

Everything here is exact. Work is bounded: what would need more boxes raises `TooHardError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from modelrouter.proof.fields import Atom, Field

if TYPE_CHECKING:
    from modelrouter.proof.coherence import Coherence, Point

__all__ = ["BOXES_AT_MOST", "FieldTable", "Region", "Space", "TooHardError"]

BOXES_AT_MOST = 20_000
"""Boxes one region may grow to before a question counts as too hard."""

STEPS_AT_MOST = 20_000
"""Boxes one search may look at before a question counts as too hard."""
COMPARED_AT_MOST = 200

Region = tuple[int, ...]


class TooHardError(Exception):
    """A question needs more boxes than are allowed; its answer is unknown."""


class FieldTable:
    """The fields of a space, laid side by side with one spare bit after each.

    The spare bits make "has every field an atom?" one addition: adding the full mask to a
    field carries into its spare bit just when the field is not empty.
    """

    __slots__ = ("by_name", "everything", "fields", "owner", "spare")

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.by_name: dict[str, Field] = {}
        self.spare: int = 0
        self.owner: list[int] = []
        self.everything: int = 0

    def add(self, name: str, atoms: Sequence[Atom], *, preferred: int = 0) -> Field:
        """Add a field behind the others and return it."""
        field = Field(name=name, offset=len(self.owner), atoms=tuple(atoms), preferred=preferred)
        self.fields.append(field)
        self.by_name[name] = field
        self.everything |= field.mask
        self.spare |= 1 << (field.offset + len(field.atoms))
        self.owner += [field.mask] * (len(field.atoms) + 1)
        return field


class Space:
    """The boxes over a table of fields, and which of them hold a point that exists."""

    __slots__ = ("coherence", "everything", "owner", "possible_boxes", "spare", "table")

    def __init__(self, table: FieldTable, coherence: Coherence) -> None:
        self.table: FieldTable = table
        self.coherence: Coherence = coherence
        self.everything: int = table.everything
        self.spare: int = table.spare
        self.owner: list[int] = table.owner
        self.possible_boxes: dict[int, bool] = {}

    @property
    def all(self) -> Region:
        """Every point."""
        return (self.everything,)

    def only(self, name: str, bits: int) -> int:
        """Return the box that confines one field to some of its atoms."""
        field = self.table.by_name[name]
        return self.everything & ~field.mask | (bits << field.offset & field.mask)

    def filled(self, box: int) -> bool:
        """Whether every field of a box has an atom."""
        return (box + self.everything) & self.spare == self.spare

    def possible(self, box: int) -> bool:
        """Whether a box holds a point that exists."""
        if not self.filled(box):
            return False
        relevant = box & self.coherence.relevant
        found = self.possible_boxes.get(relevant)
        if found is None:
            found = self.coherence.allows(relevant)
            self.possible_boxes[relevant] = found
        return found

    def meet(self, left: Iterable[int], right: Sequence[int]) -> Region:
        """Return the intersection of two regions."""
        found = [both for one in left for other in right if self.possible(both := one & other)]
        if len(found) > BOXES_AT_MOST:
            raise TooHardError
        return self.distinct(found)

    def join(self, *regions: Iterable[int]) -> Region:
        """Return the union of regions."""
        return self.distinct([box for region in regions for box in region])

    def distinct(self, boxes: Sequence[int]) -> Region:
        """Return the boxes without those that another one holds, as far as that is cheap."""
        if len(boxes) > COMPARED_AT_MOST:
            return tuple(set(boxes))
        found: list[int] = []
        for box in sorted(set(boxes), key=int.bit_count, reverse=True):
            if not any(box & ~other == 0 for other in found):
                found.append(box)
        return tuple(found)

    def less(self, region: Iterable[int], taken: Iterable[int]) -> Region:
        """Return what is left of a region; its boxes are disjoint if the region's are."""
        left = list(region)
        for other in taken:
            if not left:
                break
            rest: list[int] = []
            for box in left:
                if self.filled(box & other):
                    rest += self.pieces(box, other)
                else:
                    rest.append(box)
            if len(rest) > BOXES_AT_MOST:
                raise TooHardError
            left = rest
        return tuple(left)

    def pieces(self, box: int, other: int) -> Iterator[int]:
        """Yield disjoint boxes that together are `box` without `other`."""
        outside = box & ~other
        rest = box
        while outside:
            mask = self.owner[(outside & -outside).bit_length() - 1]
            piece = rest & ~mask | outside & mask
            if self.possible(piece):
                yield piece
            rest &= ~mask | other
            outside &= ~mask

    def leftover(self, region: Iterable[int], taken: Sequence[int]) -> int | None:
        """Return a box of the region that nothing of `taken` touches, or None if nothing is left.

        A search in depth: it needs no room for all that is left, and ends with the first find.
        """
        stack = [(box, taken) for box in region if self.possible(box)]
        steps = 0
        while stack:
            steps += 1
            if steps > STEPS_AT_MOST:
                raise TooHardError
            box, others = stack.pop()
            near = self.near(box, others)
            if near is None:
                continue
            if not near:
                return box
            # The box that agrees best splits off the fewest pieces.
            best = min(near, key=lambda other: (box & ~other).bit_count())
            near.remove(best)
            stack += [(piece, near) for piece in self.pieces(box, best)]
        return None

    def near(self, box: int, others: Sequence[int]) -> list[int] | None:
        """Return the boxes that touch `box`, or None if one of them holds all of it."""
        everything, spare = self.everything, self.spare
        found: list[int] = []
        for other in others:
            both = box & other
            if (both + everything) & spare == spare:
                if both == box:
                    return None
                found.append(other)
        return found

    def holds(self, region: Iterable[int]) -> bool:
        """Whether a region holds a point that exists."""
        return any(self.possible(box) for box in region)

    def covers(self, region: Iterable[int], other: Sequence[int]) -> bool:
        """Whether every existing point of `other` lies in `region`."""
        return not self.less([box for box in other if self.possible(box)], region)

    def point(self, box: int) -> Point:
        """Return the plainest existing point of a possible box."""
        return self.coherence.point(box)
