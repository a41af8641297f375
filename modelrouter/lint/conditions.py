"""Conditions on the call that can never hold, and clauses that are never reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from modelrouter.engine.truth import TRUE, string_match
from modelrouter.labels import LabelScheme
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found
from modelrouter.policy.document import Objective, Runtime
from modelrouter.policy.matchers import LevelMatch, RequestMatcher, StringMatch
from modelrouter.policy.positions import Part
from modelrouter.proof.space import Region

__all__ = ["impossible_labels", "unreached"]

NOUNS: Mapping[str, str] = {
    "rules": "rule",
    "budgets": "budget",
    "objectives": "objective",
    "runtime": "runtime section",
}


def impossible_labels(context: LintContext) -> Iterator[Found]:
    """Yield conditions that no closed label meets (MR202)."""
    for (section, name), when in conditions_of(context):
        if context.regions.when(when, unknown=False):
            continue
        yield Found(
            part=(section, name),
            at=("when",),
            message=f"{NOUNS[section]} `{name}` can never match: its label is impossible",
            hint=why_impossible(when, context),
        )


def conditions_of(context: LintContext) -> Iterator[tuple[Part, RequestMatcher]]:
    """Yield every condition on the call that the loader has not refused already."""
    policy = context.policy
    refused = {problem.about for problem in context.bundle.problems if problem.code == "MR202"}
    for rule in context.standing:
        if rule.when is not None and rule.id not in refused:
            yield ("rules", rule.id), rule.when
    for section, parts in (
        ("budgets", policy.budgets),
        ("objectives", policy.objectives),
        ("runtime", policy.runtime),
    ):
        for part in parts:
            if part.when is not None and part.id not in refused:
                yield (section, part.id), part.when


def why_impossible(when: RequestMatcher, context: LintContext) -> str:
    """Return which implied level or category a condition excludes."""
    scheme = context.engine.scheme
    match = when.categories
    options = [*((match.all if match else None) or ())]
    if match is not None and match.any is not None and len(match.any) == 1:
        options += match.any
    for name in options:
        if when.level is not None and not reaches(when.level, name, scheme):
            return f"category `{name}` is always at least `{scheme.label(categories=[name]).level}`"
    excluded = frozenset(match.none or ()) if match else frozenset[str]()
    for name in options:
        brought = sorted(scheme.implied(frozenset({name})) & excluded)
        if brought:
            return f"category `{name}` always brings `{brought[0]}`"
    if when.level is not None and match is not None and match.any:
        lowest = min(
            (scheme.label(categories=[name]).level for name in match.any),
            key=scheme.rank.__getitem__,
        )
        if not any(reaches(when.level, name, scheme) for name in match.any):
            return f"these categories are always at least `{lowest}`"
    if when.task is not None:
        return carried_by(when.task, context)
    return "its level and its categories exclude each other"


def reaches(match: LevelMatch, category: str, scheme: LabelScheme) -> bool:
    """Whether a condition on the level accepts some level of what carries a category."""
    rank = scheme.rank
    lowest = rank[scheme.label(categories=[category]).level]
    high = rank[match.at_most] if match.at_most is not None else len(rank)
    low = rank[match.at_least] if match.at_least is not None else 0
    named = scheme.levels if match.equals is None else match.equals
    return any(max(low, lowest) <= rank[name] <= high for name in named)


def carried_by(match: StringMatch, context: LintContext) -> str:
    """Return what the tasks of a condition always carry."""
    tasks = context.policy.tasks or {}
    for name, task in tasks.items():
        if task.carries and string_match(match, name) == TRUE:
            return f"task `{name}` always carries {', '.join(f'`{part}`' for part in task.carries)}"
    return "its task, level and categories exclude each other"


def unreached(context: LintContext) -> Iterator[Found]:
    """Yield objectives and runtime sections that earlier ones always precede (MR206)."""
    sections: tuple[tuple[str, Sequence[Objective | Runtime]], ...] = (
        ("objectives", context.policy.objectives),
        ("runtime", context.policy.runtime),
    )
    space = context.regions.requests
    for section, parts in sections:
        earlier: list[tuple[Mapping[str, Decimal], Region]] = []
        for part in parts:
            region = context.regions.when(part.when, unknown=False)
            spent = shares_of(part.when)
            left = region
            for shares, taken in earlier:
                if all(spent.get(name, Decimal(-1)) >= share for name, share in shares.items()):
                    left = space.less(left, taken)
            if region and not left:
                yield Found(
                    part=(section, part.id),
                    at=("id",),
                    message=f"{NOUNS[section]} `{part.id}` is never reached",
                )
            earlier.append((spent, region))


def shares_of(when: RequestMatcher | None) -> Mapping[str, Decimal]:
    """Return how much of which budgets a condition wants spent."""
    spent = (when.budget if when is not None else None) or {}
    return {name: part.spent_at_least for name, part in spent.items()}
