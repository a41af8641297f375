"""Turns a request into what closures read: checks its names, fills defaults, closes its label."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from modelrouter.engine.clauses import MEMORY_ENTRIES, Closed, Engine
from modelrouter.engine.request_matching import MISSING, Missing, Subject
from modelrouter.errors import CallError
from modelrouter.labels import Label, LabelScheme
from modelrouter.values import FactValue, Request

__all__ = ["Asked", "check_label", "read_request", "unknown_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that names only what the policy declares.

    Attributes:
        subject: What closures read.
        label: The closed label.
        missing: The first required fact that is missing, or None.
        silent: Facts that are unknown, in the policy's order.
    """

    subject: Subject
    label: Label
    missing: str | None
    silent: tuple[str, ...]


def read_request(request: Request, engine: Engine, spent: Mapping[str, Fraction]) -> Asked:
    """Return the request as the engine sees it.

    Raises:
        CallError: The request names something the policy does not declare.
    """
    words = engine.bundle.words
    task = task_of(request, engine)
    if not request.needs <= words.capabilities:
        unknown = min(request.needs - words.capabilities)
        raise unknown_name("needs", "capability", unknown, words.capabilities)
    facts, missing, silent = facts_of_request(request, engine)
    closed = closed_label(request, task, engine)
    return Asked(
        subject=Subject(
            level=closed.level,
            known=closed.known,
            unknown=closed.unknown,
            task=task,
            needs=request.needs,
            tokens=request.tokens,
            facts=facts,
            spent=spent,
        ),
        label=closed.label,
        missing=missing,
        silent=silent,
    )


LONGEST_NAME = 80


def unknown_name(argument: str, noun: str, name: str, known: Iterable[str]) -> CallError:
    """Return the error for a name the policy does not declare."""
    names = sorted(known)
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    folded = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    hint = f"did you mean `{folded[close[0]]}`?" if close else f"known: {', '.join(names)}"
    return CallError(f"unknown {noun} `{name}`", argument=argument, hint=hint)


def task_of(request: Request, engine: Engine) -> str:
    """Return the request's task; without one it is `other`."""
    tasks = engine.bundle.words.tasks
    if request.task is None:
        if "other" in tasks:
            return "other"
        raise CallError(
            "the policy has no task `other`, so a call must name its task",
            argument="task",
            hint=f"known: {', '.join(sorted(tasks))}",
        )
    if request.task not in tasks:
        raise unknown_name("task", "task", request.task, tasks)
    return request.task


def facts_of_request(
    request: Request, engine: Engine
) -> tuple[tuple[FactValue | Missing, ...], str | None, tuple[str, ...]]:
    """Return the facts in the policy's order, the first missing one, and the unknown ones."""
    declared = engine.bundle.policy.facts
    given = request.facts
    for name in given:
        if name not in declared:
            raise unknown_name("facts", "fact", name, declared)
    values: list[FactValue | Missing] = []
    missing: str | None = None
    silent: list[str] = []
    for name, fact in declared.items():
        value = given.get(name)
        if value is None:
            if fact.required and missing is None:
                missing = name
            if fact.default is None:
                silent.append(name)
            values.append(MISSING if fact.default is None else fact.default)
        else:
            check_fact(name, value, engine)
            values.append(value)
    return tuple(values), missing, tuple(silent)


def check_fact(name: str, value: FactValue, engine: Engine) -> None:
    """Refuse a value that does not fit its fact."""
    fact = engine.bundle.policy.facts[name]
    if fact.source == "classifier":
        raise CallError(
            f"fact `{name}` comes from a classifier and cannot be supplied", argument="facts"
        )
    # The exact type: conditions compare it, so that `true` is not 1 and a subclass of text
    # with an equality of its own cannot slip past a rule.
    wanted = {"bool": bool, "int": int}.get(fact.type, str)
    if type(value) is not wanted:
        raise CallError(
            f"fact `{name}` is of type {fact.type}, not {type(value).__name__}", argument="facts"
        )
    if fact.type == "enum" and value not in (fact.values or ()):
        raise unknown_name("facts", f"value of fact `{name}`", str(value), fact.values or ())


def closed_label(request: Request, task: str, engine: Engine) -> Closed:
    """Return the closed label of a request; a label met before is not closed again."""
    key = (request.declared, request.evidence, task)
    found = engine.memory.labels.get(key)
    if found is None:
        label = label_of(request, task, engine)
        bits = engine.category_bits
        found = Closed(
            label=label,
            level=engine.scheme.rank[label.level],
            known=sum(bits[name] for name in label.categories),
            unknown=sum(bits[name] for name in label.unknown),
        )
        if len(engine.memory.labels) < MEMORY_ENTRIES:
            engine.memory.labels[key] = found
    return found


def label_of(request: Request, task: str, engine: Engine) -> Label:
    """Return the closed join of everything known about how sensitive the call is."""
    scheme = engine.scheme
    policy = engine.bundle.policy
    parts = list(request.evidence)
    for part in parts:
        check_label(part, scheme)
    if request.declared is not None:
        check_label(request.declared, scheme)
        parts.append(request.declared)
    else:
        # What a task carries is not a declaration: nobody labelled this call.
        labels = policy.labels
        stand_in = "top" if labels is None else labels.unlabelled
        if stand_in in scheme.rank:
            parts.append(Label(level=stand_in))
        elif stand_in == "detected":
            parts.append(scheme.top("no label was given and no classifier is configured"))
        else:
            parts.append(scheme.top("no label was given"))
    carried = policy.tasks[task].carries if policy.tasks else ()
    if carried:
        parts.append(Label(level=scheme.lowest, categories=frozenset(carried)))
    return scheme.join(*parts) if len(parts) > 1 else scheme.close(parts[0])


def check_label(label: Label, scheme: LabelScheme) -> None:
    """Refuse a label the policy does not know."""
    if label.level not in scheme.rank:
        raise unknown_name("sensitivity", "level", label.level, scheme.levels)
    for name in sorted(label.categories | label.unknown):
        if name not in scheme.categories:
            known = (*scheme.levels, *scheme.categories)
            raise unknown_name("sensitivity", "level or category", name, known)
