"""A call under way is held to the budgets of the newest policy, beside those it was decided by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelrouter import BudgetExceeded, CallFailed, Router
from modelrouter.budget import Account, MemoryLedger
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError, Send
from modelrouter.testing import ScriptedProvider, Turn
from tests.flow.followed import PUBLIC, follow, policy, write
from tests.flow.kit import Api, put, runtime

BILLED = ProviderError(ErrorKind.SERVER_ERROR, billed=True)


def calls(limit: int, name: str = "calls", **more: Any) -> dict[str, Any]:
    return {"id": name, "period": "day", "limit_calls": limit, **more}


def with_budgets(*budgets: dict[str, Any], retries: int = 1, **more: Any) -> dict[str, Any]:
    return policy(budgets=[*budgets], runtime=runtime(retries=retries, attempts=4, **more))


class Stage:
    """A router whose first transmission fails while the policy is replaced."""

    def __init__(
        self, folder: Path, first: Any, then: Any, ledger: MemoryLedger | None = None
    ) -> None:
        self.changes: list[Callable[[], None]] = [self.change]
        self.folder, self.then = folder, then
        self.provider = ScriptedProvider(self.play)
        self.ledger = MemoryLedger() if ledger is None else ledger
        self.router: Router = follow(
            write(folder, policy=first), provider=self.provider, budgets=self.ledger
        )

    def change(self) -> None:
        write(self.folder, policy=self.then)
        assert self.router.reload().rejected == ()

    def play(self, _: Send) -> Turn:
        if self.changes:
            return Turn(error=BILLED, before=self.changes.pop())
        return Turn(text="ok")

    @property
    def sent(self) -> list[str]:
        return [send.model for send in self.provider.sends]

    def accounts(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return what is spent and held by budget id and length of the window's name."""
        return {
            (account.budget, len(account.window)): (balance.spent, balance.held)
            for account, balance in self.ledger.balances.items()
        }


DAY, HOUR = len("2026-11-23"), len("2026-11-23T07")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_limit_that_was_lowered_stops_the_next_attempt(
    api: Api, tmp_path: Path, *, streamed: bool
) -> None:
    stage = Stage(tmp_path, with_budgets(calls(10)), with_budgets(calls(1)))
    with pytest.raises(CallFailed) as caught:
        put(api, stage.router, streamed=streamed, **PUBLIC)
    assert stage.sent == ["a"]
    assert "the newest policy forbids it: budget `calls`" in caught.value.decision.explain()
    assert stage.accounts() == {("calls", DAY): (1, 0)}


def test_a_limit_that_was_lowered_before_the_first_attempt_says_what_is_missing(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, with_budgets(calls(10)), with_budgets(calls(1)))
    stage.changes.clear()
    stage.router.completion([{"role": "user", "content": "x"}], **PUBLIC)
    stream = stage.router.stream([{"role": "user", "content": "x"}], **PUBLIC)  # decided now
    stage.change()
    with pytest.raises(BudgetExceeded) as caught:
        next(stream)
    assert caught.value.budgets == ("calls",)
    assert stage.sent == ["a"]


def test_a_model_that_no_budget_stops_still_answers(api: Api, tmp_path: Path) -> None:
    stage = Stage(tmp_path, with_budgets(calls(10)), with_budgets(calls(1, models={"id": "a"})))
    assert api.complete(stage.router, **PUBLIC).model == "b"
    assert stage.sent == ["a", "b"]
    # The budget of before still meters `b`.
    assert stage.accounts() == {("calls", DAY): (2, 0)}


def test_what_the_newest_budget_degrades_to_is_all_that_stays(api: Api, tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "models": {"id": "a"},
        "on_exceed": "degrade",
        "degrade_to": {"id": "cloud"},
    }
    stage = Stage(tmp_path, with_budgets(calls(10)), with_budgets(calls(1, **more)))
    assert api.complete(stage.router, **PUBLIC).model == "cloud"
    assert stage.sent == ["a", "cloud"]


def test_a_budget_that_was_added_is_charged_for_later_attempts(api: Api, tmp_path: Path) -> None:
    then = with_budgets(calls(10), calls(5, "added"))
    stage = Stage(tmp_path, with_budgets(calls(10)), then)
    assert api.complete(stage.router, **PUBLIC).text == "ok"
    assert stage.accounts() == {("calls", DAY): (2, 0), ("added", DAY): (1, 0)}


def test_the_reservation_itself_keeps_the_newest_limit(api: Api, tmp_path: Path) -> None:
    """Other calls may take the money between the gate and the reservation."""

    class Blind(MemoryLedger):
        async def used(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
            return dict.fromkeys(accounts, 0)

    stage = Stage(tmp_path, with_budgets(calls(10)), with_budgets(calls(1)), Blind())
    with pytest.raises(CallFailed) as caught:
        api.complete(stage.router, **PUBLIC)
    assert stage.sent == ["a"]
    assert "`calls` has no room for the worst case" in caught.value.decision.explain()


def test_a_limit_that_was_raised_does_not_help_a_call_under_way(api: Api, tmp_path: Path) -> None:
    stage = Stage(tmp_path, with_budgets(calls(1)), with_budgets(calls(10)))
    with pytest.raises(CallFailed):
        api.complete(stage.router, **PUBLIC)
    assert stage.sent == ["a"]
    assert api.complete(stage.router, **PUBLIC).text == "ok"


def test_a_budget_of_one_call_is_the_same_one_after_a_reload(api: Api, tmp_path: Path) -> None:
    first, then = (
        with_budgets(calls(limit, period="call"), timeout_ms=timeout_ms)
        for limit, timeout_ms in ((3, 20_000), (1, 30_000))
    )
    stage = Stage(tmp_path, first, then)
    with pytest.raises(CallFailed):
        api.complete(stage.router, **PUBLIC)
    assert stage.sent == ["a"]


def test_a_budget_that_changed_its_period_is_held_in_both_windows(api: Api, tmp_path: Path) -> None:
    stage = Stage(tmp_path, with_budgets(calls(10)), with_budgets(calls(5, period="hour")))
    assert api.complete(stage.router, **PUBLIC).text == "ok"
    assert stage.accounts() == {("calls", DAY): (2, 0), ("calls", HOUR): (1, 0)}


def test_a_budget_that_changed_its_unit_is_held_in_the_newest_one(api: Api, tmp_path: Path) -> None:
    tokens = {"id": "calls", "period": "hour", "limit_tokens": 100_000}
    stage = Stage(tmp_path, with_budgets(calls(10)), with_budgets(tokens))
    reply = api.complete(stage.router, **PUBLIC)
    assert reply.usage is not None
    spent = reply.usage.input_tokens + reply.usage.output_tokens
    assert stage.accounts() == {("calls", DAY): (1, 0), ("calls", HOUR): (spent, 0)}


# A budget that is another one under the same id

FACTS = {"tenant": {"type": "string", "source": "auth"}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"limit_calls": 5}, None),
        ({"models": {"id": "a"}}, None),
        ({"id": "other"}, None),
        ({"period": "month"}, "another period or scope"),
        ({"scope": ["tenant"]}, "another period or scope"),
        ({"limit_calls": None, "limit_tokens": 5_000}, "tokens on top of the calls"),
        ({"limit_calls": None, "limit_usd": 5}, "dollars on top of the calls"),
    ],
)
def test_a_budget_that_counts_anew_is_warned_of(
    tmp_path: Path, change: dict[str, Any], told: str | None
) -> None:
    first = calls(2)
    then = {key: value for key, value in {**first, **change}.items() if value is not None}
    router = follow(write(tmp_path, policy=policy(facts=FACTS, budgets=[first])))
    write(tmp_path, policy=policy(facts=FACTS, budgets=[then]))
    status = router.reload()
    assert (status.reloads, status.rejected) == (1, ())
    if told is None:
        assert status.warnings == ()
        return
    (warning,) = status.warnings
    assert (warning.code, warning.severity, warning.about) == ("MR704", "warning", "calls")
    assert told in warning.message
    assert warning.file == str(tmp_path / "policy.yaml")
    assert router.reload().warnings == status.warnings
    # Other comments or layout are the same policy: the warning still holds.
    text = (tmp_path / "policy.yaml").read_text(encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(f"# a comment\n{text}", encoding="utf-8")
    assert router.reload().warnings == status.warnings
    write(tmp_path, policy=policy(facts=FACTS, budgets=[{**then, "description": "again"}]))
    assert (router.reload().reloads, router.policy_status().warnings) == (2, ())
