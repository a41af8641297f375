"""Matchers as regions: where a condition is true, and where it is not false.

A condition on one field is evaluated by the engine's own three-valued functions on each atom;
categories and sets of names, which span several fields, are put together here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from modelrouter.engine.model_matching import sets_below
from modelrouter.engine.request_matching import (
    MISSING,
    Index,
    Subject,
    fact_condition,
    level_condition,
)
from modelrouter.engine.truth import FALSE, TRUE, UNKNOWN, number_match, string_match
from modelrouter.proof import coherence
from modelrouter.proof.fields import ABSENT
from modelrouter.values import FactValue

if TYPE_CHECKING:
    from modelrouter.policy.matchers import (
        FactMatch,
        ModelMatcher,
        RequestMatcher,
        SetMatch,
        StringMatch,
    )
    from modelrouter.proof.space import Region, Space

__all__ = [
    "known_requests",
    "models_region",
    "size_and_task",
    "when_region",
]

Judge = Callable[[object], int]
"""Returns `FALSE`, `TRUE` or `UNKNOWN` for the value of an atom."""


def when_region(
    space: Space, matcher: RequestMatcher | None, *, unknown: bool, spent: bool = False
) -> Region:
    """Return the requests for which a condition holds; without one, all.

    Args:
        space: Must tell apart everything the condition mentions.
        matcher: The condition.
        unknown: Whether a request counts for which the condition is unknown.
        spent: Whether conditions on budgets count as true; otherwise as false.
    """
    if matcher is None:
        return space.all
    if matcher.budget is not None and not spent:
        return ()
    box = space.everything
    if matcher.level is not None:
        ranks = space.coherence.scheme.rank
        holds = level_condition(matcher.level, Index(levels=ranks, categories={}, facts={}))
        box &= sifted(space, "level", lambda name: holds(subject(level=ranks[str(name)])))
    box &= size_and_task(space, matcher)
    for name, wanted in (matcher.facts or {}).items():
        box &= sifted(space, f"fact:{name}", fact_judge(wanted), unknown=unknown)
    region: Region = (box,) if space.filled(box) else ()
    if matcher.categories is not None:
        yes = 1 << coherence.YES
        maybe = 1 << coherence.UNKNOWN if unknown else 0
        judged = Members("category:", 1 << coherence.NO | maybe, yes | maybe)
        region = narrowed(space, region, matcher.categories, judged)
    if matcher.needs is not None:
        region = narrowed(space, region, matcher.needs, Members("need:", 1, 2))
    return region


def size_and_task(space: Space, matcher: RequestMatcher) -> int:
    """Return the box of the tasks and input tokens that a condition asks for."""
    box = space.everything
    if matcher.task is not None:
        match = matcher.task
        box &= sifted(space, "task", lambda name: string_match(match, str(name)))
    if matcher.tokens is not None:
        bounds = matcher.tokens
        box &= sifted(space, "tokens", lambda value: number_match(bounds, whole(value)))
    return box


def sifted(space: Space, name: str, judge: Judge, *, unknown: bool = False) -> int:
    """Return the box that confines a field to the atoms for which a condition holds."""
    bits = 0
    for place, atom in enumerate(space.table.by_name[name].atoms):
        found = judge(atom.value)
        if found == TRUE or (unknown and found == UNKNOWN):
            bits |= 1 << place
    return space.only(name, bits)


class Members(NamedTuple):
    """How the members of a set stand in a space: a field for each.

    Attributes:
        prefix: Of the names of the fields.
        absent: The atoms that count as "not in the set".
        present: The atoms that count as "in the set".
    """

    prefix: str
    absent: int
    present: int


def narrowed(space: Space, region: Region, match: SetMatch, members: Members) -> Region:
    """Return the part of a region in which a set of names matches."""
    prefix, absent, present = members
    box = space.everything
    for name in match.all or ():
        box &= space.only(prefix + name, present)
    for name in match.none or ():
        box &= space.only(prefix + name, absent)
    region = space.meet(region, (box,))
    if match.any is not None:
        region = space.meet(region, [space.only(prefix + name, present) for name in match.any])
    return region


def subject(*, level: int = 0, value: FactValue | None = None) -> Subject:
    """Return a request of which one thing is read: its level, or its only fact."""
    return Subject(
        level=level,
        known=0,
        unknown=0,
        task="",
        needs=frozenset(),
        tokens=0,
        facts=(MISSING if value is None else value,),
        spent={},
    )


def fact_judge(match: FactMatch) -> Judge:
    """Return the judge of a fact's atoms."""
    holds = fact_condition(match, 0)
    return lambda value: holds(
        subject(value=value if isinstance(value, str | bool | int) else None)
    )


def whole(value: object) -> int | None:
    """Return a number, or None for an absent one."""
    return value if isinstance(value, int) else None


def known_requests(space: Space) -> Region:
    """Return the requests of which everything is known: no category, no fact is unknown."""
    box = space.everything
    for field in space.table.fields:
        if field.name.startswith("category:"):
            box &= ~(1 << coherence.UNKNOWN << field.offset)
        elif field.name.startswith("fact:") and field.atoms[-1].value is ABSENT:
            box &= ~(1 << (len(field.atoms) - 1) << field.offset)
    return (box,) if space.filled(box) else ()


def models_region(
    space: Space,
    matcher: ModelMatcher | None,
    sets: Mapping[str, ModelMatcher],
    *,
    unknown: bool,
    known: dict[tuple[str, bool], Region] | None = None,
) -> Region:
    """Return the conceivable models that a matcher covers; without one, all.

    Args:
        space: Must tell apart everything the matcher mentions.
        matcher: The matcher.
        sets: Named sets.
        unknown: Whether a model counts for which the matcher is unknown.
        known: The sets below, by name and `unknown`; each is worked out once.
    """
    if matcher is None:
        return space.all
    if known is None:
        known = {}
        for name in sets_below(matcher, sets):
            for side in (False, True):
                part = models_region(space, sets[name], sets, unknown=side, known=known)
                known[name, side] = part
    box = space.everything
    for name, judge in attribute_judges(matcher):
        box &= sifted(space, f"model:{name}", judge, unknown=unknown)
    region: Region = (box,) if space.filled(box) else ()
    for name in ("agreements", "tags", "capabilities"):
        match: SetMatch | None = getattr(matcher, name)
        if match is not None:
            region = space.meet(region, set_region(space, name, match, unknown=unknown))
    if matcher.set is not None:
        parts = [known[name, unknown] for name in matcher.set.equals]
        region = space.meet(region, space.join(*parts))
    if matcher.negated is not None:
        # `not` keeps unknown: what is not surely inside is perhaps outside.
        inside = models_region(space, matcher.negated, sets, unknown=not unknown, known=known)
        region = space.less(region, inside)
    return region


def attribute_judges(matcher: ModelMatcher) -> Iterable[tuple[str, Judge]]:
    """Yield each attribute with a single value that a matcher names, and its judge."""
    for name in ("id", "operator", "region", "licence"):
        match: StringMatch | None = getattr(matcher, name)
        if match is not None:
            yield name, text_judge(match)
    for name in ("hosting", "weights", "trains_on_data"):
        listed = getattr(matcher, name)
        if listed is not None:
            yield name, listed_judge(listed.equals)
    if matcher.retention_days is not None:
        days = matcher.retention_days
        yield "retention_days", lambda value: number_match(days, whole(value))


def text_judge(match: StringMatch) -> Judge:
    """Return the judge of an attribute that is text."""
    return lambda value: string_match(match, value if isinstance(value, str) else None)


def listed_judge(values: tuple[object, ...]) -> Judge:
    """Return the judge of an attribute with few values; an absent one is unknown."""

    def judge(value: object) -> int:
        if value is ABSENT:
            return UNKNOWN
        return TRUE if value in values else FALSE

    return judge


def set_region(space: Space, name: str, match: SetMatch, *, unknown: bool) -> Region:
    """Return the models whose set of names matches."""
    stated = (space.only(f"model:{name}", 1),)
    found = narrowed(space, stated, match, Members(f"model:{name}:", 1, 2))
    return space.join(found, (space.only(f"model:{name}", 2),)) if unknown else found
