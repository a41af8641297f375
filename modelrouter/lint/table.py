"""Every check of the linter: its code, how grave it is, what it means, and what comes first.

One mistake gives one finding. A finding is dropped where one of a code it yields to is about
the same part of the policy, or explains that part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from modelrouter.errors import Severity
from modelrouter.lint import budgets, conditions, facts, labels, metadata, models, quality, shadows
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found

__all__ = ["ACCEPTABLE_FROM", "CHECKS", "PEDANTIC", "Check"]

ACCEPTABLE_FROM = "MR2"
"""From here on a code speaks of what a policy says, and its owner may accept it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question asked of every policy.

    Attributes:
        code: What its findings are called.
        severity: How grave they are.
        meaning: The same in one line.
        find: Yields the findings.
        yields_to: Codes whose findings about the same part make these superfluous.
    """

    code: str
    severity: Severity
    meaning: str
    find: Callable[[LintContext], Iterable[Found]]
    yields_to: frozenset[str] = frozenset()


def check(
    code: str,
    severity: Severity,
    meaning: str,
    find: Callable[[LintContext], Iterable[Found]],
    *yields_to: str,
) -> Check:
    """Return one row of the table."""
    return Check(
        code=code,
        severity=severity,
        meaning=meaning,
        find=find,
        yields_to=frozenset(yields_to),
    )


PEDANTIC = frozenset({"MR501"})
"""Codes that are shown on request only."""

CHECKS: tuple[Check, ...] = (
    check(
        "MR201", "warning", "the rule changes nothing for any model", shadows.superfluous, "MR202"
    ),
    check("MR202", "error", "the condition can never hold", conditions.impossible_labels),
    check("MR203", "error", "no model can serve a label", labels.unservable),
    check(
        "MR204", "error", "no eligible model reaches the floor", quality.unreachable,
        "MR202", "MR205",
    ),
    check(
        "MR205", "warning", "the matcher selects no model today", models.selecting_nothing,
        "MR201", "MR202", "MR203", "MR212",
    ),
    check("MR206", "warning", "the section is never reached", conditions.unreached, "MR202"),
    check("MR207", "info", "one model alone serves a label", labels.served_by_one),
    check(
        "MR208", "warning", "the task has no evidence", quality.tasks_without_evidence,
        "MR204", "MR213",
    ),
    check(
        "MR209", "warning", "the model is never eligible", models.ineligible, "MR203"
    ),
    check(
        "MR210", "info", "the task has no floor of quality", quality.tasks_without_floor,
        "MR204", "MR208", "MR213",
    ),
    check(
        "MR211", "info", "the rule changes nothing for today's models", shadows.redundant,
        "MR201", "MR202", "MR205",
    ),
    check(
        "MR212", "warning", "the permit is not needed", shadows.inert, "MR202", "MR301"
    ),
    check(
        "MR213", "warning", "evidence under a misspelt task", quality.misspelt_evidence, "MR204"
    ),
    check(
        "MR301", "warning", "no category reaches the default deny", labels.deny_from_too_high
    ),
    check(
        "MR302", "warning", "the rule rests on what the caller says", facts.caller_supplied,
        "MR201", "MR202", "MR205", "MR212",
    ),
    check("MR305", "error", "a fact's default loosens", facts.loosening_defaults),
    check(
        "MR401", "error", "the budget never applies", budgets.never_applicable, "MR202", "MR205"
    ),
    check(
        "MR402", "error", "the budget degrades to nothing", budgets.degrade_nowhere,
        "MR202", "MR205", "MR401",
    ),
    check(
        "MR403", "warning", "no soft floor to lower", budgets.degrade_floor_unused,
        "MR202", "MR205", "MR401", "MR402",
    ),
    check(
        "MR404", "warning", "degrading saves nothing", budgets.dearer,
        "MR202", "MR205", "MR401", "MR402",
    ),
    check(
        "MR405", "warning", "the limit is below one call", budgets.below_one_call,
        "MR202", "MR205", "MR401",
    ),
    check(
        "MR406", "warning", "the budget needs an output limit", budgets.without_bound
    ),
    check(
        "MR501", "warning", "a hard rule does not say why", metadata.unreasoned,
        "MR201", "MR202", "MR205", "MR212",
    ),
    check("MR502", "error", "the rule's last day has passed", metadata.overdue),
    check("MR601", "warning", "evidence of quality is old", metadata.old_evidence),
    check("MR602", "warning", "a price is old or missing", metadata.prices, "MR209"),
    check("MR603", "warning", "the model has retired or soon will", models.retiring),
)  # fmt: skip
