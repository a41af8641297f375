"""Names that look like another one misspelt.

A policy may speak of what the catalogue does not hold today, so an unknown region is no
mistake by itself. One slip of the finger away from a known one, it most likely is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

__all__ = ["closest", "misspelt"]

CLOSE = 0.8
NAMES_COMPARED = 1000
NUMBERS = re.compile(r"[-._/@ ]?[0-9]+")
LAST_PART = re.compile(r"[-._/@ ]")


def closest(name: str, known: Collection[str]) -> str | None:
    """Return the one known name that `name` resembles most, or None if none or several do."""
    folded = {other.casefold(): other for other in sorted(known)[:NAMES_COMPARED]}
    close = difflib.get_close_matches(name.casefold(), folded, n=2, cutoff=CLOSE)
    if not close:
        return None
    ratios = [difflib.SequenceMatcher(None, other, name.casefold()).ratio() for other in close]
    if len(close) > 1 and ratios[0] <= ratios[1]:
        return None
    found = folded[close[0]]
    return None if numbered(name, found) else found


def misspelt(name: str, known: Collection[str]) -> str | None:
    """Return the one known name that is a single slip away from `name`, or None."""
    found = closest(name, known)
    return found if found is not None and one_slip(name.casefold(), found.casefold()) else None


def numbered(one: str, other: str) -> bool:
    """Whether two names are members of one series: `eu-west-1` and `eu-west-2`, `a` and `b`."""
    if NUMBERS.sub("", one) == NUMBERS.sub("", other):
        return True
    first, second = LAST_PART.split(one), LAST_PART.split(other)
    return first[:-1] == second[:-1] and len(first[-1]) == len(second[-1]) == 1


def one_slip(one: str, other: str) -> bool:
    """Whether a letter too many, too few, wrong or swapped with its neighbour tells them apart."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    first, second = one[start:], other[start:]
    swapped = first[1:2] + first[:1] + first[2:]
    return (
        second in {first[1:], swapped} or first[1:] in {second, second[1:]} or (first == second[1:])
    )
