"""Facts: what the calling code may say of itself, and defaults that loosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found, listed
from modelrouter.lint.regions import Bounded
from modelrouter.lint.shadows import Clause, clauses_of, universal_reach
from modelrouter.lint.strictness import satisfies
from modelrouter.policy.document import Fact, Rule
from modelrouter.policy.matchers import FactMatch, RequestMatcher
from modelrouter.proof.fields import ABSENT, Field
from modelrouter.proof.space import Region

__all__ = ["caller_supplied", "loosening_defaults"]


def caller_supplied(context: LintContext) -> Iterator[Found]:
    """Yield rules that rest on a fact which the calling code sets as it likes (MR302)."""
    for rule in context.in_force:
        for name, match in (rule.when.facts or {} if rule.when is not None else {}).items():
            if context.policy.facts[name].source != "caller":
                continue
            if not decisive(name, match, rule, context):
                continue
            depends = (
                f"permit `{rule.id}` depends on"
                if rule.effect == "permit"
                else f"{rule.effect} `{rule.id}` can be escaped through"
            )
            yield Found(
                part=("rules", rule.id),
                at=("when", "facts", name),
                message=f"{depends} caller-supplied fact `{name}`, "
                "which the calling code can set to anything",
                hint="use a fact with source: auth or host",
            )


def decisive(name: str, match: FactMatch, rule: Rule, context: LintContext) -> bool:
    """Whether some value opens a permit, or takes a call out of any other rule."""
    field = context.regions.requests.table.by_name[f"fact:{name}"]
    held = context.regions.when(RequestMatcher.model_construct(facts={name: match}), unknown=False)
    true = 0
    for box in held:
        true |= field.bits(box)
    stated = sum(1 << place for place, atom in enumerate(field.atoms) if atom.value is not ABSENT)
    return bool(true & stated) if rule.effect == "permit" else bool(stated & ~true)


def loosening_defaults(context: LintContext) -> Iterator[Found]:
    """Yield facts whose default escapes a rule that another value would meet (MR305).

    For a permit it is the other way round: the default must open none that another value
    would not.
    """
    read = {
        name for rule in context.in_force if rule.when is not None for name in rule.when.facts or {}
    }
    named = [
        (name, fact)
        for name, fact in context.policy.facts.items()
        if fact.default is not None and name in read
    ]
    if not named:
        return
    space = context.regions.universe
    clauses = clauses_of(context, partial(universal_reach, context, space), space)
    for name, fact in named:
        rules = escaped(name, fact, clauses, space)
        if rules:
            yield Found(
                part=("facts", name),
                at=("default",),
                message=f"the default of fact `{name}` escapes what another value would meet: "
                f"{listed(rules)}",
                hint="write `when_missing: strictest` or `required: true` instead",
            )


def escaped(name: str, fact: Fact, clauses: Sequence[Clause], space: Bounded) -> list[str]:
    """Return the rules that a default escapes, or the permits that it opens."""
    field = space.table.by_name[f"fact:{name}"]
    usual = next(
        place
        for place, atom in enumerate(field.atoms)
        if type(atom.value) is type(fact.default) and atom.value == fact.default
    )
    others = [place for place in range(len(field.atoms)) if place != usual]
    found: list[str] = []
    for clause in clauses:
        if clause.rule.when is None or name not in (clause.rule.when.facts or {}):
            continue
        permit = clause.rule.effect == "permit"
        pairs = [(usual, other) if permit else (other, usual) for other in others]
        if any(loosens(clause, clauses, field, pair, space) for pair in pairs):
            found.append(clause.rule.id)
    return found


def loosens(
    clause: Clause,
    clauses: Sequence[Clause],
    field: Field,
    pair: tuple[int, int],
    space: Bounded,
) -> bool:
    """Whether what a rule does at one value of a fact is not done at another by any rule."""
    here, there = pair
    for demand in clause.demands:
        left = at_value(clause.reach[-1], field, here, space)
        for other in clauses:
            if left and any(satisfies(part, demand) for part in other.demands):
                left = space.less(left, at_value(other.reach[-1], field, there, space))
        if left:
            return True
    return False


def at_value(region: Region, field: Field, place: int, space: Bounded) -> Region:
    """Return a region's part at one value of a fact, the fact left open."""
    boxes = [box | field.mask for box in region if field.bits(box) >> place & 1]
    return tuple(box for box in boxes if space.possible(box))
