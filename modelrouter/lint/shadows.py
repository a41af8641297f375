"""Rules that change nothing because others say as much: for any model, or for today's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from modelrouter.engine.spending import places
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found
from modelrouter.lint.regions import Bounded, Covered
from modelrouter.lint.strictness import Demand, demands_of, satisfies
from modelrouter.policy.document import Rule
from modelrouter.proof.conditions import models_region, when_region
from modelrouter.proof.guarding import effect_region
from modelrouter.proof.space import Region, TooHardError

__all__ = ["inert", "redundant", "superfluous"]

Reach = dict[int, Region]
"""What a rule speaks of: requests by place of the model, or all models under -1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A rule with what it asks, and of which requests and models.

    Attributes:
        rule: The rule.
        demands: What it asks.
        reach: Where.
    """

    rule: Rule
    demands: tuple[Demand, ...]
    reach: Reach


def superfluous(context: LintContext) -> Iterator[Found]:
    """Yield rules without which no decision would differ, whatever the catalogue (MR201).

    What differs is who is a candidate, and what is asked of whom; the reasons of a denial may
    well be others, and with them whether it is called `guard` or `unclassified`.
    Later rules are looked at first, and what is found covers nothing: all that is found
    can be removed together.
    """
    found = covered_anywhere(context)
    for rule, names in found.rules:
        yield Found(
            part=("rules", rule.id),
            at=("id",),
            message=f"rule `{rule.id}` changes nothing: removing it changes no candidate and no "
            "obligation for any model",
            hint=f"already covered by {', '.join(sorted(names))}",
        )
    if not found.complete:
        raise TooHardError


def redundant(context: LintContext) -> Iterator[Found]:
    """Yield rules that matter for other models than the present ones only (MR211)."""
    space = context.regions.requests
    gone = {rule.id for rule, _ in covered_anywhere(context).rules}
    reach = partial(present_reach, context, kinds_of_models(context))
    clauses = [part for part in clauses_of(context, reach, space) if part.rule.id not in gone]
    found = Covered(rules=[], complete=True)
    for clause in clauses:
        found = decided(clause, [part for part in clauses if part is not clause], space, found)
    for rule, names in found.rules:
        yield Found(
            part=("rules", rule.id),
            at=("id",),
            message=f"rule `{rule.id}` is redundant with the present catalogue "
            "(it would matter for other models)",
            hint=f"today covered by {', '.join(sorted(names))}",
        )
    if not found.complete:
        raise TooHardError


def inert(context: LintContext) -> Iterator[Found]:
    """Yield permits that apply only where no permit is needed (MR212)."""
    space = context.regions.requests
    for rule in context.in_force:
        if rule.effect != "permit":
            continue
        requests = context.regions.when(rule.when, unknown=False)
        gate = gate_of(rule, context)
        if requests and not space.touches(requests, (above(space, gate),)):
            levels = context.engine.scheme.levels
            needed = f"below `{levels[gate]}`" if gate < len(levels) else "where it stands"
            yield Found(
                part=("rules", rule.id),
                at=("id",),
                message=f"permit `{rule.id}` is inert: {needed} no permit is needed",
                hint="lower `default_deny_from`, or forbid the other models",
            )


def gate_of(rule: Rule, context: LintContext) -> int:
    """Return the place of the level from which a permit's layer needs one; none is the last."""
    gates = context.engine.gates
    own = (gate for gate in gates if any(clause.id == rule.id for clause in gate.permits))
    found = next(own, None)
    return len(context.engine.scheme.levels) if found is None else found.deny_from


def above(space: Bounded, gate: int) -> int:
    """Return the box of the requests that need a permit."""
    levels = len(space.table.by_name["level"].atoms)
    return space.only("level", (1 << levels) - (1 << gate))


def clauses_of(
    context: LintContext, reach: Callable[[Rule], Reach], space: Bounded
) -> list[Clause]:
    """Return the rules in force that reach anything, in the order of the file."""
    found: list[Clause] = []
    for rule in context.in_force:
        spoken = reach(rule)
        if rule.effect == "permit":
            box = above(space, gate_of(rule, context))
            spoken = {place: space.meet(part, (box,)) for place, part in spoken.items()}
        held = {
            place: boxes
            for place, part in spoken.items()
            if (boxes := tuple(box for box in part if space.possible(box)))
        }
        if held:
            demands = demands_of(rule, context.engine)
            found.append(Clause(rule=rule, demands=demands, reach=held))
    return found


def universal_reach(context: LintContext, space: Bounded, rule: Rule) -> Reach:
    """Return the requests and conceivable models that a rule speaks of."""
    if rule.effect in {"forbid", "require", "permit"}:
        return {-1: effect_region(space, rule, context.engine)}
    requests = when_region(space, rule.when, unknown=True)
    models = models_region(space, rule.models, context.bundle.sets, unknown=True)
    return {-1: space.meet(requests, models)}


def kinds_of_models(context: LintContext) -> int:
    """Return one model of each kind: those that no rule tells apart are of one kind."""
    masks = [context.affected(rule) for rule in context.in_force]
    kinds: dict[int, int] = {}
    for place in range(len(context.models)):
        signature = sum(1 << number for number, mask in enumerate(masks) if mask >> place & 1)
        kinds.setdefault(signature, place)
    return sum(1 << place for place in kinds.values())


def present_reach(context: LintContext, kinds: int, rule: Rule) -> Reach:
    """Return the requests that a rule speaks of, for each kind of model that it selects."""
    requests = context.regions.when(rule.when, unknown=rule.effect != "permit")
    return dict.fromkeys(places(context.affected(rule) & kinds), requests)


def covered_anywhere(context: LintContext) -> Covered:
    """Return the rules that change nothing for any model; the last of the file come first."""
    regions = context.regions
    if regions.covered is None:
        space = regions.universe
        remaining = clauses_of(context, partial(universal_reach, context, space), space)
        found = Covered(rules=[], complete=True)
        for clause in remaining[::-1]:
            others = [part for part in remaining if part is not clause]
            before = len(found.rules)
            found = decided(clause, others, space, found)
            if len(found.rules) > before:
                remaining = others
        regions.covered = found
    return regions.covered


def decided(clause: Clause, others: Sequence[Clause], space: Bounded, before: Covered) -> Covered:
    """Return what is covered, one more rule decided; one that is too hard counts as needed."""
    try:
        names = coverers(clause, others, space)
    except TooHardError:
        return before._replace(complete=False)
    return before._replace(rules=[*before.rules, (clause.rule, names)]) if names else before


def coverers(clause: Clause, others: Sequence[Clause], space: Bounded) -> list[str]:
    """Return the rules that cover a rule, in the order of the file; none if it matters."""
    if not all(
        is_covered(region, taken_at(place, demand, others), space)
        for demand in clause.demands
        for place, region in clause.reach.items()
    ):
        return []
    left = {
        (demand, place): region
        for demand in clause.demands
        for place, region in clause.reach.items()
    }
    names: list[str] = []
    for other in others:
        took = False
        for (demand, place), region in [*left.items()]:
            against = other.reach.get(place, ())
            if not any(satisfies(part, demand) for part in other.demands):
                continue
            if not space.touches(region, against):
                continue
            took = True
            left[demand, place] = space.less(region, against)
        if took:
            names.append(other.rule.id)
        left = {key: region for key, region in left.items() if region}
        if not left:
            break
    return names


def taken_at(place: int, demand: Demand, others: Sequence[Clause]) -> list[int]:
    """Return where other rules ask at least as much of a model."""
    able = (part for part in others if any(satisfies(asked, demand) for asked in part.demands))
    return [box for part in able for box in part.reach.get(place, ())]


def is_covered(region: Region, taken: Sequence[int], space: Bounded) -> bool:
    """Whether nothing of a region is left."""
    return space.leftover(region, taken) is None
