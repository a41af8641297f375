"""The errors of calls that nothing was sent for: denied, or without money."""

from __future__ import annotations

from modelrouter.budget import Shortage
from modelrouter.decision import Decision
from modelrouter.errors import BudgetBusy, BudgetExceeded, ModelRouterError, PolicyDenied

__all__ = ["denial", "shortage_error"]


def denial(decision: Decision, *, passing: bool = False) -> ModelRouterError:
    """Return the error of a denial.

    Args:
        decision: The denial.
        passing: Whether it may pass once the calls in flight have ended.
    """
    budgets = missing_money(decision)
    if budgets is not None:
        names = ", ".join(f"`{name}`" for name in budgets)
        if passing:
            return BudgetBusy(
                f"no budget room for task `{decision.task}`: calls in flight hold {names}",
                decision=decision,
                budgets=budgets,
                hint="try again when the calls in flight have ended",
            )
        return BudgetExceeded(
            f"no budget room for task `{decision.task}`: {names}",
            decision=decision,
            budgets=budgets,
            hint="`error.decision.explain()` says what is left; lower `max_tokens`, wait for "
            "the next window, or raise the limit. Do not retry",
        )
    clauses = f" by {', '.join(f'`{name}`' for name in decision.rules)}" if decision.rules else ""
    told = decision.unclassified or closed_to_all(decision)
    doubts = f" ({'; '.join(told)})" if told else ""
    return PolicyDenied(
        f"policy `{decision.policy}` denies task `{decision.task}` with label "
        f"{decision.label} at {decision.deny_stage}{clauses}{doubts}",
        decision=decision,
        hint="`error.decision.explain()` lists every model with its reasons",
    )


def closed_to_all(decision: Decision) -> tuple[str, ...]:
    """Return why the guard closed the call to every model, where no clause of the policy did."""
    everything = (1 << len(decision.models)) - 1
    return tuple(
        part.reason.detail
        for part in decision.removals
        if part.reason.stage == decision.deny_stage == "guard"
        and part.models == everything
        and part.reason.rule.id is None
    )


def missing_money(decision: Decision) -> tuple[str, ...] | None:
    """Return the limits that alone stand between a call and a model, or None.

    A model that nothing but budgets removed is allowed; what is missing is money, whatever
    the stage that emptied the set.
    """
    found: set[str] = set()
    allowed = False
    for excluded in decision.excluded:
        if all(reason.stage == "budget" for reason in excluded.reasons):
            allowed = True
            found.update(reason.rule.id or "max_cost_usd" for reason in excluded.reasons)
    return tuple(sorted(found)) if allowed else None


def shortage_error(decision: Decision, shortage: Shortage) -> BudgetExceeded:
    """Return the error of a reservation that failed twice."""
    name = shortage.charge.account.budget
    kind = BudgetBusy if shortage.passing else BudgetExceeded
    held = "held by calls in flight" if shortage.passing else "spent"
    return kind(
        f"budget `{name}` has no room for the worst case of this call: it is {held}",
        decision=decision,
        budgets=(name,),
        hint="try again when the calls in flight have ended"
        if shortage.passing
        else "lower `max_tokens`, wait for the next window, or raise the limit",
    )
