"""Conditions on the model, evaluated once for each model when a policy is compiled."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.engine.truth import (
    FALSE,
    TRUE,
    UNKNOWN,
    either,
    negation,
    number_match,
    set_match,
    string_match,
)

if TYPE_CHECKING:
    from modelrouter.policy.catalogue import ModelEntry
    from modelrouter.policy.matchers import ModelMatcher, SetMatch, StringMatch

__all__ = ["ModelFacts", "expired", "facts_of", "match_model", "sets_below", "unstated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A catalogue entry as matchers see it on one day; None is unknown."""

    id: str
    hosting: str | None
    weights: str | None
    operator: str | None
    region: str | None
    licence: str | None
    retention_days: int | None
    trains_on_data: bool | None
    agreements: frozenset[str] | None
    tags: frozenset[str] | None
    capabilities: frozenset[str] | None


def facts_of(entry: ModelEntry, at: datetime.date) -> ModelFacts:
    """Return the facts of a model on one day. An expired fact is unknown."""
    own = not expired(entry.expires, at)
    data = entry.data if not expired(entry.data.expires, at) else None
    return ModelFacts(
        id=entry.id,
        hosting=entry.hosting if own else None,
        weights=entry.weights if own else None,
        operator=entry.operator if own else None,
        region=entry.region if own else None,
        licence=entry.licence if own else None,
        retention_days=data.retention_days if data else None,
        trains_on_data=data.trains_on_data if data else None,
        agreements=frozenset(data.agreements) if data else None,
        tags=frozenset(entry.tags) if own else None,
        capabilities=frozenset(entry.capabilities) if own else None,
    )


def expired(expires: datetime.date | None, at: datetime.date) -> bool:
    """Whether a fact's last day has passed."""
    return expires is not None and expires < at


def match_model(
    matcher: ModelMatcher,
    facts: ModelFacts,
    sets: Mapping[str, ModelMatcher],
    known: dict[str, int] | None = None,
) -> int:
    """Return whether a model matches: `FALSE`, `TRUE` or `UNKNOWN`.

    Args:
        matcher: The condition.
        facts: The model.
        sets: Named sets; they may refer to each other.
        known: What was found for this model of the sets below; each is looked at once.
    """
    answer = TRUE
    if known is None:
        known = {}
        for name in sets_below(matcher, sets):
            known[name] = match_model(sets[name], facts, sets, known)
    for found in model_conditions(matcher, facts, sets, known):
        if found == FALSE:
            return FALSE
        if found == UNKNOWN:
            answer = UNKNOWN
    return answer


def unstated(
    matcher: ModelMatcher, facts: ModelFacts, sets: Mapping[str, ModelMatcher]
) -> tuple[str, ...]:
    """Return the attributes that a condition reads and that are not known of a model, sorted."""
    parts: list[ModelMatcher] = []
    for start in (matcher, *(sets[name] for name in sets_below(matcher, sets))):
        part: ModelMatcher | None = start
        while part is not None:
            parts.append(part)
            part = part.negated
    unknown = (name for name in ModelFacts.__slots__ if getattr(facts, name) is None)
    return tuple(
        sorted(name for name in unknown if any(getattr(part, name) is not None for part in parts))
    )


def sets_below(matcher: ModelMatcher, sets: Mapping[str, ModelMatcher]) -> list[str]:
    """Return the sets that a condition rests on, each once and after those it rests on itself.

    Not by recursion: a chain of them may be thousands long.
    """
    found: dict[str, None] = {}
    waiting = named_sets(matcher)
    while waiting:
        below = [part for part in named_sets(sets[waiting[-1]]) if part not in found]
        if below and waiting[-1] not in found:
            waiting += below
        else:
            found[waiting.pop()] = None
    return [*found]


def named_sets(matcher: ModelMatcher | None) -> list[str]:
    """Return the sets that a condition names, also below `not`."""
    found: list[str] = []
    while matcher is not None:
        found += matcher.set.equals if matcher.set is not None else ()
        matcher = matcher.negated
    return found


def model_conditions(
    matcher: ModelMatcher,
    facts: ModelFacts,
    sets: Mapping[str, ModelMatcher],
    known: dict[str, int],
) -> list[int]:
    """Return the value of every condition of a matcher."""
    found: list[int] = []
    for name in ("id", "operator", "region", "licence"):
        match: StringMatch | None = getattr(matcher, name)
        if match is not None:
            found.append(string_match(match, getattr(facts, name)))
    for name in ("hosting", "weights", "trains_on_data"):
        listed = getattr(matcher, name)
        if listed is not None:
            value = getattr(facts, name)
            found.append(UNKNOWN if value is None else int(value in listed.equals))
    if matcher.retention_days is not None:
        found.append(number_match(matcher.retention_days, facts.retention_days))
    for name in ("agreements", "tags", "capabilities"):
        chosen: SetMatch | None = getattr(matcher, name)
        if chosen is not None:
            found.append(set_match(chosen, getattr(facts, name)))
    if matcher.set is not None:
        found.append(either([known[name] for name in matcher.set.equals]))
    if matcher.negated is not None:
        found.append(negation(match_model(matcher.negated, facts, sets, known)))
    return found
