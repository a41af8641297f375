"""Who may receive a call, and what a model may receive: the guard of one policy as regions.

The guard alone is the answer. What else can keep a model from serving a call it may receive
(a capability it lacks, a floor it is below) is told apart.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from modelrouter.comparison.boxes import box_text, cover, unlabelled_calls
from modelrouter.comparison.effort import Effort
from modelrouter.comparison.guarded import Side, allowed, side_of
from modelrouter.comparison.joint import Joint, carries_of, joint_space
from modelrouter.comparison.reading import Reading
from modelrouter.decision import RuleRef
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.suitability import slower
from modelrouter.labels import Label
from modelrouter.policy.matchers import RequestMatcher
from modelrouter.proof.coherence import YES
from modelrouter.proof.layout import mentions_of
from modelrouter.proof.space import TooHardError

if TYPE_CHECKING:
    from modelrouter.engine.clauses import FloorClause
    from modelrouter.policy.bundle import Bundle
    from modelrouter.proof.space import Region
    from modelrouter.values import FactValue

__all__ = [
    "Answer",
    "Obstacle",
    "Outlined",
    "Verdict",
    "asked_calls",
    "received",
    "side_for",
    "who_can",
]

Verdict = Literal["always", "sometimes", "never", "unknown"]
NO_PERMIT = "no permit covers it at this level"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlined:
    """What is said of a call; the rest is open.

    Attributes:
        level: The declared level. The call's level is then what this and the categories close
            to, for each task.
        categories: Categories it carries.
        unlabelled: Whether nobody labelled it.
        task: Its task.
        needs: Capabilities it needs.
        facts: Facts of it.
    """

    level: str | None = None
    categories: tuple[str, ...] = ()
    unlabelled: bool = False
    task: str | None = None
    needs: tuple[str, ...] = ()
    facts: Mapping[str, FactValue] = field(default_factory=dict[str, "FactValue"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What forbids calls to a model.

    Attributes:
        rule: The clause; without an id where no clause speaks.
        detail: For people.
        whole: Whether it forbids every call that is asked about.
    """

    rule: RuleRef
    detail: str
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether a model may receive a call.

    Attributes:
        model: Its id.
        verdict: `unknown` where the question is too hard; that is no permission.
        regions: Of `sometimes`, where it may, for people.
        more: How many smaller parts of the region are left out.
        obstacles: What forbids the call, or a part of what it leaves open.
        besides: What else can keep it from serving the call, for people.
    """

    model: str
    verdict: Verdict
    regions: tuple[str, ...] = ()
    more: int = 0
    obstacles: tuple[Obstacle, ...] = ()
    besides: tuple[str, ...] = ()


def who_can(
    bundle: Bundle, call: Outlined, *, at: datetime.date, model: str | None = None
) -> Iterator[Answer]:
    """Yield for each model, or for one, whether it may receive a call on the day `at`.

    Args:
        bundle: The policy.
        call: What is said of the call; its names are checked.
        at: The day.
        model: The only model that is asked about; all by default.
    """
    side = side_for(bundle, call, at=at)
    asked = asked_calls(side.reading, call)
    purse = Effort.together(side.reading.space)
    for name in sorted(side.engine.ids):
        if model in {None, name}:
            yield answer_for(side, name, call, asked, purse)


def side_for(bundle: Bundle, call: Outlined, *, at: datetime.date) -> Side:
    """Return a policy over a space that tells apart what is said of a call."""
    mentions = mentions_of([bundle])
    said = {
        "facts": dict(call.facts) or None,
        "needs": {"all": [*call.needs]} if call.needs else None,
    }
    stated = {key: value for key, value in said.items() if value}
    if stated:
        mentions.whens.append(RequestMatcher.model_validate(stated))
    joint = joint_space([bundle], mentions)
    return side_of(Reading(joint=joint, bundle=bundle), compile_bundle(bundle, at))


def asked_calls(reading: Reading, call: Outlined) -> Region:
    """Return the calls that fit what is said of one."""
    joint, bundle = reading.joint, reading.bundle
    space = joint.space
    box = space.everything
    for name, value in call.facts.items():
        match = RequestMatcher.model_validate({"facts": {name: value}})
        (sole,) = reading.when(match, unknown=False) or (0,)
        box &= sole
    for name in call.needs:
        box &= space.only(f"need:{name}", 2)
    labelled = (
        unlabelled_calls(joint, bundle) if call.unlabelled else labelled_calls(joint, bundle, call)
    )
    tasks = space.table.by_name["task"].atoms
    places = (place for place, atom in enumerate(tasks) if call.task in {None, atom.value})
    box &= space.only("task", sum(1 << place for place in places))
    return tuple(one & box for one in labelled if space.possible(one & box))


def labelled_calls(joint: Joint, bundle: Bundle, call: Outlined) -> Region:
    """Return the calls that carry some categories and, where one is declared, have its level."""
    space, scheme = joint.space, bundle.scheme
    tasks: dict[str, int] = {}
    for place, atom in enumerate(space.table.by_name["task"].atoms):
        carried = Label(level=scheme.lowest, categories=carries_of(bundle, str(atom.value)))
        declared = Label(level=call.level or scheme.lowest, categories=frozenset(call.categories))
        level = scheme.join(declared, carried).level
        tasks[level] = tasks.get(level, 0) | 1 << place
    box = space.everything
    for name in call.categories:
        box &= space.only(f"category:{name}", 1 << YES)
    if call.level is None:
        return (box,)
    return tuple(
        box & space.only("level", 1 << scheme.rank[level]) & space.only("task", bits)
        for level, bits in tasks.items()
    )


def answer_for(side: Side, model: str, call: Outlined, asked: Region, purse: Effort) -> Answer:
    """Return whether one model may receive the calls asked about."""
    besides = tuple(hindrances(side, model, call, asked))
    space = side.reading.space
    effort = Effort(space, purse=purse)
    try:
        found = received(effort, side, model, asked)
        if not found:
            return Answer(
                model=model,
                verdict="never",
                obstacles=tuple(obstacles(effort, side, model, asked)),
                besides=besides,
            )
        readable = effort.less(asked, side.refused)
        if not effort.less(readable, found):
            return Answer(model=model, verdict="always", besides=besides)
        outside = (*effort.less(space.all, readable), *side.refused)
        boxes = cover(effort, found, outside=outside)
    except TooHardError:
        return Answer(model=model, verdict="unknown", besides=besides)
    joint, bundle = side.reading.joint, side.reading.bundle
    said = call.unlabelled or call.level is not None or call.categories
    within = () if said else asked  # who asks about a label knows whether there is one
    return Answer(
        model=model,
        verdict="sometimes",
        regions=tuple(box_text(joint, box, bundle, within=within) for box in boxes.boxes),
        more=boxes.more,
        obstacles=tuple(obstacles(effort, side, model, asked)),
        besides=besides,
    )


def received(effort: Effort, side: Side, model: str, asked: Region) -> Region:
    """Return the calls among some that the guard lets a model have.

    Raises:
        TooHardError: The question needs too many boxes.
    """
    standing = side.standing(model)
    return () if standing is None else allowed(effort, standing, [asked])


def obstacles(effort: Effort, side: Side, model: str, asked: Region) -> Sequence[Obstacle]:
    """Return what forbids calls to a model; only what forbids all of them, if something does."""
    found = [*every_obstacle(effort, side, model, asked)]
    return [part for part in found if part.whole] or found


def every_obstacle(effort: Effort, side: Side, model: str, asked: Region) -> Iterator[Obstacle]:
    """Yield everything that forbids some of the calls to a model."""
    bit = 1 << side.engine.place[model]
    for removal in side.engine.retired:
        if removal.models & bit:
            yield Obstacle(rule=RuleRef(), detail=removal.reason.detail, whole=True)
    for part in side.forbids:
        if part.clause.mask & bit and effort.meet(asked, part.requests):
            reason = next(each.reason for each in part.clause.known if each.models & bit)
            whole = not effort.less(asked, part.requests)
            yield Obstacle(rule=reason.rule, detail=reason.detail, whole=whole)
    for below, permits in side.gates:
        covering = [part.requests for part in permits if part.clause.mask & bit]
        passing = effort.space.join(below, *covering)
        if effort.less(asked, passing):
            whole = not effort.meet(asked, passing)
            yield Obstacle(rule=RuleRef(), detail=NO_PERMIT, whole=whole)


def hindrances(side: Side, model: str, call: Outlined, asked: Region) -> Iterator[str]:
    """Yield what else can keep a model from serving the calls, as far as they are told."""
    engine = side.engine
    place = engine.place[model]
    if engine.table.not_chat >> place & 1:
        yield "it does not answer chats"
    for name in sorted(call.needs):
        if not engine.table.capable.get(name, 0) >> place & 1:
            yield f"it lacks `{name}`"
    if call.task is None:
        return
    quality = engine.table.quality[call.task].thresholds
    whens = {rule.id: rule.when for rule in side.reading.bundle.policy.rules}
    judged = False
    for clause in engine.floors:
        if clause.mask >> place & 1:
            calls = side.reading.when(whens[clause.id], unknown=True)
            if side.reading.space.meet(asked, calls):
                judged |= clause.bounds.min_quality is not None
                yield from below_floor(side, clause, call.task, place)
    ignored = side.reading.bundle.policy.defaults.unknown_quality == "ignore"
    if quality.unknown >> place & 1 and not (judged or ignored):
        yield f"there is no evidence of its quality at `{call.task}`"


def below_floor(side: Side, clause: FloorClause, task: str, place: int) -> Iterator[str]:
    """Yield how a model misses a floor, as far as that does not depend on the call's size."""
    quality, bounds = side.engine.table.quality[task].thresholds, clause.bounds
    lowest = bounds.min_quality
    if lowest is not None and (quality.under(lowest) | quality.unknown) >> place & 1:
        yield f"its quality is not known to reach {lowest} (floor `{clause.id}`)"
    ceiling = bounds.max_ttft_ms
    if ceiling is not None and slower(ceiling, side.engine) >> place & 1:
        yield f"its first token is not known to come within {ceiling} ms (floor `{clause.id}`)"
