"""Models: matchers that select none of them, and models that nobody may use."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from modelrouter.engine.model_matching import sets_below
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found
from modelrouter.lint.spelling import closest
from modelrouter.policy.matchers import ModelMatcher, StringMatch

__all__ = ["ineligible", "misspelling", "retiring", "selecting_nothing"]

NOTICE = datetime.timedelta(days=30)
"""How long before it retires a model is spoken of."""
VERBS = {
    "forbid": "forbids no model",
    "require": "requires models of which there is none",
    "permit": "permits no model",
    "floor": "binds no model",
    "obligate": "binds no model",
}


def selecting_nothing(context: LintContext) -> Iterator[Found]:
    """Yield rules and budgets whose `models` select nothing of the catalogue (MR205)."""
    for rule in context.standing:
        unknown = rule.effect not in {"permit", "require"}
        if rule.models is not None and not context.mask(rule.models, unknown_matches=unknown):
            yield Found(
                part=("rules", rule.id),
                at=("models",),
                message=f"rule `{rule.id}` {VERBS[rule.effect]} in the catalogue",
                hint=misspelling(rule.models, context),
            )
    for budget in context.policy.budgets:
        if budget.models is not None and not context.mask(budget.models, unknown_matches=True):
            yield Found(
                part=("budgets", budget.id),
                at=("models",),
                message=f"budget `{budget.id}` meters no model in the catalogue",
                hint=misspelling(budget.models, context),
            )


def misspelling(matcher: ModelMatcher, context: LintContext) -> str | None:
    """Return a hint on a name that resembles one of the catalogue, or None."""
    for attribute, name in named_in(matcher, context):
        known = values_of(attribute, context)
        found = None if name in known else closest(name, known)
        if found is not None:
            return f"{attribute} `{name}`: did you mean `{found}`?"
    return None


def named_in(matcher: ModelMatcher, context: LintContext) -> Iterator[tuple[str, str]]:
    """Yield attribute and name for each free text in a matcher and the sets it rests on."""
    sets = context.bundle.sets
    for part in (matcher, *(sets[name] for name in sets_below(matcher, sets))):
        yield from named_by(part)


def named_by(matcher: ModelMatcher) -> Iterator[tuple[str, str]]:
    """Yield attribute and name for each free text in a matcher alone."""
    for attribute in ("operator", "region", "licence"):
        match: StringMatch | None = getattr(matcher, attribute)
        for name in (match.equals if match is not None else None) or ():
            yield attribute, name
    for attribute, chosen in (("tags", matcher.tags), ("agreements", matcher.agreements)):
        if chosen is not None:
            yield from ((attribute, name) for name in (*(chosen.any or ()), *(chosen.all or ())))
    if matcher.negated is not None:
        yield from named_by(matcher.negated)


def values_of(attribute: str, context: LintContext) -> set[str]:
    """Return the values that an attribute has in the catalogue."""
    found: set[str] = set()
    for facts in context.facts:
        value: str | frozenset[str] | None = getattr(facts, attribute)
        found |= {value} if isinstance(value, str) else value or frozenset()
    return found


def ineligible(context: LintContext) -> Iterator[Found]:
    """Yield chat models that the guard leaves for no request (MR209)."""
    inline = {entry.id for entry in context.policy.models}
    usable = context.chats
    eligible = context.regions.eligible_within(usable, context.regions.known)
    for place, entry in enumerate(context.models):
        if not usable >> place & 1 or eligible >> place & 1:
            continue
        yield Found(
            part=("models", entry.id),
            stands=None if entry.id in inline else ("catalogs", ""),
            at=("id",) if entry.id in inline else (),
            message=f"model `{entry.id}` is never eligible for any request",
            hint="remove it or check the guard rules",
        )


def retiring(context: LintContext) -> Iterator[Found]:
    """Yield models that have retired or soon will (MR603)."""
    for entry in context.models:
        if entry.retires is None or entry.retires - context.at > NOTICE:
            continue
        gone = entry.retires <= context.at
        verb = "retired" if gone else "retires"
        yield Found(
            part=("models", entry.id),
            at=("retires",),
            message=f"model `{entry.id}` {verb} on {entry.retires.isoformat()}",
            hint="remove it" if gone else "check that others can take its calls",
        )
