"""Whether two policies ever decide differently, and a request on which they do.

The regions of `profile` find where a difference can be; a request from there is decided by
both policies before it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.asking import request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.engine.subject import label_of
from modelrouter.errors import CallError
from modelrouter.mutation.profile import Profile, ceilings_of, profile_of
from modelrouter.policy.suite import AskedRequest, Given
from modelrouter.proof.coherence import NO, UNKNOWN, YES
from modelrouter.proof.conditions import known_requests
from modelrouter.proof.examples import asked_at
from modelrouter.proof.layout import mentions_of, space_of
from modelrouter.proof.space import TooHardError
from modelrouter.values import Request, usd

if TYPE_CHECKING:
    from modelrouter.decision import Candidate, Decision
    from modelrouter.engine.clauses import Engine, MeterClause
    from modelrouter.labels import Label
    from modelrouter.proof.space import Region, Space

__all__ = ["Difference", "Witness", "difference_of"]

BOXES_TRIED = 50
OUTPUTS = (500, 100, 1)
"""Output tokens to try: a small model cannot write 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A request on which two policies differ.

    Attributes:
        request: As `modelrouter decide` reads it.
        before: What the first decides, in words.
        after: What the second decides.
        routes: Whether the candidates or what they come with differ.
    """

    request: AskedRequest
    before: str
    after: str
    routes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What was found out about two policies.

    Attributes:
        equivalent: Whether they are proved to decide alike on every request.
        witness: A request on which they differ; None if none was found.
    """

    equivalent: bool
    witness: Witness | None = None


def difference_of(before: Engine, after: Engine) -> Difference:
    """Return whether two versions of a policy decide alike, with a request if they do not.

    Both have the same catalogue, labels, tasks and facts, and are compiled for the same day.
    """
    space = space_of(before.bundle, mentions_of([before.bundle, after.bundle]))
    ceilings = ceilings_of((before, after))
    try:
        profiles = profile_of(space, before, ceilings), profile_of(space, after, ceilings)
        boxes = [*differing(space, *profiles)]
        unlabelled = [*differing_unlabelled(space, profiles[0], before, after)]
    except TooHardError:
        return Difference(equivalent=False)
    if not boxes and not unlabelled:
        return Difference(equivalent=True)
    asked = (*requests_in(space, boxes, before), *unlabelled_in(space, unlabelled, before))
    return Difference(equivalent=False, witness=first_witness(asked, before, after))


def differing(space: Space, before: Profile, after: Profile) -> Iterator[int]:
    """Yield boxes in which two policies do something else."""
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key, ()), after.get(key, ())
        if one != other:
            yield from filter(space.possible, space.less(one, other))
            yield from filter(space.possible, space.less(other, one))


def differing_unlabelled(
    space: Space, profile: Profile, before: Engine, after: Engine
) -> Iterator[tuple[str, int]]:
    """Yield task and box where a call nobody labelled meets something else.

    The labels are left out of the boxes: one policy takes the call for one label, the other
    for another.
    """
    for task in sorted(before.bundle.words.tasks):
        labels = [label_of(Request(task=task), task, engine) for engine in (before, after)]
        points = [box_of(space, label, task) for label in labels]
        if points[0] == points[1]:
            continue
        for region in profile.values():
            one, other = (without_labels(space, region, point) for point in points)
            yield from ((task, box) for box in space.less(one, other))
            yield from ((task, box) for box in space.less(other, one))


def box_of(space: Space, label: Label, task: str) -> int:
    """Return the box of the requests with a label and a task."""
    ranks = space.coherence.scheme.rank
    tasks = [atom.value for atom in space.table.by_name["task"].atoms]
    box = space.only("level", 1 << ranks[label.level]) & space.only("task", 1 << tasks.index(task))
    for name in space.coherence.categories:
        certain = YES if name in label.categories else UNKNOWN if name in label.unknown else NO
        box &= space.only(f"category:{name}", 1 << certain)
    return box


def without_labels(space: Space, region: Region, point: int) -> Region:
    """Return the part of a region at a label and a task, over every label."""
    fields = [space.coherence.level, *space.coherence.categories.values()]
    labels = sum(part.mask for part in fields)
    return tuple(box & point | labels for box in region if space.filled(box & point))


def requests_in(space: Space, boxes: list[int], engine: Engine) -> Iterator[AskedRequest]:
    """Yield a request of each box; where everything is known comes first."""
    known = known_requests(space)
    for box in (*space.meet(boxes, known), *boxes)[:BOXES_TRIED]:
        asked = asked_at(space.point(box), engine)
        if asked is not None:
            yield asked


def unlabelled_in(
    space: Space, boxes: list[tuple[str, int]], engine: Engine
) -> Iterator[AskedRequest]:
    """Yield a request without a label of each box."""
    for task, box in boxes[:BOXES_TRIED]:
        label = engine.scheme.label(categories=carried_by(engine, task))
        here = box & box_of(space, label, task)
        asked = asked_at(space.point(here), engine) if space.possible(here) else None
        if asked is not None:
            yield asked.model_copy(update={"level": None, "categories": ()})


def carried_by(engine: Engine, task: str) -> tuple[str, ...]:
    """Return the categories that a task brings."""
    tasks = engine.bundle.policy.tasks
    return tasks[task].carries if tasks else ()


def first_witness(asked: tuple[AskedRequest, ...], before: Engine, after: Engine) -> Witness | None:
    """Return the first request on which two policies differ, in the plainest world.

    A world in which other candidates come out is shown rather than one in which only the
    stage of a denial or a warning differs.
    """
    second: Witness | None = None
    for request in asked:
        for given in worlds_of(request, before, after):
            for output in OUTPUTS:
                tried = request.model_copy(update={"given": given, "max_output": output})
                found = compared(tried, before, after)
                if found is not None and found.routes:
                    return found
                second = second or found
        if second is not None:
            return second
    return None


def worlds_of(request: AskedRequest, before: Engine, after: Engine) -> Iterator[Given]:
    """Yield states of the world: nothing spent, budgets more and more spent, models down."""
    chats = [entry.id for entry in before.bundle.models if entry.role == "chat"]
    down: list[dict[str, str]] = [{}]
    down += [{name: "down" for name in chats if name != kept} for kept in chats]
    decision = decide(request_from(request, before), snapshot_from(Given(), before))
    for health in down:
        yield Given.model_validate({"health": health})
        for name in dict.fromkeys(part.budget.id for part in (*before.meters, *after.meters)):
            meters = [part for part in (*before.meters, *after.meters) if part.budget.id == name]
            for amount in sorted({*amounts_of(meters, decision)}):
                unit = meters[0].unit
                spent = usd(amount) if unit == "usd" else amount
                yield Given.model_validate({"budgets": {name: spent}, "health": health})


def amounts_of(meters: list[MeterClause], decision: Decision) -> Iterator[int]:
    """Yield what of a budget may be spent: half, all, and all but what a candidate needs."""
    for meter in meters:
        yield from (meter.limit // 2, meter.limit)
        for part in decision.candidates:
            worst = {"usd": part.worst_pico, "tokens": part.worst_tokens}.get(meter.unit, 1)
            if worst is not None and worst <= meter.limit:
                yield meter.limit - worst


def compared(asked: AskedRequest, before: Engine, after: Engine) -> Witness | None:
    """Return what two policies say of a request, or None if they say the same."""
    try:
        said = [
            decide(request_from(asked, engine), snapshot_from(asked.given, engine))
            for engine in (before, after)
        ]
    except CallError:
        return None
    if observed(said[0]) == observed(said[1]):
        return None
    stages = said[0].deny_stage == said[1].deny_stage
    one, other = (in_words(part, warnings=stages) for part in said)
    routes = observed(said[0])[0] != observed(said[1])[0]
    return Witness(request=asked, before=one, after=other, routes=routes)


def observed(decision: Decision) -> tuple[object, ...]:
    """Return what a test can see of a decision, but for the clauses that it names."""
    routes = tuple((part.model, part.obligations) for part in decision.candidates)
    return routes, decision.deny_stage, decision.warnings


def in_words(decision: Decision, *, warnings: bool) -> str:
    """Return a decision in one line."""
    said = [candidate_text(part) for part in decision.candidates]
    text = ", ".join(said) or f"deny at {decision.deny_stage}"
    warned = f" ({', '.join(decision.warnings)})" if warnings and decision.warnings else ""
    return f"{text}{warned}"


def candidate_text(candidate: Candidate) -> str:
    """Return a candidate with what it comes with."""
    asked = [
        f"{name} {'+'.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in candidate.obligations.as_json().items()
    ]
    return f"{candidate.model} [{', '.join(asked)}]" if asked else candidate.model
