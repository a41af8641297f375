"""The decision: a pure function of a request and a snapshot.

In order: required facts, the guard (what is forbidden), capabilities, budgets, floors,
obligations; then the objective ranks what is left, and its rollout moves one model to the front
or to the end. Nothing after the guard adds a model.
An empty set at any stage is a denial that names the stage and the clauses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from modelrouter.decision import Candidate, Decision, Reason, Removal
from modelrouter.engine.clauses import Engine, ObligateClause
from modelrouter.engine.costs import TaskQuality
from modelrouter.engine.guard import Guarded, guard
from modelrouter.engine.obliging import combine, matching_obligations, unfulfilled
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.rolling import reordered
from modelrouter.engine.sizing import Sizes, sizes_of
from modelrouter.engine.spending import meter
from modelrouter.engine.subject import Asked, read_request
from modelrouter.engine.suitability import capability_removals, floor_removals
from modelrouter.engine.truth import TRUE
from modelrouter.objectives import choose_objective, rank
from modelrouter.values import Request

__all__ = ["NOTHING_SPENT", "Snapshot", "decide"]

NOTHING_SPENT: Mapping[str, Fraction] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a decision may look at besides the request.

    Attributes:
        engine: The compiled policy, for one day.
        spent: Spent and held so far by budget id, for this request's account, in the
            budget's unit: pico-dollars, tokens or calls.
        down: Models known not to answer.
        unfulfillable: Obligations nobody can carry out here: `redact`, `approval`.
    """

    engine: Engine
    spent: Mapping[str, int] = field(default_factory=dict[str, int])
    down: frozenset[str] = frozenset()
    unfulfillable: frozenset[str] = frozenset()


def decide(request: Request, snapshot: Snapshot) -> Decision:
    """Return which models may serve `request`, best first, and why the others may not.

    Raises:
        CallError: The request names a task, label, fact, model or capability the policy
            does not declare.
    """
    engine = snapshot.engine
    asked = read_request(request, engine, shares_spent(snapshot))
    if asked.missing is not None:
        return missing_fact(asked, asked.missing, engine)
    subject = asked.subject
    sizes = sizes_of(request, subject.task, engine)
    guarded = guard(subject, engine)
    unable = capability_removals(request, sizes, engine, snapshot.down)
    chats = engine.everything & ~engine.table.not_chat
    eligible = guarded.eligible & chats
    able = eligible & ~union(unable)
    metered = meter(
        subject, able, sizes, limits=request.limits, engine=engine, spent=snapshot.spent
    )
    floored = floor_removals(subject, request.limits, sizes, metered, engine)
    funded = able & ~union(metered.removals)
    standing = funded & ~union(floored.removals)
    obliged = matching_obligations(subject, engine)
    refused = unfulfilled(standing, obliged, asked.label, snapshot.unfulfillable, engine.memory)
    left = standing & ~union(refused)
    removals = (*guarded.removals, *unable, *metered.removals, *floored.removals, *refused)
    stage, entered = emptied_at(guarded, (chats, eligible, able, funded, standing, left))
    objective, goals = choose_objective(subject, engine)
    quality = engine.table.quality[subject.task]
    ranked = rank(left, goals, sizes, quality.values, engine)
    order, side = reordered(ranked, engine.rollouts.get(objective or ""), subject)
    return Decision(
        outcome="route" if left else "deny",
        candidates=candidates_of(order, sizes, quality, obliged, engine),
        removals=removals,
        models=engine.ids,
        label=asked.label,
        task=subject.task,
        warnings=(*metered.warnings, *floored.warnings, *retirement(order, engine)),
        deny_stage=stage,
        rules=rules_of_denial(stage, removals, entered)
        if stage
        else rules_of_route(guarded, floored.matched, obliged, left),
        unclassified=doubts(asked) if stage == "unclassified" else (),
        objective=objective,
        runtime=choose_runtime(subject, engine),
        degraded=metered.degraded,
        advisory=advice(subject, engine),
        rollout=side,
        policy=engine.bundle.name,
        policy_digest=engine.bundle.digest,
    )


def candidates_of(
    order: Sequence[int],
    sizes: Sizes,
    quality: TaskQuality,
    obliged: Sequence[ObligateClause],
    engine: Engine,
) -> tuple[Candidate, ...]:
    """Return the candidates in their order, each with its figures and obligations."""
    ids, memory, values, basis = engine.ids, engine.memory, quality.values, quality.basis
    expected, worst, worst_tokens = sizes.expected, sizes.worst, sizes.worst_tokens
    return tuple(
        [
            Candidate(
                ids[place],
                expected[place],
                worst[place],
                worst_tokens(place),
                values[place],
                basis[place],
                combine(obliged, place, memory),
            )
            for place in order
        ]
    )


def union(removals: Sequence[Removal]) -> int:
    """Return the models that any of `removals` removes."""
    found = 0
    for part in removals:
        found |= part.models
    return found


def shares_spent(snapshot: Snapshot) -> Mapping[str, Fraction]:
    """Return the share of each budget that is gone, for objectives and advisory rules."""
    if not snapshot.spent or not snapshot.engine.reads_budgets:
        return NOTHING_SPENT
    return {
        clause.budget.id: Fraction(snapshot.spent.get(clause.budget.id, 0), clause.limit)
        if clause.limit
        else Fraction(1)
        for clause in snapshot.engine.meters
    }


STAGES = ("guard", "capability", "budget", "floor", "obligation")


def emptied_at(guarded: Guarded, sets: Sequence[int]) -> tuple[str | None, int]:
    """Return the stage after which no model was left, and the models that entered it.

    Args:
        guarded: What the guard left.
        sets: The models before the first stage and after each.
    """
    for stage, entered, left in zip(STAGES, sets, sets[1:], strict=False):
        if not left:
            rests_on_unknown = stage == "guard" and entered & ~guarded.definite
            return "unclassified" if rests_on_unknown else stage, entered
    return None, 0


def rules_of_denial(stage: str, removals: Sequence[Removal], entered: int) -> tuple[str, ...]:
    """Return the clauses that emptied the set: those that removed a model which was left."""
    wanted = "guard" if stage == "unclassified" else stage
    found = {
        part.reason.rule.id
        for part in removals
        if part.reason.stage == wanted and part.models & entered
    }
    return tuple(sorted(name for name in found if name is not None))


def rules_of_route(
    guarded: Guarded, floors: Sequence[str], obliged: Sequence[ObligateClause], left: int
) -> tuple[str, ...]:
    """Return the clauses that shaped a route."""
    named = {part.reason.rule.id for part in guarded.removals}
    named.update(guarded.permits, floors, (part.id for part in obliged if part.mask & left))
    return tuple(sorted(name for name in named if name is not None))


def doubts(asked: Asked) -> tuple[str, ...]:
    """Return what was not classified, and why."""
    return (*asked.label.because, *(f"fact `{name}` is missing" for name in asked.silent))


def choose_runtime(subject: Subject, engine: Engine) -> int | None:
    """Return the place of the runtime section that governs; unknown counts as no match."""
    for place, (_, when) in enumerate(engine.runtimes):
        if when is None or when(subject) == TRUE:
            return place
    return None


def advice(subject: Subject, engine: Engine) -> tuple[str, ...]:
    """Return the advisory rules that would have applied."""
    return tuple(name for name, when in engine.advisory if when is None or when(subject))


def retirement(order: Sequence[int], engine: Engine) -> Sequence[str]:
    """Return the warning that the chosen model retires soon, if it does."""
    if not order or order[0] not in engine.retiring:
        return ()
    return (engine.retiring[order[0]],)


def missing_fact(asked: Asked, name: str, engine: Engine) -> Decision:
    """Return the denial of a call that lacks a required fact; nothing else is looked at."""
    stage = f"missing_fact:{name}"
    reason = Reason(
        stage=stage,
        rule=replace(engine.bundle.place("facts", name), id=None),
        detail=f"fact `{name}` is required and missing",
    )
    return Decision(
        outcome="deny",
        candidates=(),
        removals=(Removal(models=engine.everything, reason=reason),),
        models=engine.ids,
        label=asked.label,
        task=asked.subject.task,
        warnings=(),
        deny_stage=stage,
        rules=(),
        unclassified=(),
        objective=None,
        runtime=None,
        degraded=(),
        advisory=(),
        rollout=None,
        policy=engine.bundle.name,
        policy_digest=engine.bundle.digest,
    )
