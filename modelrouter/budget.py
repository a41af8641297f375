"""The budget ledger: a call reserves its worst case before it is sent and settles after.

All budgets of a call are reserved at once or none is, so that concurrent calls cannot
promise the same money twice. What was really spent is always charged.
"""

from __future__ import annotations

import calendar
import datetime
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modelrouter.forking import renew_after_fork
from modelrouter.values import FactValue

__all__ = ["Account", "BudgetStore", "Charge", "Hold", "MemoryLedger", "Shortage", "window_of"]

ACCOUNTS_BEFORE_SWEEP = 10_000
CALL_SLACK_S = 600.0
"""What the account of one call outlives its deadline, which begins after the warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who pays in which window.

    Attributes:
        budget: Budget id.
        scope: Values of the budget's scope facts; None stands for an unknown one.
        window: Name of the window, e.g. `2026-11-23` for a day.
        ends: When the window ends, in seconds since the epoch; no part of who pays.
    """

    budget: str
    scope: tuple[FactValue | None, ...]
    window: str
    ends: float = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one account is to hold.

    Attributes:
        amount: In the budget's unit; never negative.
        limit: The most the account may have spent and held, or None for no limit. An amount of
            0 fits even where more is spent already.
    """

    account: Account
    amount: int
    limit: int | None

    def exceeds(self, gone: int) -> bool:
        """Whether this would be too much for an account that has spent and held `gone`."""
        return self.limit is not None and self.amount > max(self.limit - gone, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Amounts held for one attempt."""

    id: int
    charges: tuple[Charge, ...]

    @property
    def unspent(self) -> dict[str, int]:
        """What is settled where nothing was spent."""
        return {charge.account.budget: 0 for charge in self.charges}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Why a reservation was refused.

    Attributes:
        spent: What the account has really spent.
        held: What calls in flight hold of it.
    """

    charge: Charge
    spent: int
    held: int

    @property
    def passing(self) -> bool:
        """Whether it would fit once the calls in flight have settled at nothing."""
        return self.charge.limit is not None and not self.charge.exceeds(self.spent)


class BudgetStore(Protocol):
    """Keeps what is spent and held."""

    async def used(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """Return what each account has spent and held."""
        ...

    async def spent(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """Return what each account has really spent."""
        ...

    async def reserve(self, charges: Sequence[Charge]) -> Hold | Shortage:
        """Hold all charges, or none and return the first that does not fit."""
        ...

    async def settle(self, hold: Hold, spent: Mapping[str, int]) -> None:
        """Give back a hold and charge what was really spent, by budget id.

        A second time does nothing: a call that is cancelled meanwhile settles again.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Balance:
    """One account's state."""

    spent: int = 0
    held: int = 0


@dataclass(slots=True, weakref_slot=True, kw_only=True)
class MemoryLedger:
    """A budget store in this process. Every method is atomic; none suspends.

    Attributes:
        now: Returns seconds since the epoch; accounts are forgotten after their window.
        sweep_at: Number of accounts at which those are looked for.
    """

    now: Callable[[], float] = time.time
    lock: threading.Lock = field(default_factory=threading.Lock)
    balances: dict[Account, Balance] = field(default_factory=dict[Account, Balance])
    open_holds: set[int] = field(default_factory=set[int])
    numbers: Iterator[int] = field(default_factory=itertools.count)
    sweep_at: int = ACCOUNTS_BEFORE_SWEEP

    def __post_init__(self) -> None:
        """Ask to be renewed in forked children."""
        renew_after_fork(self)

    def renew(self) -> None:
        """Forget the holds of calls that the parent process carries out."""
        self.lock = threading.Lock()
        self.open_holds.clear()
        for balance in self.balances.values():
            balance.held = 0

    async def used(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """Return what each account has spent and held."""
        with self.lock:
            found = {account: self.balances.get(account) for account in accounts}
            return {
                account: 0 if balance is None else balance.spent + balance.held
                for account, balance in found.items()
            }

    async def spent(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """Return what each account has really spent."""
        with self.lock:
            found = {account: self.balances.get(account) for account in accounts}
            return {
                account: 0 if balance is None else balance.spent
                for account, balance in found.items()
            }

    async def reserve(self, charges: Sequence[Charge]) -> Hold | Shortage:
        """Hold all charges, or none and return the first that does not fit."""
        if len(self.balances) >= self.sweep_at:
            self.sweep()
        with self.lock:
            for charge in charges:
                balance = self.balances.get(charge.account, Balance())
                if charge.exceeds(balance.spent + balance.held):
                    return Shortage(charge=charge, spent=balance.spent, held=balance.held)
            for charge in charges:
                self.balances.setdefault(charge.account, Balance()).held += charge.amount
            hold = Hold(id=next(self.numbers), charges=tuple(charges))
            self.open_holds.add(hold.id)
            return hold

    async def settle(self, hold: Hold, spent: Mapping[str, int]) -> None:
        """Give back a hold and charge what was really spent. A second time does nothing."""
        with self.lock:
            if hold.id not in self.open_holds:
                return
            self.open_holds.discard(hold.id)
            for charge in hold.charges:
                balance = self.balances.setdefault(charge.account, Balance())
                balance.held -= charge.amount
                balance.spent += spent.get(charge.account.budget, charge.amount)

    def sweep(self) -> None:
        """Forget accounts whose window is over and that hold nothing."""
        now = self.now()
        with self.lock:
            over = [
                account
                for account, balance in self.balances.items()
                if account.ends <= now and not balance.held
            ]
            for account in over:
                del self.balances[account]
            self.sweep_at = max(ACCOUNTS_BEFORE_SWEEP, 2 * len(self.balances))


def window_of(
    period: str, now: datetime.datetime, call: str, *, longest_s: float
) -> tuple[str, float]:
    """Return the name of the window `now` lies in, and when it ends.

    A `call` window belongs to one call, and so does a `run` window outside a run.

    Args:
        period: A budget's period.
        now: The time, in UTC.
        call: Id of the call.
        longest_s: Most seconds a call may take.
    """
    if period in {"call", "run"}:
        return call, now.timestamp() + longest_s + CALL_SLACK_S
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "minute":
            start = now.replace(second=0, microsecond=0)
            return start.strftime("%Y-%m-%dT%H:%M"), start.timestamp() + 60
        case "hour":
            start = now.replace(minute=0, second=0, microsecond=0)
            return start.strftime("%Y-%m-%dT%H"), start.timestamp() + 3600
        case "week":
            year, week, weekday = now.isocalendar()
            start = day - datetime.timedelta(days=weekday - 1)
            return f"{year}-W{week:02}", start.timestamp() + 7 * 86_400
        case "month":
            start = day.replace(day=1)
            days = calendar.monthrange(start.year, start.month)[1]
            return start.strftime("%Y-%m"), start.timestamp() + days * 86_400
        case _:
            return day.strftime("%Y-%m-%d"), day.timestamp() + 86_400
