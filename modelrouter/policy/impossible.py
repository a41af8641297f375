"""Conditions that can never match: a rule that says something and does nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal

from modelrouter.policy.findings import Path
from modelrouter.policy.matchers import (
    FactMatch,
    LevelMatch,
    ModelMatcher,
    NumberMatch,
    RequestMatcher,
    SetMatch,
    StringMatch,
)
from modelrouter.policy.shapes import is_list, is_mapping

__all__ = ["impossible_parts", "name_at"]


def impossible_parts(
    matcher: RequestMatcher | ModelMatcher, rank: Mapping[str, int]
) -> Iterator[tuple[Path, str]]:
    """Yield where a matcher can never match, and why. What lies below `not` is left out.

    Args:
        matcher: A `when` or `models`.
        rank: Place of each level.
    """
    parts: list[tuple[Path, object]] = [
        ((name,), getattr(matcher, name)) for name in type(matcher).model_fields
    ]
    if isinstance(matcher, RequestMatcher):
        parts += [(("facts", name), match) for name, match in (matcher.facts or {}).items()]
    for path, match in parts:
        why = why_impossible(match, rank)
        if why is not None:
            yield path, why


def name_at(data: object, path: Path) -> str | None:
    """Return the id or name of the part of a document that a path leads into."""
    section = data.get(path[0]) if is_mapping(data) and path else None
    if len(path) > 1 and is_list(section) and isinstance(path[1], int):
        part = section[path[1]]
        name = part.get("id") if is_mapping(part) else None
        return name if isinstance(name, str) else None
    return str(path[1]) if len(path) > 1 else None


def why_impossible(match: object, rank: Mapping[str, int]) -> str | None:
    """Return why one condition can never match, or None if it can."""
    if isinstance(match, LevelMatch):
        return level_problem(match, rank)
    if isinstance(match, NumberMatch | FactMatch):
        return bounds_problem(match)
    if isinstance(match, SetMatch):
        return set_problem(match)
    if isinstance(match, StringMatch):
        prefix = match.prefix
        if match.equals is not None and prefix is not None:
            fits = any(name.startswith(prefix) for name in match.equals)
            return None if fits else f"none of the names begins with `{prefix}`"
    return None


def level_problem(match: LevelMatch, rank: Mapping[str, int]) -> str | None:
    """Return why no level matches; unknown levels are found elsewhere."""
    low = rank.get(match.at_least or "", 0)
    high = rank.get(match.at_most or "", len(rank))
    named = [rank[name] for name in match.equals or () if name in rank]
    if low > high:
        return f"no level is at least `{match.at_least}` and at most `{match.at_most}`"
    if named and not any(low <= place <= high for place in named):
        return "none of the levels lies within the bounds"
    return None


def bounds_problem(match: NumberMatch | FactMatch) -> str | None:
    """Return why no whole number matches: tokens, days and facts are whole."""
    lows = [math.ceil(value) for value in (match.at_least,) if value is not None]
    lows += [math.floor(value) + 1 for value in (match.above,) if value is not None]
    highs = [math.floor(value) for value in (match.at_most,) if value is not None]
    highs += [math.ceil(value) - 1 for value in (match.below,) if value is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is not None and high is not None and low > high:
        return "no whole number lies within the bounds"
    numbers = [value for value in match.equals or () if isinstance(value, int | Decimal)]
    inside = [
        value
        for value in numbers
        if (low is None or value >= low) and (high is None or value <= high)
    ]
    if numbers and not inside and (lows or highs):
        return "none of the numbers lies within the bounds"
    return None


def set_problem(match: SetMatch) -> str | None:
    """Return why no set of names matches."""
    none = set(match.none or ())
    if match.any is not None and none.issuperset(match.any):
        return "everything under `any` is excluded by `none`"
    if not none.isdisjoint(match.all or ()):
        return f"`{min(none.intersection(match.all or ()))}` stands under `all` and under `none`"
    return None
