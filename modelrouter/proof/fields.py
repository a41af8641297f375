"""Fields: what a request, or a conceivable model, can differ in as far as matchers can tell.

A field is a finite list of atoms. Every condition of the policies at hand is constant on an
atom, so one value stands for all of its own: "any other text", "2001 and more".
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelrouter.policy.matchers import FactMatch, NumberMatch, StringMatch

__all__ = ["ABSENT", "Absent", "Atom", "Field", "Span", "number_atoms", "starts_of", "text_atoms"]


class Absent:
    """Stands for an attribute that nobody states, or a fact that is missing."""

    __slots__ = ()


ABSENT = Absent()


Span = tuple[int | None, int | None]
"""The first and the last of a run of whole numbers; None is without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """Values that no condition tells apart.

    Attributes:
        value: One of them.
        text: All of them, for people.
        span: Of a whole number, the first and the last, where None is without end.
    """

    value: object
    text: str
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One dimension of a space: where it stands in a box, and its atoms.

    Attributes:
        name: What it is about: `level`, `category:phi`, `fact:purpose`, `model:region`.
        offset: Its lowest bit in a box.
        atoms: At least one; atom `i` is bit `offset + i`.
        preferred: Place of the atom that an example takes where it may.
    """

    name: str
    offset: int
    atoms: tuple[Atom, ...]
    preferred: int = 0

    @property
    def mask(self) -> int:
        """All of the field's bits."""
        return ((1 << len(self.atoms)) - 1) << self.offset

    def bits(self, box: int) -> int:
        """Return the field's own bits of a box, moved to the right."""
        return box >> self.offset & (1 << len(self.atoms)) - 1

    def example(self, box: int) -> object:
        """Return the value that an example takes."""
        bits = self.bits(box)
        place = self.preferred if bits >> self.preferred & 1 else (bits & -bits).bit_length() - 1
        return self.atoms[place].value

    def texts(self, box: int) -> Iterator[str]:
        """Yield the atoms of a box for people; whole numbers that follow each other as one."""
        run: Span | None = None
        for atom in self.chosen(box):
            if atom.span is None:
                yield atom.text
            elif run is not None and run[1] is not None and run[1] + 1 == atom.span[0]:
                run = (run[0], atom.span[1])
            else:
                if run is not None:
                    yield span_text(run)
                run = atom.span
        if run is not None:
            yield span_text(run)

    def chosen(self, box: int) -> Iterator[Atom]:
        """Yield the atoms that a box holds."""
        bits = self.bits(box)
        return (atom for place, atom in enumerate(self.atoms) if bits >> place & 1)


def text_atoms(matches: Iterable[StringMatch | FactMatch]) -> tuple[Atom, ...]:
    """Return the atoms of a free text: each named value, each prefix, anything else."""
    named: set[str] = set()
    prefixes: set[str] = set()
    for match in matches:
        named.update(value for value in match.equals or () if isinstance(value, str))
        if match.prefix is not None:
            prefixes.add(match.prefix)
    atoms = [Atom(value=name, text=name) for name in sorted(named)]
    for prefix in sorted(prefixes):
        value = fresh(prefix, named, prefixes)
        atoms.append(Atom(value=value, text=f"{prefix}*"))
    other = fresh("", named, prefixes)
    atoms.append(Atom(value=other, text="anything else" if named or prefixes else "anything"))
    return tuple(atoms)


def fresh(start: str, named: set[str], prefixes: set[str]) -> str:
    """Return a text that begins with `start` and has no other name or longer prefix."""
    longer = (part for part in named | prefixes if part.startswith(start) and part != start)
    taken = {part[len(start)] for part in longer}
    letters = itertools.chain("o", string.ascii_lowercase, map(chr, itertools.count(0x4E00)))
    letter = next(part for part in letters if part not in taken)
    return start + ("other" if letter == "o" else letter)


def starts_of(match: NumberMatch | FactMatch) -> Iterator[int]:
    """Yield the whole numbers at which a condition changes."""
    if match.at_least is not None:
        yield math.ceil(match.at_least)
    if match.above is not None:
        yield math.floor(match.above) + 1
    if match.at_most is not None:
        yield math.floor(match.at_most) + 1
    if match.below is not None:
        yield math.ceil(match.below)
    for value in match.equals or ():
        if isinstance(value, int | Decimal) and value == math.floor(value):
            yield math.floor(value)
            yield math.floor(value) + 1


def number_atoms(
    starts: Iterable[int],
    *,
    lowest: int | None,
    highest: int | None = None,
    wanted: int | None = None,
) -> tuple[Atom, ...]:
    """Return the atoms of a whole number, cut where conditions change.

    Args:
        starts: Numbers at which some condition changes.
        lowest: The least possible number, or None.
        highest: The greatest possible number, or None.
        wanted: The number to stand for its atom.
    """
    inner = sorted(
        part
        for part in {*starts}
        if (lowest is None or part > lowest) and (highest is None or part <= highest)
    )
    spans: list[Span] = []
    first = lowest
    for start in inner:
        spans.append((first, start - 1))
        first = start
    spans.append((first, None))
    return tuple(
        Atom(value=within(span, wanted), text=span_text(span), span=span) for span in spans
    )


def within(span: Span, wanted: int | None) -> int:
    """Return a number of a span: the wanted one, or its end that is nearest to nought."""
    first, last = span
    if (
        wanted is not None
        and (first is None or first <= wanted)
        and (last is None or wanted <= last)
    ):
        return wanted
    if first is not None:
        return first
    return 0 if last is None or last >= 0 else last


def span_text(span: Span) -> str:
    """Return a span as people write it."""
    first, last = span
    if first is None:
        return "any number" if last is None else f"at most {last}"
    if last is None:
        return f"at least {first}"
    if first == last:
        return str(first)
    return f"at most {last}" if first == 0 else f"{first} to {last}"
