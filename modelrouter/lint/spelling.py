"""Names that look like another one misspelt.

A policy may speak of what the catalogue does not hold today, so an unknown region is no
mistake by itself. One slip of the finger away from a known one, it most likely is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

__all__ = ["closest"]

SIMILAR = 0.9
WORTH_A_LOOK = 0.6
SHORTEST = 4
NAMES_COMPARED = 1000
NUMBERS = re.compile(r"[-._/@ ]?[0-9]+")
SEPARATORS = re.compile(r"[-._/@ ]")


def closest(name: str, known: Collection[str]) -> str | None:
    """Return the one known name that `name` most likely stands for, or None.

    None if several resemble it as much, or if the two are members of one series.
    """
    folded = {other.casefold(): other for other in sorted(known)[:NAMES_COMPARED]}
    wanted = name.casefold()
    close = difflib.get_close_matches(wanted, folded, n=2, cutoff=WORTH_A_LOOK)
    likely = [other for other in close if resembles(wanted, other)]
    if not likely or (len(likely) > 1 and alike(wanted, *likely)):
        return None
    return folded[likely[0]]


def resembles(one: str, other: str) -> bool:
    """Whether one name may be the other misspelt."""
    if in_series(one, other):
        return False
    slip = min(len(one), len(other)) >= SHORTEST and one_slip(one, other)
    return slip or ratio(one, other) >= SIMILAR


def alike(name: str, first: str, second: str) -> bool:
    """Whether two names resemble a third as much as each other."""
    return ratio(name, first) <= ratio(name, second)


def ratio(one: str, other: str) -> float:
    """Return how much two names have in common, 0 to 1, as `get_close_matches` sees it."""
    return difflib.SequenceMatcher(None, other, one).ratio()


def in_series(one: str, other: str) -> bool:
    """Whether two names are members of one series: `eu-west-1` and `eu-west-2`, `a` and `b`."""
    if NUMBERS.sub("", one) == NUMBERS.sub("", other):
        return one != other
    first, second = SEPARATORS.split(one), SEPARATORS.split(other)
    return first[:-1] == second[:-1] and len(first[-1]) == len(second[-1]) == 1


def one_slip(one: str, other: str) -> bool:
    """Whether a letter too many, too few, wrong or swapped with its neighbour tells them apart."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    first, second = one[start:], other[start:]
    swapped = first[1:2] + first[:1] + first[2:]
    return first[1:] in {second, second[1:]} or second in {swapped, first} or first == second[1:]
