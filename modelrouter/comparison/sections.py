"""What differs between the sections of two policies: clauses, preferences, names, claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrouter.comparison.changes import (
    KINDS,
    Change,
    Direction,
    FieldChange,
    Judge,
    changes_between,
    direction_of,
    field_changes,
    in_order,
    more_is,
    set_is,
)
from modelrouter.comparison.joint import stand_in_of
from modelrouter.engine.obliging import CACHE, LOG, TRACE
from modelrouter.policy.document import Fact, Policy, Rule

if TYPE_CHECKING:
    from modelrouter.labels import Category
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.shapes import Shape
    from modelrouter.policy.suite import PolicyTest, Properties
    from modelrouter.values import Json

__all__ = ["section_changes", "word_changes"]

RULES: Mapping[str, Judge] = {
    "set.min_quality": more_is("tighter", absent="least"),
    "set.max_ttft_ms": more_is("looser", absent="most"),
    "set.max_cost_usd": more_is("looser", absent="most"),
    "do.trace": in_order(TRACE, absent="content"),
    "do.cache": in_order(CACHE, absent="exact"),
    "do.log": in_order(LOG, absent="none"),
    "do.redact": set_is("tighter"),
    "do.approval": set_is("tighter"),
    "strength": in_order(("hard", "soft", "advisory"), absent="hard"),
}
BUDGETS: Mapping[str, Judge] = {
    "limit_usd": more_is("looser", absent="most"),
    "limit_tokens": more_is("looser", absent="most"),
    "limit_calls": more_is("looser", absent="most"),
    "on_exceed": in_order(("deny", "degrade", "warn"), absent="deny"),
    "degrade_floor": more_is("tighter"),
}
RUNTIME: Mapping[str, Judge] = {
    "trace.content": in_order(TRACE, absent="none"),
    "cache.mode": in_order(CACHE, absent="none"),
}
DEFAULTS: Mapping[str, Judge] = {
    "compare_quality": in_order(("lower", "score"), absent="lower"),
    "unknown_quality": in_order(("exclude", "ignore"), absent="exclude"),
}
SOURCES = ("auth", "host", "classifier", "caller")


def presence_of_rule(part: Shape) -> Direction | None:
    """Return whether a rule tightens a policy by being there; an advisory one does neither."""
    if not isinstance(part, Rule) or part.strength == "advisory":
        return None
    return "looser" if part.effect == "permit" else "tighter"


def section_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield the clauses, preferences and claims that differ."""
    before, after = old.policy, new.policy
    for change in changes_between(
        "rules", by_id(before.rules), by_id(after.rules), RULES, presence_of_rule
    ):
        yield permit_turned(change, after.rules)
    yield from changes_between(
        "budgets", by_id(before.budgets), by_id(after.budgets), BUDGETS, lambda _: "tighter"
    )
    yield from changes_between("sets", old.sets, new.sets, {})
    yield from changes_between("objectives", by_id(before.objectives), by_id(after.objectives), {})
    yield from reordered("objectives", before.objectives, after.objectives)
    yield from changes_between("runtime", by_id(before.runtime), by_id(after.runtime), RUNTIME)
    yield from reordered("runtime", before.runtime, after.runtime)
    yield from changes_between(
        "properties", claims(old.properties), claims(new.properties), {}, lambda _: "tighter"
    )
    yield from changes_between(
        "invariants", by_id(before.invariants), by_id(after.invariants), {}, lambda _: "tighter"
    )
    yield from changes_between("tests", cases(old.tests), cases(new.tests), {})
    yield from changes_between(
        "policy", {"policy": rest_of(before)}, {"policy": rest_of(after)}, {}
    )


SHOWN = {
    "apiVersion",
    "budgets",
    "catalogs",
    "classifiers",
    "defaults",
    "facts",
    "invariants",
    "kind",
    "labels",
    "models",
    "objectives",
    "rules",
    "runtime",
    "sets",
    "tasks",
}
"""Sections of a policy that are compared on their own; `catalogs` are by their models."""


def rest_of(policy: Policy) -> Policy:
    """Return a policy without the sections that are compared on their own."""
    kept = {name: getattr(policy, name) for name in Policy.model_fields if name not in SHOWN}
    return Policy.model_construct(apiVersion=policy.apiVersion, kind=policy.kind, **kept)


def by_id(parts: Iterable[Shape]) -> dict[str, Shape]:
    """Return parts by their id."""
    return {str(getattr(part, "id", "")): part for part in parts}


def claims(files: Mapping[str, Properties]) -> dict[str, Shape]:
    """Return the properties of every file by id."""
    return {part.id: part for document in files.values() for part in document.properties}


def cases(files: Mapping[str, PolicyTest]) -> dict[str, Shape]:
    """Return the unit tests of every file by name; a named request counts with its test."""
    found: dict[str, Shape] = {}
    for document in files.values():
        for part in document.tests:
            stated = document.requests.get(part.request.named or "", part.request)
            found[part.name] = part.model_copy(update={"request": stated})
    return found


def permit_turned(change: Change, rules: Iterable[Rule]) -> Change:
    """Return the change of a permit with its direction turned: what lapses sooner is tighter."""
    effects = {rule.id: rule.effect for rule in rules}
    if effects.get(change.id) != "permit" or change.kind not in {"tightened", "loosened"}:
        return change
    if change.direction == "tighter":
        return replace(change, direction="looser", kind="loosened")
    return replace(change, direction="tighter", kind="tightened")


def reordered(section: str, old: Sequence[Shape], new: Sequence[Shape]) -> Iterator[Change]:
    """Yield that the parts both policies have stand in another order, where that matters."""
    before, after = [*by_id(old)], [*by_id(new)]
    common = [name for name in before if name in after]
    now = [name for name in after if name in before]
    if common != now:
        order = FieldChange(name="order", old=[*common], new=[*now])
        yield Change(section=section, id="order", kind="changed", fields=(order,))


def word_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield the levels, categories, tasks, facts and defaults that differ."""
    yield from label_changes(old, new)
    tasks = {"carries": set_is("tighter")}
    yield from changes_between("tasks", old.policy.tasks or {}, new.policy.tasks or {}, tasks)
    yield from undeclared_tasks(old, new)
    for change in changes_between(
        "facts", old.policy.facts, new.policy.facts, {"required": required}
    ):
        yield replace(change, wider=trust_lost(change, old.policy.facts, new.policy.facts))
    levels = new.scheme.levels
    defaults = {**DEFAULTS, "default_deny_from": in_order(levels, absent=levels[-1])}
    yield from changes_between(
        "defaults", {"defaults": old.policy.defaults}, {"defaults": new.policy.defaults}, defaults
    )
    yield from unscannable_changes(old, new)


def required(old: object, new: object) -> Direction | None:
    """Judge whether a fact is required."""
    return "tighter" if new and not old else "looser"


def label_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield what differs in the labels."""
    before, after = old.scheme, new.scheme
    fields: list[FieldChange] = []
    if before.levels != after.levels:
        fields.append(FieldChange(name="levels", old=[*before.levels], new=[*after.levels]))
    stand_ins = stand_in_of(old), stand_in_of(new)
    if stand_ins[0] != stand_ins[1]:
        fields.append(FieldChange(name="unlabelled", old=stand_ins[0], new=stand_ins[1]))
    if fields:
        wider = None
        if stand_ins[1] == "detected" != stand_ins[0]:
            wider = (
                "not comparable: what detectors find now stands in for a missing label, and"
                " that may be less than before"
            )
        yield Change(
            section="labels", id="labels", kind="changed", fields=tuple(fields), wider=wider
        )
    yield from category_changes(before.categories, after.categories, after.levels)


def category_changes(
    old: Mapping[str, Category], new: Mapping[str, Category], levels: Sequence[str]
) -> Iterator[Change]:
    """Yield what differs in the categories."""
    judges = {"at_least": in_order([*reversed(levels)]), "includes": set_is("tighter")}
    for name in sorted({*old, *new}):
        before, after = implied_by(old.get(name)), implied_by(new.get(name))
        fields = tuple(field_changes(before, after))
        direction = direction_of(fields, judges) if before and after else None
        kind = KINDS[direction] if before and after else "added" if after else "removed"
        if fields:
            yield Change(
                section="categories", id=name, kind=kind, direction=direction, fields=fields
            )


def implied_by(category: Category | None) -> dict[str, Json]:
    """Return what a category implies, as fields."""
    if category is None:
        return {}
    return {"at_least": category.at_least, "includes": [*sorted(category.includes)]}


def undeclared_tasks(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield the tasks that only one of the policies has, where they are not declared."""
    declared = {*(old.policy.tasks or ()), *(new.policy.tasks or ())}
    for name in sorted((old.words.tasks ^ new.words.tasks) - declared):
        here = name in new.words.tasks
        yield Change(section="tasks", id=name, kind="added" if here else "removed")


def trust_lost(change: Change, old: Mapping[str, Fact], new: Mapping[str, Fact]) -> str | None:
    """Return why a fact is less to be trusted than before, or None."""
    one, other = old.get(change.id), new.get(change.id)
    if one is None or other is None or one.source == other.source:
        return None
    if other.source == "caller":
        return "not comparable: callers may now state this fact over the network"
    if one.source == "classifier":
        return "not comparable: code may now state this fact, which a classifier found before"
    return None


def unscannable_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield how parts that no classifier can read are labelled, where it differs."""
    order = ["top", *reversed(new.scheme.levels), "declared"]
    judge = in_order(order)
    before, after = (part.policy.classifiers.unscannable for part in (old, new))
    for name in ("image", "audio", "file"):
        one, other = before.get(name, "top"), after.get(name, "top")
        if one == other:
            continue
        direction = judge(one, other)
        looser = direction != "tighter"
        yield Change(
            section="classifiers",
            id=name,
            kind="loosened" if looser else "tightened",
            direction="looser" if looser else "tighter",
            fields=(FieldChange(name="unscannable", old=one, new=other),),
            wider="not comparable: content that nothing can read is labelled lower"
            if looser
            else None,
        )
