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
    if decision.deny_stage == "budget":
        names = ", ".join(f"`{name}`" for name in decision.rules) or "the call's `max_cost_usd`"
        if passing:
            return BudgetBusy(
                f"no budget room for task `{decision.task}`: calls in flight hold {names}",
                decision=decision,
                budgets=decision.rules,
                hint="try again when the calls in flight have ended",
            )
        return BudgetExceeded(
            f"no budget room for task `{decision.task}`: {names}",
            decision=decision,
            budgets=decision.rules,
            hint="`error.decision.explain()` says what is left; lower `max_tokens`, wait for "
            "the next window, or raise the limit. Do not retry",
        )
    clauses = f" by {', '.join(f'`{name}`' for name in decision.rules)}" if decision.rules else ""
    doubts = f" ({'; '.join(decision.unclassified)})" if decision.unclassified else ""
    return PolicyDenied(
        f"policy `{decision.policy}` denies task `{decision.task}` with label "
        f"{decision.label} at {decision.deny_stage}{clauses}{doubts}",
        decision=decision,
        hint="`error.decision.explain()` lists every model with its reasons",
    )


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
