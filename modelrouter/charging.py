"""What an attempt holds and costs, by the policy its call was decided by and by the newest one.

A call under way is bound by the budgets of both: what either would hold is held, and of two
limits of one account the lower one counts. So a reload narrows what a call may still spend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelrouter.budget import Account, Charge, Hold
from modelrouter.calls import Call, accounts_of
from modelrouter.decision import Candidate
from modelrouter.engine.sizing import Sizes, sizes_of
from modelrouter.engine.spending import amount_on, applies
from modelrouter.engine.subject import Asked, read_request
from modelrouter.errors import CallError
from modelrouter.gating import carried_over
from modelrouter.values import Usage

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine

__all__ = ["amounts_of", "charges_of", "cost_of", "spent_by"]


async def spent_by(call: Call, newest: Engine) -> Mapping[str, int]:
    """Return what is spent and held of the newest policy's budgets; nothing if it is the call's."""
    if newest is call.engine:
        return {}
    try:
        asked = read_request(carried_over(call, newest), newest, {})
    except CallError:  # the gate refuses the call for it
        return {}
    accounts = accounts_of(asked, newest, call.began, call.id)
    used = await call.world.ledger.used([*accounts.values()])
    return {name: used[account] for name, account in accounts.items()}


def charges_of(call: Call, candidate: Candidate, newest: Engine) -> list[Charge]:
    """Return what every budget must hold for a candidate that the newest policy lets pass."""
    own = charges_by(call.engine, call.asked, call.sizes, call.accounts, candidate)
    if newest is call.engine:
        return own
    request = carried_over(call, newest)
    asked = read_request(request, newest, {})
    sizes = sizes_of(request, asked.subject.task, newest)
    accounts = accounts_of(asked, newest, call.began, call.id)
    before, units = units_of(call.engine), units_of(newest)
    # Two units cannot stand in one account: the newest one counts there from now on.
    lasting = [
        charge
        for charge in own
        if before[charge.account.budget]
        == units.get(charge.account.budget, before[charge.account.budget])
    ]
    return merged([*lasting, *charges_by(newest, asked, sizes, accounts, candidate)])


def charges_by(
    engine: Engine,
    asked: Asked,
    sizes: Sizes,
    accounts: Mapping[str, Account],
    candidate: Candidate,
) -> list[Charge]:
    """Return what every budget of one policy must hold for a candidate."""
    place = engine.place[candidate.model]
    found: list[Charge] = []
    for clause in engine.meters:
        if clause.mask >> place & 1 and applies(clause, asked.subject):
            blocks = clause.budget.on_exceed != "warn"
            found.append(
                Charge(
                    account=accounts[clause.budget.id],
                    amount=amount_on(clause, sizes, place) or 0,
                    limit=clause.limit if blocks else None,
                )
            )
    return found


def merged(charges: list[Charge]) -> list[Charge]:
    """Return one charge for each account: the larger amount, under the lower limit."""
    found: dict[Account, Charge] = {}
    for charge in charges:
        other = found.get(charge.account, charge)
        limits = [part.limit for part in (charge, other) if part.limit is not None]
        found[charge.account] = Charge(
            account=other.account,
            amount=max(charge.amount, other.amount),
            limit=min(limits, default=None),
        )
    return [*found.values()]


def units_of(engine: Engine) -> dict[str, str]:
    """Return the unit of each budget of a policy."""
    return {clause.budget.id: clause.unit for clause in engine.meters}


def amounts_of(
    call: Call, hold: Hold, *, usage: Usage | None, model: str, newest: Engine
) -> dict[str, int]:
    """Return what an answered attempt really cost each budget that held for it."""
    cost = cost_of(usage, model, call.engine)
    units = units_of(call.engine) | units_of(newest)
    found: dict[str, int] = {}
    for charge in hold.charges:
        unit = units[charge.account.budget]
        if unit == "calls":
            found[charge.account.budget] = 1
        elif unit == "tokens" and usage is not None and credible(usage):
            found[charge.account.budget] = usage.input_tokens + usage.output_tokens
        elif unit == "usd" and cost is not None:
            found[charge.account.budget] = cost
    return found


def credible(usage: Usage) -> bool:
    """Whether reported tokens can be charged; otherwise what was held is."""
    parts = (usage.cached_input_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    return usage.input_tokens > 0 and usage.output_tokens >= 0 and min(parts) >= 0


def cost_of(usage: Usage | None, model: str, engine: Engine) -> int | None:
    """Return the real cost of an answer in pico-dollars, or None if it cannot be known.

    Cached, cache-written and reasoning tokens are parts of the totals and charged at
    their own prices.
    """
    rates = engine.table.rates[engine.place[model]]
    if rates is None or usage is None or not credible(usage):
        return None
    plain_in = max(usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens, 0)
    plain_out = max(usage.output_tokens - usage.reasoning_tokens, 0)
    return (
        plain_in * rates.input
        + usage.cached_input_tokens * rates.cached_input
        + usage.cache_write_tokens * rates.cache_write
        + plain_out * rates.output
        + usage.reasoning_tokens * rates.reasoning
        + rates.request
    )
