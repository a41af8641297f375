"""What a set of policy files must pass before it comes into force.

The gates stand in a row; the first one with something to say ends it. Behind those written
here stand those of the application: `Reload(gates=…)`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from modelrouter.errors import ModelRouterError, PolicyError, Problem

if TYPE_CHECKING:
    from modelrouter.loader import Inspection
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Budget

__all__ = [
    "Gate",
    "counted_anew",
    "errors_of",
    "gated",
    "lint_is_clean",
    "refusal_of",
    "tests_pass",
]

Gate: TypeAlias = "Callable[[Bundle, datetime.date], tuple[Problem, ...]]"
"""Returns why a policy may not come into force on a day; nothing to say lets it pass."""


def errors_of(found: Inspection) -> tuple[Problem, ...]:
    """Return every error that stopped the load; see `lint_is_clean` for what the linter finds."""
    errors = (part for part in found.problems if part.severity == "error")
    return tuple(errors) if found.bundle is None else ()


def lint_is_clean(bundle: Bundle, today: datetime.date) -> tuple[Problem, ...]:
    """Return the linter's errors, but those the owner accepts. A gate."""
    from modelrouter.lint.linting import lint  # noqa: PLC0415 - pydantic only with a policy

    return tuple(part for part in lint(bundle, today) if part.severity == "error")


def tests_pass(bundle: Bundle, today: datetime.date) -> tuple[Problem, ...]:
    """Return one problem for each unit test of the policy that fails. A gate."""
    from modelrouter.policytest import run_tests  # noqa: PLC0415 - pydantic only with a policy

    return tuple(
        Problem(
            code="MR701",
            file=outcome.trial.place.file or outcome.file,
            line=outcome.trial.place.line or 1,
            message=f"test `{outcome.name}` fails: {'; '.join(outcome.failures)}",
            hint="`modelrouter test PATH` runs the same tests",
        )
        for outcome in run_tests(bundle, today=today)
        if not outcome.passed
    )


def gated(bundle: Bundle, today: datetime.date, gates: Iterable[Gate]) -> tuple[Problem, ...]:
    """Return what the first gate that refuses a policy says; nothing if all let it pass."""
    for gate in gates:
        try:
            problems = tuple(gate(bundle, today))
        except Exception as error:  # noqa: BLE001 - fail closed: a gate may be the application's code
            name = getattr(gate, "__name__", type(gate).__name__)
            problems = (unbuilt(bundle, f"gate `{name}` raised {type(error).__name__}"),)
        if problems:
            return problems
    return ()


def counted_anew(before: Bundle, after: Bundle) -> tuple[Problem, ...]:
    """Return a warning for each budget whose id stays while what it counts is another thing."""
    old = {budget.id: budget for budget in before.policy.budgets}
    found: list[Problem] = []
    for budget in after.policy.budgets:
        was = old.get(budget.id)
        if was is None:
            continue
        place = after.place("budgets", budget.id)
        if unit_of(was) != unit_of(budget):
            what = f"counts {unit_of(budget)} on top of the {unit_of(was)} that were spent"
        elif (was.period, was.scope) != (budget.period, budget.scope):
            what = "has another period or scope: what was spent before no longer counts"
        else:
            continue
        found.append(
            Problem(
                code="MR704",
                severity="warning",
                file=place.file or after.path,
                line=place.line or 1,
                message=f"budget `{budget.id}` {what}",
                hint="keep both as budgets of their own until the old window has ended",
                about=budget.id,
            )
        )
    return tuple(found)


def unit_of(budget: Budget) -> str:
    """Return what a budget counts."""
    if budget.limit_usd is not None:
        return "dollars"
    return "calls" if budget.limit_tokens is None else "tokens"


def refusal_of(bundle: Bundle, error: ModelRouterError) -> tuple[Problem, ...]:
    """Return why no router can be built from a policy."""
    if isinstance(error, PolicyError):
        return error.problems
    return (unbuilt(bundle, str(error), hint=error.hint),)


def unbuilt(bundle: Bundle, message: str, *, hint: str | None = None) -> Problem:
    """Return a problem of a policy as a whole."""
    return Problem(code="MR702", file=bundle.path, message=message, hint=hint)
