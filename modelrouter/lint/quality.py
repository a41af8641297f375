"""Quality: floors that nobody reaches, tasks without floor or evidence, misspelt evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from modelrouter.engine.spending import places
from modelrouter.engine.truth import TRUE, string_match
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found
from modelrouter.lint.spelling import closest
from modelrouter.policy.document import Rule
from modelrouter.policy.positions import Part

__all__ = ["misspelt_evidence", "tasks_without_evidence", "tasks_without_floor", "unreachable"]


def unreachable(context: LintContext) -> Iterator[Found]:
    """Yield floors that, for some task, no eligible model reaches (MR204)."""
    for rule in context.in_force:
        bound = rule.set.min_quality if rule.set is not None else None
        if bound is None:
            continue
        said: list[str] = []
        explained: list[Part] = []
        misnamed: dict[Part, str] = {}
        for task in tasks_of(rule, context):
            best = best_below(rule, bound, task, context)
            if best is None:
                continue
            said.append(f"{bound} on `{task}` ({best})")
            explained.append(("tasks", task))
            misnamed |= misspellings(context, task)
        if said:
            yield Found(
                part=("rules", rule.id),
                at=("set", "min_quality"),
                message=f"floor `{rule.id}`: no eligible model reaches {', '.join(said)}",
                hint=next(iter(misnamed.values()), None),
                explains=(*explained, *misnamed),
            )


def tasks_of(rule: Rule, context: LintContext) -> list[str]:
    """Return the tasks a floor may mean; `other` only where it is declared or named."""
    match = rule.when.task if rule.when is not None else None
    if match is not None:
        return [
            name for name in sorted(context.bundle.words.tasks) if string_match(match, name) == TRUE
        ]
    if context.policy.tasks is not None:
        return [*context.policy.tasks]
    return sorted(context.bundle.words.tasks - {"other"})


def best_below(rule: Rule, bound: Decimal, task: str, context: LintContext) -> str | None:
    """Return the best value below a floor, as text; None if some model passes or none is asked."""
    regions, space = context.regions, context.regions.requests
    atoms = space.table.by_name["task"].atoms
    place = next(number for number, atom in enumerate(atoms) if atom.value == task)
    asked = space.meet(regions.when(rule.when, unknown=True), (space.only("task", 1 << place),))
    values = context.engine.table.quality[task].values
    bound_by = context.mask(rule.models, unknown_matches=True)
    if regions.any_eligible(passing(values, bound, bound_by, context) & context.chats, asked):
        return None
    eligible = regions.eligible_within(context.chats, asked)
    if not eligible:
        return None
    known = [value for part in places(eligible) if (value := values[part]) is not None]
    return f"best {max(known)}" if known else "no evidence"


def passing(
    values: Sequence[Decimal | None], bound: Decimal, bound_by: int, context: LintContext
) -> int:
    """Return the models that a floor does not remove."""
    ignored = context.policy.defaults.unknown_quality == "ignore"
    found = 0
    for place, value in enumerate(values):
        free = not bound_by >> place & 1
        if (free and ignored) if value is None else (free or value >= bound):
            found |= 1 << place
    return found


def tasks_without_evidence(context: LintContext) -> Iterator[Found]:
    """Yield declared tasks for which no chat model has evidence (MR208)."""
    for task in context.policy.tasks or ():
        values = context.engine.table.quality[task].values
        if any(values[place] is not None for place in places(context.chats)):
            continue
        excluded = context.policy.defaults.unknown_quality == "exclude"
        yield Found(
            part=("tasks", task),
            key=True,
            message=f"no model has evidence of quality for task `{task}`"
            + (": every call for it is denied" if excluded else ""),
            hint=f'give some model `quality: {{{task}: …}}`, or `"*"` for every task',
        )


def tasks_without_floor(context: LintContext) -> Iterator[Found]:
    """Yield declared tasks for which no floor asks for quality (MR210)."""
    floors = [
        rule.when.task if rule.when is not None else None
        for rule in context.in_force
        if rule.set is not None
        and rule.set.min_quality is not None
        and context.regions.when(rule.when, unknown=True)
    ]
    for task in context.policy.tasks or ():
        if any(match is None or string_match(match, task) == TRUE for match in floors):
            continue
        yield Found(
            part=("tasks", task),
            key=True,
            message=f"task `{task}` has no quality floor: any measured model may serve it",
        )


def misspelt_evidence(context: LintContext) -> Iterator[Found]:
    """Yield evidence under a name that is almost a declared task (MR213)."""
    tasks = context.policy.tasks or {}
    for entry in context.models:
        for name in entry.quality:
            meant = meant_task(name, tasks, entry.quality)
            if meant is None:
                continue
            yield Found(
                part=("quality", f"{entry.id} {name}"),
                stands=("models", entry.id),
                at=("quality", name),
                key=True,
                about=entry.id,
                message=f"model `{entry.id}` has evidence for `{name}`, which is no task",
                hint=f"did you mean `{meant}`?",
                explains=(("tasks", meant),),
            )


def meant_task(name: str, tasks: Iterable[str], own: Iterable[str]) -> str | None:
    """Return the declared task that a name of evidence most likely stands for, or None."""
    if name == "*" or name in {*tasks}:
        return None
    missing = [task for task in tasks if task not in {*own}]
    return closest(name, missing)


def misspellings(context: LintContext, task: str) -> dict[Part, str]:
    """Return evidence that is most likely meant for a task, with the hint on each."""
    tasks = context.policy.tasks or {}
    return {
        ("quality", f"{entry.id} {name}"): f"model `{entry.id}` has evidence for `{name}`: "
        f"did you mean `{task}`?"
        for entry in context.models
        for name in entry.quality
        if meant_task(name, tasks, entry.quality) == task
    }
