"""Changes of a condition that make it hold for a little less, or a little more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Generic, TypeVar

from modelrouter.policy.matchers import (
    EVERY_MODEL,
    FactMatch,
    LevelMatch,
    ModelMatcher,
    NumberMatch,
    RequestMatcher,
    SetMatch,
)
from modelrouter.policy.shapes import Shape

__all__ = ["Change", "models_changes", "when_changes"]

ValueT_co = TypeVar("ValueT_co", covariant=True)
ShapeT = TypeVar("ShapeT", bound=Shape)
SHOWN: Mapping[str, str] = {"negated": "not"}
TIGHTER: Mapping[str, int] = {"at_least": 1, "above": 1, "at_most": -1, "below": -1}
"""Which way a bound moves to hold for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[ValueT_co]):
    """A condition after a change.

    Attributes:
        value: The changed condition.
        path: What was changed, from the matcher downwards: `categories.any`.
        words: How.
        narrows: Whether the condition holds for less than before; otherwise for more.
    """

    value: ValueT_co
    path: str
    words: str
    narrows: bool


def when_changes(
    when: RequestMatcher, levels: Sequence[str]
) -> Iterator[Change[RequestMatcher | None]]:
    """Yield every change of a condition on the call; None holds always.

    Args:
        when: The condition.
        levels: The policy's levels, lowest first.
    """
    conditions = said(when)
    for name, match in conditions.items():
        if name == "facts":
            continue
        rest = None if len(conditions) == 1 else when.model_copy(update={name: None})
        yield Change(value=rest, path=name, words="dropped", narrows=False)
        for part in match_changes(match, levels):
            yield placed(part, when.model_copy(update={name: part.value}), name)
    facts = when.facts or {}
    for name, fact in facts.items():
        others: dict[str, FactMatch] | None = {
            key: value for key, value in facts.items() if key != name
        }
        alone = len(conditions) == 1 and not others
        rest = None if alone else when.model_copy(update={"facts": others or None})
        yield Change(value=rest, path=f"facts.{name}", words="dropped", narrows=False)
        for part in match_changes(fact, levels):
            changed = when.model_copy(update={"facts": {**facts, name: part.value}})
            yield placed(part, changed, f"facts.{name}")


def models_changes(models: ModelMatcher) -> Iterator[Change[ModelMatcher]]:
    """Yield every change of a condition on the model."""
    conditions = said(models)
    for name, match in conditions.items():
        shown = SHOWN.get(name, name)
        rest = EVERY_MODEL if len(conditions) == 1 else models.model_copy(update={name: None})
        yield Change(value=rest, path=shown, words="dropped", narrows=False)
        if isinstance(match, ModelMatcher):  # under `not` less is more
            for inner in models_changes(match):
                if inner.value != EVERY_MODEL:
                    changed = models.model_copy(update={name: inner.value})
                    yield placed(replace(inner, narrows=not inner.narrows), changed, shown)
            continue
        for part in match_changes(match, ()):
            yield placed(part, models.model_copy(update={name: part.value}), shown)


def said(matcher: Shape) -> dict[str, Shape]:
    """Return the conditions that a matcher states, by name."""
    return {
        name: value
        for name in type(matcher).model_fields
        if (value := getattr(matcher, name)) is not None and not isinstance(value, bool)
    }


def placed(part: Change[Shape], value: ShapeT, name: str) -> Change[ShapeT]:
    """Return the change of a matcher that a change of one of its conditions makes."""
    path = f"{name}.{part.path}" if part.path else name
    return Change(value=value, path=path, words=part.words, narrows=part.narrows)


def match_changes(match: Shape, levels: Sequence[str]) -> Iterator[Change[Shape]]:
    """Yield every change of one condition."""
    if isinstance(match, SetMatch):
        yield from set_changes(match)
        return
    if isinstance(match, LevelMatch):
        yield from level_changes(match, levels)
        return
    yield from without_one(match, "equals", "", narrows=True)
    stated = [name for name in ("equals", "prefix", *TIGHTER) if stands(match, name)]
    for name in stated if len(stated) > 1 else ():
        update = {name: None}
        shown = "" if name == "equals" else name
        yield Change(
            value=match.model_copy(update=update), path=shown, words="dropped", narrows=False
        )
    if isinstance(match, NumberMatch | FactMatch):
        yield from bound_changes(match)


def stands(match: Shape, name: str) -> bool:
    """Whether a condition states one of its keys."""
    return getattr(match, name, None) is not None


def without_one(match: Shape, key: str, path: str, *, narrows: bool) -> Iterator[Change[Shape]]:
    """Yield a list of several without each of its items."""
    items: tuple[object, ...] = getattr(match, key, None) or ()
    for place, item in enumerate(items) if len(items) > 1 else ():
        rest = (*items[:place], *items[place + 1 :])
        yield Change(
            value=match.model_copy(update={key: rest}),
            path=path,
            words=f"without `{item}`",
            narrows=narrows,
        )


def set_changes(match: SetMatch) -> Iterator[Change[Shape]]:
    """Yield every change of a condition on a set of names."""
    yield from without_one(match, "any", "any", narrows=True)
    yield from without_one(match, "all", "all", narrows=False)
    yield from without_one(match, "none", "none", narrows=False)
    stated = [name for name in ("any", "all", "none") if stands(match, name)]
    for name in stated if len(stated) > 1 else ():
        changed = match.model_copy(update={name: None})
        yield Change(value=changed, path=name, words="dropped", narrows=False)


def bound_changes(match: NumberMatch | FactMatch) -> Iterator[Change[Shape]]:
    """Yield bounds of whole numbers moved by one."""
    for name, tighter in TIGHTER.items():
        value: Decimal | int | None = getattr(match, name)
        if value is None:
            continue
        for step, narrows in ((tighter, True), (-tighter, False)):
            changed = match.model_copy(update={name: value + step})
            words = f"{value + step} instead of {value}"
            yield Change(value=changed, path=name, words=words, narrows=narrows)


def level_changes(match: LevelMatch, levels: Sequence[str]) -> Iterator[Change[Shape]]:
    """Yield a condition on the level with one level more or less."""
    yield from without_one(match, "equals", "", narrows=True)
    before = accepted(match, levels)
    for key, step in (("at_least", 1), ("at_least", -1), ("at_most", -1), ("at_most", 1)):
        bound: str | None = getattr(match, key)
        place = -1 if bound is None else levels.index(bound) + step
        if not 0 <= place < len(levels):
            continue
        changed = match.model_copy(update={key: levels[place]})
        after = accepted(changed, levels)
        if after and after != before and len(after) < len(levels):  # not never, not always
            words = f"{levels[place]} instead of {bound}"
            narrows = len(after) < len(before)
            yield Change(value=changed, path=key, words=words, narrows=narrows)
    lowest = min((levels.index(name) for name in match.equals or ()), default=0)
    if lowest:
        name = levels[lowest - 1]
        added = match.model_copy(update={"equals": (*(match.equals or ()), name)})
        if before < accepted(added, levels) < frozenset(levels):
            yield Change(value=added, path="", words=f"`{name}` as well", narrows=False)


def accepted(match: LevelMatch, levels: Sequence[str]) -> frozenset[str]:
    """Return the levels that a condition accepts."""
    low = 0 if match.at_least is None else levels.index(match.at_least)
    high = len(levels) - 1 if match.at_most is None else levels.index(match.at_most)
    within = frozenset(levels[low : high + 1])
    return within if match.equals is None else within.intersection(match.equals)
