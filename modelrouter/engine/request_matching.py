"""Conditions on the call, compiled to closures over a `Subject`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from modelrouter.engine.truth import (
    FALSE,
    TRUE,
    UNKNOWN,
    number_match,
    set_match,
    within_bounds,
)
from modelrouter.values import FactValue

if TYPE_CHECKING:
    from modelrouter.policy.matchers import (
        FactMatch,
        LevelMatch,
        NumberMatch,
        RequestMatcher,
        SetMatch,
        StringMatch,
    )

__all__ = ["MISSING", "Condition", "Index", "Missing", "Subject", "compile_when"]


NOTHING = Fraction(0)


class Missing:
    """Stands for a fact nobody supplied."""

    __slots__ = ()


MISSING = Missing()


class Subject:
    """The request as closures read it: names as places and bits.

    Attributes:
        level: Place of the closed label's level.
        known: Bits of the categories the call carries.
        unknown: Bits of the categories nobody has spoken of.
        task: The task's name.
        needs: Capabilities the answer depends on.
        tokens: Estimated input tokens.
        facts: Value or `MISSING`, in the policy's order of facts.
        spent: Share of each budget that is gone, by id.
    """

    __slots__ = ("facts", "known", "level", "needs", "spent", "task", "tokens", "unknown")

    def __init__(
        self,
        *,
        level: int,
        known: int,
        unknown: int,
        task: str,
        needs: frozenset[str],
        tokens: int,
        facts: tuple[FactValue | Missing, ...],
        spent: Mapping[str, Fraction],
    ) -> None:
        self.level: int = level
        self.known: int = known
        self.unknown: int = unknown
        self.task: str = task
        self.needs: frozenset[str] = needs
        self.tokens: int = tokens
        self.facts: tuple[FactValue | Missing, ...] = facts
        self.spent: Mapping[str, Fraction] = spent


Condition = Callable[[Subject], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Places of the names that closures are compiled against."""

    levels: Mapping[str, int]
    categories: Mapping[str, int]
    facts: Mapping[str, int]


def compile_when(matcher: RequestMatcher | None, index: Index) -> Condition | None:
    """Return the closure of a `when`, or None where it always holds."""
    if matcher is None:
        return None
    parts: list[Condition] = []
    if matcher.level is not None:
        parts.append(level_condition(matcher.level, index))
    if matcher.categories is not None:
        parts.extend(category_conditions(matcher.categories, index))
    if matcher.task is not None:
        parts.append(task_condition(matcher.task))
    if matcher.needs is not None:
        parts.append(needs_condition(matcher.needs))
    for name, match in (matcher.facts or {}).items():
        parts.append(fact_condition(match, index.facts[name]))
    if matcher.tokens is not None:
        parts.append(tokens_condition(matcher.tokens))
    for name, spent in (matcher.budget or {}).items():
        parts.append(budget_condition(name, spent.spent_at_least))
    return conjunction(parts)


def conjunction(parts: list[Condition]) -> Condition | None:
    """Return the closure that holds where all of `parts` do."""
    if len(parts) <= 1:
        return parts[0] if parts else None

    def both(subject: Subject) -> int:
        answer = TRUE
        for part in parts:
            found = part(subject)
            if not found:
                return FALSE
            if found == UNKNOWN:
                answer = UNKNOWN
        return answer

    return both


def level_condition(match: LevelMatch, index: Index) -> Condition:
    """Compile a condition on the level."""
    rank = index.levels
    low = rank[match.at_least] if match.at_least is not None else 0
    high = rank[match.at_most] if match.at_most is not None else len(rank)
    named = frozenset(rank) if match.equals is None else frozenset(match.equals)
    accepted = frozenset(rank[name] for name in named if low <= rank[name] <= high)
    return lambda subject: subject.level in accepted


def category_conditions(match: SetMatch, index: Index) -> list[Condition]:
    """Compile the conditions on categories, one for each of `any`, `all`, `none`."""
    makers = ((match.any, carries_some), (match.all, carries_all), (match.none, carries_none))
    return [make(bits(names, index)) for names, make in makers if names is not None]


def bits(names: Iterable[str], index: Index) -> int:
    """Return categories as bits."""
    return sum(1 << place for place in {index.categories[name] for name in names})


def carries_some(mask: int) -> Condition:
    """Compile "carries one of these"."""

    def holds(subject: Subject) -> int:
        if subject.known & mask:
            return TRUE
        return UNKNOWN if subject.unknown & mask else FALSE

    return holds


def carries_all(mask: int) -> Condition:
    """Compile "carries all of these"."""

    def holds(subject: Subject) -> int:
        rest = mask & ~subject.known
        if not rest:
            return TRUE
        return FALSE if rest & ~subject.unknown else UNKNOWN

    return holds


def carries_none(mask: int) -> Condition:
    """Compile "carries none of these"."""

    def holds(subject: Subject) -> int:
        if subject.known & mask:
            return FALSE
        return UNKNOWN if subject.unknown & mask else TRUE

    return holds


def task_condition(match: StringMatch) -> Condition:
    """Compile a condition on the task."""
    named, prefix = match.equals, match.prefix
    if prefix is None:
        accepted = frozenset(named or ())
        return lambda subject: subject.task in accepted
    return lambda subject: (
        subject.task.startswith(prefix) and (named is None or subject.task in named)
    )


def needs_condition(match: SetMatch) -> Condition:
    """Compile a condition on the capabilities a call needs."""
    return lambda subject: set_match(match, subject.needs)


def tokens_condition(match: NumberMatch) -> Condition:
    """Compile a condition on the input tokens."""
    return lambda subject: number_match(match, subject.tokens)


def budget_condition(name: str, share: Decimal) -> Condition:
    """Compile a condition on how much of a budget is gone."""
    least = Fraction(share)
    return lambda subject: subject.spent.get(name, NOTHING) >= least


def fact_condition(match: FactMatch, place: int) -> Condition:
    """Compile a condition on one fact; a missing fact is unknown."""
    plain = all(
        part is None
        for part in (match.prefix, match.at_least, match.at_most, match.above, match.below)
    )
    accepted = frozenset(
        (type(value), value) for value in (() if match.equals is None else match.equals)
    )

    def equal(subject: Subject) -> int:
        value = subject.facts[place]
        if value is MISSING:
            return UNKNOWN
        return (type(value), value) in accepted

    def general(subject: Subject) -> int:
        value = subject.facts[place]
        if value is MISSING:
            return UNKNOWN
        if match.equals is not None and (type(value), value) not in accepted:
            return FALSE
        if match.prefix is not None and not str(value).startswith(match.prefix):
            return FALSE
        return within_bounds(match, value if isinstance(value, int) else 0)

    return equal if plain else general
