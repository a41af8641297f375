"""Three truth values, and how scalars, numbers and sets compare.

A comparison with something unknown is `UNKNOWN`. `not` keeps it, and so does a named set:
only the clause that uses a matcher says what unknown counts as.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelrouter.policy.matchers import FactMatch, NumberMatch, SetMatch, StringMatch

__all__ = [
    "FALSE",
    "TRUE",
    "UNKNOWN",
    "either",
    "negation",
    "number_match",
    "set_match",
    "string_match",
    "within_bounds",
]

FALSE, TRUE, UNKNOWN = 0, 1, 2


def negation(found: int) -> int:
    """Return the three-valued `not`."""
    return (TRUE, FALSE, UNKNOWN)[found]


def either(found: list[int]) -> int:
    """Return the three-valued disjunction."""
    if TRUE in found:
        return TRUE
    return UNKNOWN if UNKNOWN in found else FALSE


def string_match(match: StringMatch, value: str | None) -> int:
    """Match text; None is unknown."""
    if value is None:
        return UNKNOWN
    named = match.equals is None or value in match.equals
    return int(named and (match.prefix is None or value.startswith(match.prefix)))


def number_match(match: NumberMatch, value: int | None) -> int:
    """Match a number; None is unknown."""
    if value is None:
        return UNKNOWN
    return int((match.equals is None or value in match.equals) and within_bounds(match, value))


def set_match(match: SetMatch, value: frozenset[str] | None) -> int:
    """Match a set of names; None is unknown."""
    if value is None:
        return UNKNOWN
    return int(
        (match.any is None or not value.isdisjoint(match.any))
        and (match.all is None or value.issuperset(match.all))
        and (match.none is None or value.isdisjoint(match.none))
    )


def within_bounds(match: FactMatch | NumberMatch, value: int | Decimal) -> bool:
    """Whether a number lies within the bounds of a matcher."""
    return (
        (match.at_least is None or value >= match.at_least)
        and (match.at_most is None or value <= match.at_most)
        and (match.above is None or value > match.above)
        and (match.below is None or value < match.below)
    )
