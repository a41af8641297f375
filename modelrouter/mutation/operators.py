"""The table of mutants: what is changed in a policy, one thing at a time.

Only what is forbidden, permitted, asked for or limited is changed. Preferences (objectives,
runtime sections) and advisory rules decide nothing that a test ought to guard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.mutation.matcher_changes import Change, models_changes, when_changes
from modelrouter.mutation.mutant import Mutant, changed
from modelrouter.mutation.policywide import default_deny_mutants, unlabelled_mutants
from modelrouter.policy.document import Budget, Floors, Obligate, Policy, Rule

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["mutants_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What becomes of one clause; None drops it."""

    clause: Rule | Budget | None
    words: str
    tightens: bool


def mutants_of(bundle: Bundle) -> Iterator[Mutant]:
    """Yield every mutant of a policy, in the order of its clauses; none twice.

    Of a policy below others only what it says itself is changed.
    """
    yield from (mutant for mutant in all_mutants(bundle) if bundle.owns(mutant.place))


def all_mutants(bundle: Bundle) -> Iterator[Mutant]:
    """Yield every mutant of a policy with its layers."""
    levels = bundle.scheme.levels
    policy = bundle.policy
    for place, rule in enumerate(policy.rules):
        if rule.strength == "advisory":
            continue
        for edit in distinct(rule, rule_edits(rule, policy, levels)):
            rules = edited(policy.rules, place, edit.clause)
            yield Mutant(
                section="rules",
                noun=rule.effect,
                place=bundle.place("rules", rule.id),
                words=edit.words,
                tightens=edit.tightens,
                guards=rule.effect in {"forbid", "require", "permit"},
                bundle=changed(bundle, rules=rules),
            )
    for place, budget in enumerate(policy.budgets):
        for edit in distinct(budget, budget_edits(budget, levels)):
            budgets = edited(policy.budgets, place, edit.clause)
            yield Mutant(
                section="budgets",
                noun="budget",
                place=bundle.place("budgets", budget.id),
                words=edit.words,
                tightens=edit.tightens,
                guards=False,
                bundle=changed(bundle, budgets=budgets),
            )
    yield from default_deny_mutants(bundle)
    yield from unlabelled_mutants(bundle)


def edited(
    clauses: tuple[Rule, ...] | tuple[Budget, ...], place: int, clause: Rule | Budget | None
) -> tuple[Rule | Budget, ...]:
    """Return the clauses with one replaced, or dropped."""
    kept = () if clause is None else (clause,)
    return (*clauses[:place], *kept, *clauses[place + 1 :])


def distinct(clause: Rule | Budget, edits: Iterator[Edit]) -> Iterator[Edit]:
    """Yield the edits that change something, each result once."""
    seen: list[Rule | Budget | None] = [clause]
    for edit in edits:
        if edit.clause not in seen:
            seen.append(edit.clause)
            yield edit


def rule_edits(rule: Rule, policy: Policy, levels: tuple[str, ...]) -> Iterator[Edit]:
    """Yield every edit of a rule."""
    if rule.effect == "obligate":
        # A test can state what a candidate comes with, not that it comes with nothing more:
        # nobody could notice an obligation in more cases.
        yield from (edit for edit in condition_edits(rule, levels) if not edit.tightens)
    else:
        yield from condition_edits(rule, levels)
    if rule.set is not None:
        yield from floor_edits(rule, rule.set, policy)
    if rule.do is not None:
        yield from obligation_edits(rule, rule.do)


def condition_edits(rule: Rule, levels: tuple[str, ...]) -> Iterator[Edit]:
    """Yield a rule dropped, and with each change of its conditions."""
    permits = rule.effect == "permit"
    yield Edit(clause=None, words="dropped", tightens=permits)
    for part in () if rule.when is None else when_changes(rule.when, levels):
        clause = rule.model_copy(update={"when": part.value})
        yield edit_of(clause, "when", part, tightens=part.narrows == permits)
    # The models of a require and of a permit are those that stay.
    keeps = rule.effect in {"require", "permit"}
    for models in () if rule.models is None else models_changes(rule.models):
        clause = rule.model_copy(update={"models": models.value})
        yield edit_of(clause, "models", models, tightens=models.narrows == keeps)


def edit_of(clause: Rule | Budget, key: str, part: Change[object], *, tightens: bool) -> Edit:
    """Return the edit that a changed condition makes."""
    path = f"{key}.{part.path}" if part.path else key
    return Edit(clause=clause, words=f"`{path}` {part.words}", tightens=tightens)


def floor_edits(rule: Rule, bounds: Floors, policy: Policy) -> Iterator[Edit]:
    """Yield a floor with each bound out of force, and hard instead of soft or the reverse."""
    if bounds.min_quality:
        lowered = bounds.model_copy(update={"min_quality": type(bounds.min_quality)(0)})
        words = f"`set.min_quality` 0 instead of {bounds.min_quality}"
        yield Edit(clause=rule.model_copy(update={"set": lowered}), words=words, tightens=False)
    stated = bounds.model_dump(exclude_none=True)
    for name in ("max_ttft_ms", "max_cost_usd"):
        if name in stated and len(stated) > 1:
            raised = bounds.model_copy(update={name: None})
            clause = rule.model_copy(update={"set": raised})
            yield Edit(clause=clause, words=f"`set.{name}` dropped", tightens=False)
    lowering = any(budget.degrade_floor is not None for budget in policy.budgets)
    if bounds.min_quality is not None and lowering:
        other = "hard" if rule.strength == "soft" else "soft"
        clause = rule.model_copy(update={"strength": other})
        yield Edit(clause=clause, words=f"`strength` {other}", tightens=other == "hard")


WEAKER: Mapping[str, tuple[str, ...]] = {
    "trace": ("none", "hash", "redacted", "content"),
    "cache": ("none", "exact"),
    "log": ("decision+hash", "decision", "none"),
}
"""The words of each obligation, strictest first."""


def obligation_edits(rule: Rule, do: Obligate) -> Iterator[Edit]:
    """Yield an obligation that asks for a little less."""
    for name, words in WEAKER.items():
        value: str | None = getattr(do, name)
        if value is None or value == words[-1]:
            continue
        weaker = words[words.index(value) + 1]
        clause = rule.model_copy(update={"do": do.model_copy(update={name: weaker})})
        said = f"`do.{name}` {weaker} instead of {value}"
        yield Edit(clause=clause, words=said, tightens=False)
    for name in ("redact", "approval"):
        items: tuple[str, ...] = getattr(do, name)
        for item in items:
            rest = tuple(other for other in items if other != item)
            less = do.model_copy(update={name: rest})
            if less != Obligate():  # otherwise the rule might as well be dropped
                clause = rule.model_copy(update={"do": less})
                yield Edit(clause=clause, words=f"`do.{name}` without `{item}`", tightens=False)


def budget_edits(budget: Budget, levels: tuple[str, ...]) -> Iterator[Edit]:
    """Yield every edit of a budget."""
    yield Edit(clause=None, words="dropped", tightens=False)
    for part in () if budget.when is None else when_changes(budget.when, levels):
        clause = budget.model_copy(update={"when": part.value})
        yield edit_of(clause, "when", part, tightens=not part.narrows)
    for key, keeps in (("models", False), ("degrade_to", True)):
        matcher = budget.models if key == "models" else budget.degrade_to
        for models in () if matcher is None else models_changes(matcher):
            clause = budget.model_copy(update={key: models.value})
            yield edit_of(clause, key, models, tightens=models.narrows == keeps)
    yield from limit_edits(budget)
    if budget.on_exceed != "warn":
        clause = budget.model_copy(update={"on_exceed": "warn"})
        words = f"`on_exceed` warn instead of {budget.on_exceed}"
        yield Edit(clause=clause, words=words, tightens=False)
    if budget.degrade_floor:
        nought = type(budget.degrade_floor)(0)
        clause = budget.model_copy(update={"degrade_floor": nought})
        words = f"`degrade_floor` 0 instead of {budget.degrade_floor}"
        yield Edit(clause=clause, words=words, tightens=False)
        clause = budget.model_copy(update={"degrade_floor": None})
        yield Edit(clause=clause, words="`degrade_floor` dropped", tightens=True)


def limit_edits(budget: Budget) -> Iterator[Edit]:
    """Yield a budget of twice and of half the limit."""
    for name in ("limit_usd", "limit_tokens", "limit_calls"):
        limit = getattr(budget, name)
        if not limit:
            continue
        half = limit // 2 if isinstance(limit, int) else limit / 2
        for value, tightens in ((limit * 2, False), (half, True)):
            clause = budget.model_copy(update={name: value})
            words = f"`{name}` {value} instead of {limit}"
            yield Edit(clause=clause, words=words, tightens=tightens)
