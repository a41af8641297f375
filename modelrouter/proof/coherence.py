"""Which points of a space exist: closed labels, what tasks carry, facts that expire together.

Whether a call carries a category is `no`, `unknown` or `yes`, in this order. A category is at
least as certain as what includes it, and the level at least what it implies. Such constraints
have a least solution wherever they have any, so one pass in the order of inclusion finds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelrouter.labels import LabelScheme
from modelrouter.proof.fields import ABSENT, Field

__all__ = ["CARRIED", "NO", "UNKNOWN", "YES", "Coherence", "Point"]

NO, UNKNOWN, YES = 0, 1, 2
CARRIED = 1 << YES
"""The atoms of a category that the call is known to carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One request, or one request and one conceivable model.

    Attributes:
        values: A value for each field, by name; those of categories are `NO`, `UNKNOWN`, `YES`.
    """

    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coherence:
    """Knows which boxes hold a point that exists.

    Attributes:
        scheme: The labels.
        level: The field of the level.
        categories: The field of each category, each before what it includes.
        task: The field of the task.
        carried: What the tasks carry: for each set of categories the task's bits.
        entry: Fields of a catalogue entry's own attributes, which expire together.
        data: Fields of what its `data` block says.
        others: All other fields.
        relevant: The bits of the fields that constrain each other.
    """

    scheme: LabelScheme
    level: Field
    categories: Mapping[str, Field]
    task: Field
    carried: Sequence[tuple[int, frozenset[str]]]
    entry: Sequence[Field] = ()
    data: Sequence[Field] = ()
    others: Sequence[Field] = ()
    relevant: int = field(default=0)

    def allows(self, box: int) -> bool:
        """Whether a box whose fields all have atoms holds a point that exists."""
        return (
            self.entry_state(box) is not None
            and self.data_state(box) is not None
            and self.labelled(box) is not None
        )

    def labelled(self, box: int) -> tuple[int, int, Mapping[str, int]] | None:
        """Return the least sensitive task, level and categories of a box, or None."""
        tasks = self.task.bits(box)
        for bits, carried in self.carried:
            if bits & tasks:
                found = self.least(box, carried)
                if found is not None:
                    chosen = bits & tasks
                    return (chosen & -chosen).bit_length() - 1, *found
        return None

    def least(self, box: int, carried: frozenset[str]) -> tuple[int, Mapping[str, int]] | None:
        """Return the lowest level and the fewest categories of a box, or None."""
        certain: dict[str, int] = {}
        floors = dict.fromkeys(carried, YES)
        lowest = 0
        for name, part in self.categories.items():
            floor = floors.get(name, NO)
            above = part.bits(box) >> floor
            if not above:
                return None
            value = certain[name] = floor + (above & -above).bit_length() - 1
            if value == NO:
                continue
            category = self.scheme.categories[name]
            lowest = max(lowest, self.scheme.rank[category.at_least])
            for implied in category.includes:
                floors[implied] = max(floors.get(implied, NO), value)
        levels = self.level.bits(box) >> lowest
        if not levels:
            return None
        return lowest + (levels & -levels).bit_length() - 1, certain

    def entry_state(self, box: int) -> bool | None:
        """Return whether a catalogue entry's facts stand (True) or have expired, or None."""
        if not self.entry or all(has_present(part, box) for part in self.entry if is_firm(part)):
            return True
        return False if all(has_absent(part, box) for part in self.entry) else None

    def data_state(self, box: int) -> bool | None:
        """Return whether a `data` block's facts stand (True) or have expired, or None."""
        if not self.data or all(has_present(part, box) for part in self.data if is_firm(part)):
            return True
        return False if all(has_absent(part, box) for part in self.data) else None

    def point(self, box: int) -> Point:
        """Return the plainest point of a box that holds one."""
        found = self.labelled(box)
        if found is None:
            message = "the box holds no point"
            raise ValueError(message)
        task, level, certain = found
        values: dict[str, object] = {
            self.task.name: self.task.atoms[task].value,
            self.level.name: self.level.atoms[level].value,
        }
        values |= {self.categories[name].name: value for name, value in certain.items()}
        for part in self.others:
            values[part.name] = part.example(box)
        for parts, stands in (
            (self.entry, self.entry_state(box)),
            (self.data, self.data_state(box)),
        ):
            for part in parts:
                values[part.name] = attribute(part, box, stands=stands is True)
        return Point(values=values)


FIRM = frozenset({"model:hosting", "model:weights", "model:tags", "model:capabilities"}) | {
    "model:agreements"
}
"""What an entry, or its data block, always has unless it has expired."""


def is_firm(part: Field) -> bool:
    """Whether an attribute is there as long as its block has not expired."""
    return part.name in FIRM


def has_present(part: Field, box: int) -> bool:
    """Whether a box holds some stated value of an attribute."""
    return any(atom.value is not ABSENT for atom in part.chosen(box))


def has_absent(part: Field, box: int) -> bool:
    """Whether a box holds "nobody states it"."""
    return any(atom.value is ABSENT for atom in part.chosen(box))


def attribute(part: Field, box: int, *, stands: bool) -> object:
    """Return the value of an attribute: stated if it may be and its block stands."""
    values = [atom.value for atom in part.chosen(box)]
    stated = [value for value in values if value is not ABSENT]
    return stated[0] if stated and stands else ABSENT
