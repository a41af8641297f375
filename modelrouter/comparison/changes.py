"""Changes of what stands in two policies: section by section, field by field, old to new.

A change of a field is judged where that can be done by the field alone. What the judgement
means for a call is the matter of the regions (`comparing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from modelrouter.policy.shapes import Shape, is_list, is_mapping

if TYPE_CHECKING:
    from modelrouter.values import Json

__all__ = [
    "KINDS",
    "Change",
    "Direction",
    "FieldChange",
    "Judge",
    "changes_between",
    "direction_of",
    "field_changes",
    "flat",
    "in_order",
    "more_is",
    "set_is",
]

Direction = Literal["tighter", "looser"]
Kind = Literal["added", "removed", "tightened", "loosened", "changed"]
Judge = Callable[["Json", "Json"], "Direction | None"]
"""Returns the direction of a change of a field's value, or None where it has none."""
ORDERED = frozenset({"levels", "order"})
"""Lists whose order has a meaning; the others are sets."""
REMARKS = frozenset({"description", "reason", "ref"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field with its old and its new value; None is "not stated"."""

    name: str
    old: Json
    new: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A part of a policy that is not the same in both.

    Attributes:
        section: `rules`, `budgets`, `models`, `categories` and so on.
        id: The part's id.
        kind: What became of it.
        direction: Whether a rule of this kind, by itself, allows less or more than before.
        fields: The fields that differ; of an added or removed part all of them.
        wider: Why the change itself counts as growing exposure, or None.
    """

    section: str
    id: str
    kind: Kind
    direction: Direction | None = None
    fields: tuple[FieldChange, ...] = ()
    wider: str | None = field(default=None)


def changes_between(
    section: str,
    old: Mapping[str, Shape],
    new: Mapping[str, Shape],
    judges: Mapping[str, Judge],
    presence: Callable[[Shape], Direction | None] | None = None,
) -> Iterator[Change]:
    """Yield the parts of a section that differ, by id.

    Args:
        section: Its name.
        old: The parts of the old policy by id.
        new: The parts of the new policy by id.
        judges: Judges of fields, by dotted name.
        presence: Whether a policy with a part is tighter or looser than one without.
    """
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        fields = tuple(field_changes(flat(before), flat(after)))
        if before is not None and after is not None:
            if fields:
                direction = direction_of(fields, judges)
                yield Change(
                    section=section,
                    id=name,
                    kind=KINDS[direction],
                    direction=direction,
                    fields=fields,
                )
            continue
        here = before or after
        direction = presence(here) if presence is not None and here is not None else None
        if after is None and direction is not None:
            direction = "looser" if direction == "tighter" else "tighter"
        kind: Kind = "removed" if after is None else "added"
        yield Change(section=section, id=name, kind=kind, direction=direction, fields=fields)


KINDS: Mapping[Direction | None, Kind] = {
    "tighter": "tightened",
    "looser": "loosened",
    None: "changed",
}


def direction_of(fields: Iterable[FieldChange], judges: Mapping[str, Judge]) -> Direction | None:
    """Return the direction that all changed fields agree on; remarks have none."""
    found: set[Direction | None] = {
        judges[part.name](part.old, part.new) if part.name in judges else None
        for part in fields
        if part.name.rpartition(".")[2] not in REMARKS
    }
    return found.pop() if len(found) == 1 else None


def field_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[FieldChange]:
    """Yield the fields that differ."""
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield FieldChange(name=name, old=old.get(name), new=new.get(name))


def flat(part: Shape | None) -> dict[str, Json]:
    """Return the fields of a part that are stated, by dotted name; sets are sorted."""
    if part is None:
        return {}
    plain = part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    found = dict(leaves(plain, ""))
    found.pop("id", None)
    return found


def leaves(value: object, name: str) -> Iterator[tuple[str, Json]]:
    """Yield the leaves of nested mappings by dotted name; `=` is the mapping itself."""
    if is_mapping(value):
        for key, part in value.items():
            yield from leaves(part, f"{name}.{key}".strip(".").removesuffix(".="))
    else:
        yield name, tidy(value, ordered=name.rpartition(".")[2] in ORDERED)


def tidy(value: object, *, ordered: bool) -> Json:
    """Return a leaf as JSON; a list that stands for a set is sorted."""
    if is_list(value):
        items = [tidy(part, ordered=True) for part in value]
        return items if ordered else sorted(items, key=repr)
    if is_mapping(value):
        return {str(key): tidy(part, ordered=False) for key, part in value.items()}
    return value if isinstance(value, str | int | float | bool) else None


def more_is(direction: Direction, *, absent: Literal["least", "most"] | None = None) -> Judge:
    """Return the judge of a number of which more is tighter, or looser.

    Args:
        direction: What more of it is.
        absent: What no number stands for; None: nothing.
    """
    other: Direction = "looser" if direction == "tighter" else "tighter"
    ends = {"least": Decimal("-Infinity"), "most": Decimal("Infinity")}

    def judge(old: Json, new: Json) -> Direction | None:
        values = [
            ends.get(absent or "") if value is None else Decimal(str(value)) for value in (old, new)
        ]
        before, after = values
        if before is None or after is None or before == after:
            return None
        return direction if after > before else other

    return judge


def in_order(strictest_first: Sequence[str], *, absent: str | None = None) -> Judge:
    """Return the judge of a word that has its place in an order."""

    def judge(old: Json, new: Json) -> Direction | None:
        places = [
            strictest_first.index(word) if word in strictest_first else None
            for word in (absent if old is None else old, absent if new is None else new)
        ]
        before, after = places
        if before is None or after is None or before == after:
            return None
        return "tighter" if after < before else "looser"

    return judge


def set_is(direction: Direction) -> Judge:
    """Return the judge of a set of which a larger one is tighter, or looser."""
    other: Direction = "looser" if direction == "tighter" else "tighter"

    def judge(old: Json, new: Json) -> Direction | None:
        before = {*map(str, old)} if isinstance(old, list) else set[str]()
        after = {*map(str, new)} if isinstance(new, list) else set[str]()
        if before < after:
            return direction
        return other if after < before else None

    return judge
