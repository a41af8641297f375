"""A concrete call for a region, tried on the real engine of both policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.asking import request_from
from modelrouter.comparison.boxes import known_labels, unlabelled_box
from modelrouter.comparison.joint import UNLABELLED, Joint
from modelrouter.engine.guard import guard
from modelrouter.engine.subject import read_request
from modelrouter.errors import CallError
from modelrouter.labels import Label
from modelrouter.policy.suite import AskedRequest
from modelrouter.proof.coherence import NO, UNKNOWN, YES, Point
from modelrouter.proof.examples import DEFAULT_OUTPUT, asked_at, named
from modelrouter.proof.fields import ABSENT
from modelrouter.values import Request

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine

__all__ = ["Sample", "lets_pass", "request_of", "sample_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One call of a region.

    Attributes:
        point: Where it stands in the space.
        request: As the engine takes it.
        asked: As `modelrouter explain` reads it; None where only detectors can bring it about.
    """

    point: Point
    request: Request
    asked: AskedRequest | None


def lets_pass(engine: Engine, request: Request, model: str) -> bool:
    """Whether the guard of a policy leaves a model for a call, by the engine itself."""
    place = engine.place.get(model)
    if place is None:
        return False
    try:
        asked = read_request(request, engine, {})
    except CallError:
        return False
    return asked.missing is None and bool(guard(asked.subject, engine).eligible >> place & 1)


def sample_of(joint: Joint, boxes: Sequence[int], engine: Engine) -> Sample | None:
    """Return the plainest call of the first box that has one; None if no caller can make any.

    What can be written down comes first: a known label, then no label at all. A fact that only
    a classifier supplies is left out, and where a box needs it, nobody can make the call.
    """
    found = [sample for box in boxes for sample in samples(joint, box, engine)]
    return next((sample for sample in found if sample.asked is not None), next(iter(found), None))


def samples(joint: Joint, box: int, engine: Engine) -> Iterator[Sample]:
    """Yield a call for each part of a box that has one."""
    space = joint.space
    for name, fact in engine.bundle.policy.facts.items():
        field = space.table.by_name[f"fact:{name}"]
        if fact.source == "classifier" and field.atoms[-1].value is ABSENT:
            box &= space.only(field.name, 1 << len(field.atoms) - 1)
    for part in narrowings(joint, box, engine):
        if not space.possible(part):
            continue
        point = space.point(part)
        request = request_of(point, engine)
        asked = stated_at(point, engine) if joint.stated else asked_at(point, engine)
        if asked is not None:
            asked = asked.model_copy(update={"needs": tuple(sorted(request.needs))})
            request = request_from(asked, engine)
        yield Sample(point=point, request=request, asked=asked)


def narrowings(joint: Joint, box: int, engine: Engine) -> Iterator[int]:
    """Yield parts of a box, the plainest first; the box itself last."""
    space = joint.space
    yield box & known_labels(space)
    if joint.stated:
        plain = box & space.only("label", 1 << UNLABELLED) & space.only("level", 1)
        for name in space.coherence.categories:
            plain &= space.only(f"category:{name}", 1 << NO)
        yield plain
    else:
        nobody = unlabelled_box(joint, engine.bundle)
        if nobody is not None:
            yield box & nobody
    yield box


def request_of(point: Point, engine: Engine) -> Request:
    """Return the call at a point; names that the policy does not declare are left out.

    What is unknown stands in the declared label: without one, everything else would be unknown
    too.
    """
    values, scheme = point.values, engine.scheme
    certain = {name: values[f"category:{name}"] for name in scheme.categories}
    known = frozenset(name for name, value in certain.items() if value == YES)
    unknown = frozenset(name for name, value in certain.items() if value == UNKNOWN)
    level = values["level"] if isinstance(values["level"], str) else scheme.lowest
    label = Label(level=level, categories=known, unknown=unknown)
    tokens, nobody = values["tokens"], values.get("label") is True
    return Request(
        declared=None if nobody else label,
        evidence=(label,) if nobody else (),
        task=str(values["task"]),
        needs=frozenset(named(values.items(), "need:")) & engine.bundle.words.capabilities,
        tokens=tokens if isinstance(tokens, int) else 0,
        max_output=DEFAULT_OUTPUT,
        facts={
            name: value
            for name in engine.bundle.policy.facts
            if isinstance(value := values[f"fact:{name}"], str | int)
        },
    )


def stated_at(point: Point, engine: Engine) -> AskedRequest | None:
    """Return the call at a point of stated labels as text; None if detectors must speak."""
    values = point.values
    certain = {name: values[f"category:{name}"] for name in engine.scheme.categories}
    if UNKNOWN in certain.values():
        return None
    known = sorted(name for name, value in certain.items() if value == YES)
    level = values["level"] if isinstance(values["level"], str) else None
    if values.get("label") is True:
        if known or level not in {None, engine.scheme.lowest}:
            return None
        level = None
    request = request_of(point, engine)
    return AskedRequest.model_validate(
        {
            "level": level,
            "categories": known,
            "task": request.task,
            "needs": sorted(request.needs),
            "tokens": request.tokens,
            "facts": dict(request.facts),
        }
    )
