"""Regions and points for people: a readable region, a request to paste, a catalogue entry."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from modelrouter.labels import Label
from modelrouter.policy.suite import AskedRequest
from modelrouter.proof.coherence import NO, UNKNOWN, YES, Point
from modelrouter.proof.fields import ABSENT, Field
from modelrouter.values import Json, Request, usd

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.proof.space import Region, Space

__all__ = ["asked_at", "described", "entry_at", "request_at", "supplied", "widened"]

CERTAINTY = {
    1 << NO: "without {}",
    1 << UNKNOWN: "{} unknown",
    1 << YES: "with {}",
    1 << NO | 1 << UNKNOWN: "not known to carry {}",
    1 << UNKNOWN | 1 << YES: "with or perhaps with {}",
    1 << NO | 1 << YES: "{} known",
}
"""How a category reads, by the atoms that a box holds."""
BEFORE = {"fact": "fact ", "need": "", "budget": "budget ", "model": "model's "}


def described(space: Space, box: int, *, unknowns: bool = False) -> str:
    """Return a box as text; what it leaves open is not mentioned.

    Args:
        space: The space.
        box: The box.
        unknowns: Whether to mention that something must be known.
    """
    parts: list[str] = []
    for field in space.table.fields:
        bits = field.bits(box)
        aside = 0 if unknowns else unspoken(field)
        if bits | aside != (1 << len(field.atoms)) - 1:
            shown = bits & ~aside or bits
            parts.append(text_of(field, box & ~field.mask | shown << field.offset))
    return "; ".join(parts) or "every request"


def unspoken(field: Field) -> int:
    """Return the bits of a field that stand for "nobody knows"."""
    if field.name.startswith("category:"):
        return 1 << UNKNOWN
    missing = field.name.startswith("fact:") and field.atoms[-1].value is ABSENT
    return 1 << (len(field.atoms) - 1) if missing else 0


def text_of(field: Field, box: int) -> str:
    """Return one field of a box as text."""
    kind, _, name = field.name.partition(":")
    bits = field.bits(box)
    chosen = " or ".join(field.texts(box))
    if kind == "category":
        return CERTAINTY[bits].format(name)
    if kind == "level":
        return level_text(field, bits, chosen)
    if kind == "need":
        return f"{name} {chosen}"
    return f"{BEFORE.get(kind, '')}{name or kind} {chosen}"


def level_text(field: Field, bits: int, chosen: str) -> str:
    """Return levels as a range where they are one that is open on one side."""
    lowest, highest = (bits & -bits).bit_length() - 1, bits.bit_length() - 1
    contiguous = bits == (1 << highest + 1) - (1 << lowest) and lowest != highest
    if contiguous and highest == len(field.atoms) - 1:
        return f"level at least {field.atoms[lowest].text}"
    if contiguous and not lowest:
        return f"level at most {field.atoms[highest].text}"
    return f"level {chosen}"


def widened(space: Space, box: int, region: Region) -> int:
    """Return `box` with every field opened that the region, or impossibility, lets open."""
    for field in reversed(space.table.fields):
        wider = box | field.mask
        if wider != box and space.covers(region, (wider,)):
            box = wider
    return box


def asked_at(point: Point, engine: Engine) -> AskedRequest | None:
    """Return the request at a point as `modelrouter decide` reads it.

    A call that nobody labelled stands for categories nobody has spoken of, where the policy
    takes it so. None if no request as text has these unknown categories.
    """
    request = request_at(point, engine)
    label = request.declared
    policy = engine.bundle.policy
    scheme = engine.scheme
    if request.evidence:
        carried = policy.tasks[str(request.task)].carries if policy.tasks else ()
        parts = [Label(level=scheme.lowest, categories=frozenset(carried)), scheme.top("")]
        unlabelled = "top" if policy.labels is None else policy.labels.unlabelled
        meant = scheme.join(*request.evidence)
        if unlabelled in scheme.rank or meant.categories != scheme.join(*parts).categories:
            return None
        if meant.level != scheme.highest or meant.unknown != scheme.join(*parts).unknown:
            return None
    spent = {
        clause.budget.id: usd(clause.limit) if clause.unit == "usd" else clause.limit
        for clause in engine.meters
        if point.values.get(f"budget:{clause.budget.id}") is True
    }
    return AskedRequest.model_validate(
        {
            **said(label, engine),
            "task": request.task,
            "needs": sorted(request.needs),
            "tokens": request.tokens,
            "facts": dict(request.facts),
            "given": {"budgets": spent},
        }
    )


def supplied(asked: AskedRequest, engine: Engine) -> AskedRequest:
    """Return a request without the facts that only a classifier may state."""
    declared = engine.bundle.policy.facts
    facts = {
        name: value for name, value in asked.facts.items() if declared[name].source != "classifier"
    }
    return asked.model_copy(update={"facts": facts})


def said(label: Label | None, engine: Engine) -> dict[str, object]:
    """Return the shortest level and categories whose closure is a label."""
    if label is None:
        return {}
    scheme = engine.scheme
    categories = sorted(label.categories)
    for name in sorted(label.categories):
        rest = frozenset(categories) - {name}
        if scheme.label(categories=rest).categories == label.categories:
            categories.remove(name)
    implied = scheme.label(categories=categories).level if categories else None
    found: dict[str, object] = {} if implied == label.level else {"level": label.level}
    return found | ({"categories": categories} if categories else {})


def request_at(point: Point, engine: Engine) -> Request:
    """Return the request at a point as the engine takes it."""
    values = point.values
    scheme = engine.scheme
    certain = {name: values[f"category:{name}"] for name in scheme.categories}
    known = frozenset(name for name, value in certain.items() if value == YES)
    unknown = frozenset(name for name, value in certain.items() if value == UNKNOWN)
    label = Label(level=str(values["level"]), categories=known, unknown=unknown)
    facts = {
        name: value
        for name in engine.bundle.policy.facts
        if isinstance(value := values[f"fact:{name}"], str | int)
    }
    tokens = values["tokens"]
    return Request(
        declared=None if unknown else label,
        evidence=(label,) if unknown else (),
        task=str(values["task"]),
        needs=frozenset(named(values.items(), "need:")),
        tokens=tokens if isinstance(tokens, int) else 0,
        max_output=DEFAULT_OUTPUT,
        facts=facts,
    )


DEFAULT_OUTPUT = 500
"""Output tokens of a request that does not state any, in tests and claims."""


def named(values: Iterable[tuple[str, object]], prefix: str) -> list[str]:
    """Return the members of a set that a point holds."""
    return [
        name.removeprefix(prefix)
        for name, value in values
        if name.startswith(prefix) and value is True
    ]


def entry_at(point: Point, tasks: Collection[str]) -> dict[str, Json]:
    """Return the conceivable model at a point as a catalogue entry.

    What has expired is written as a block that expired long ago. A task that none of `tasks`
    is comes with the model, as one it has evidence for.
    """
    values = {
        name.removeprefix("model:"): value
        for name, value in point.values.items()
        if name.startswith("model:")
    }
    entry: dict[str, Json] = {"id": "some-model", "hosting": "vendor_api", "weights": "closed"}
    entry |= stated(values, ("id", "hosting", "weights", "operator", "region", "licence"))
    data = stated(values, ("retention_days", "trains_on_data"))
    for name, block in (("tags", entry), ("capabilities", entry), ("agreements", data)):
        members = named(values.items(), f"{name}:")
        if members:
            block[name] = [*members]
    if values.get("agreements") is ABSENT:
        data["expires"] = LONG_AGO
    if any(values.get(name) is ABSENT for name in ("hosting", "weights", "tags", "capabilities")):
        entry["expires"] = LONG_AGO
    if data:
        entry["data"] = data
    task = str(point.values["task"])
    if task not in tasks:
        entry["quality"] = {task: 0.5}
    return entry


def stated(values: Mapping[str, object], names: Iterable[str]) -> dict[str, Json]:
    """Return the attributes that a conceivable model states."""
    return {
        name: plain(values[name]) for name in names if name in values and values[name] is not ABSENT
    }


LONG_AGO = "1970-01-01"


def plain(value: object) -> Json:
    """Return the value of an attribute as JSON."""
    return value if isinstance(value, str | int) else None
