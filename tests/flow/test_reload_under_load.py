"""Five hundred reloads under two calling threads: no call is lost, none goes where it may not."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelrouter import PolicyDenied, Reload, Router
from modelrouter.budget import MemoryLedger
from modelrouter.ports import Send
from modelrouter.testing import ScriptedProvider, Turn
from modelrouter.world import Approval
from tests.flow.followed import PUBLIC, expecting, follow, only, policy, renamed_over, write
from tests.flow.kit import AT_HOME, HELLO, balances

RELOADS = 500
ASK = {"id": "ask", "effect": "obligate", "models": "all", "do": {"approval": ["lead"]}}
BUDGETS = [{"id": "many", "period": "day", "limit_calls": 1_000_000}]
NEVER = {
    "id": "never",
    "effect": "forbid",
    "when": {"tokens": {"above": 10, "below": 5}},
    "models": "all",
}


def allowing(name: str) -> dict[str, Any]:
    """Return a policy that sends public calls to one model, after approval."""
    found = only(name, budgets=BUDGETS)
    found["rules"].append(ASK)
    return found


def good(folder: Path, name: str) -> None:
    """Put the test first: between the two steps the set is one that its test refuses."""
    renamed_over(folder, policy_test=expecting(name), policy=allowing(name))


def broken_yaml(folder: Path) -> None:
    write(folder, policy="rules: [{id: a")


def failing_test(folder: Path) -> None:
    write(folder, policy=allowing("cloud"))


def lint_error(folder: Path) -> None:
    write(folder, policy=policy(rules=[AT_HOME, NEVER]))


def half_written(folder: Path) -> None:
    text = json.dumps(allowing("a"))
    write(folder, policy=text[: len(text) // 2])


def half_a_policy(folder: Path) -> None:
    """What a write that stops before the rules leaves behind: a looser policy that loads."""
    write(folder, policy={**allowing("a"), "rules": [AT_HOME]})


def removed_file(folder: Path) -> None:
    (folder / "policy.yaml").unlink(missing_ok=True)


BAD = (broken_yaml, failing_test, lint_error, half_written, half_a_policy, removed_file)


class Callers:
    """Threads that call until they are told to stop, and what came of it."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.over = threading.Event()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.threads = [
            threading.Thread(target=self.work, args=(call,)) for call in (self.whole, self.stream)
        ]

    def whole(self) -> str:
        return self.router.completion(HELLO, **PUBLIC).model

    def stream(self) -> str:
        with self.router.stream(HELLO, **PUBLIC) as pieces:
            for _ in pieces:
                pass
            return pieces.reply.model

    def work(self, call: Callable[[], str]) -> None:
        while not self.over.is_set():
            before = self.router.policy_status().reloads
            name = call.__name__
            try:
                call()
                self.counts[f"{name} answered"] += 1
            except PolicyDenied as error:
                self.counts[f"{name} denied"] += 1
                told = "the newest policy forbids it" in error.decision.explain()
                changed = self.router.policy_status().reloads > before
                if not (told and changed and error.decision.deny_stage == "guard"):
                    self.wrong.append(error.decision.explain())
            except Exception as error:  # noqa: BLE001 - every other end is a lost call
                self.wrong.append(repr(error))


@pytest.mark.slow
def test_reloads_under_load_lose_no_call_and_send_none_where_it_may_not_go(
    tmp_path: Path,
) -> None:
    recipient: dict[str, str] = {}
    forbidden: list[str] = []
    ledger = MemoryLedger()

    def play(send: Send) -> Turn:
        # The last thing before an answer: the policy in force, at this very moment.
        if recipient[router.policy_digest] != send.model:
            forbidden.append(send.model)
        return Turn(text="yes")

    def approve(_: Approval) -> bool:
        time.sleep(0.001)  # leaves room for a reload between the decision and the gate
        return True

    provider = ScriptedProvider(play)
    good(tmp_path, "a")
    options = Reload(interval_s=None, settle_s=0)
    router = follow(tmp_path, provider, options, approve=approve, budgets=ledger)
    recipient[router.policy_digest] = "a"
    good(tmp_path, "b")
    other = follow(tmp_path, ScriptedProvider(), options, approve=approve)
    recipient[other.policy_digest] = "b"

    callers = Callers(router)
    for thread in callers.threads:
        thread.start()
    rejected, name = 0, "a"
    try:
        for number in range(RELOADS):
            if number % 2:
                BAD[number // 2 % len(BAD)](tmp_path)
                in_force = router.policy_digest
                status = router.reload()
                rejected += bool(status.rejected)
                assert status.digest == in_force
            else:
                name = "b" if name == "a" else "a"
                good(tmp_path, name)
                assert router.reload().rejected == ()
                assert recipient[router.policy_digest] == name
    finally:
        callers.over.set()
        for thread in callers.threads:
            thread.join(20)

    assert forbidden == []
    assert callers.wrong == []
    assert rejected == RELOADS // 2
    assert router.policy_status().reloads == RELOADS // 2
    answered = callers.counts["whole answered"] + callers.counts["stream answered"]
    assert len(provider.sends) == answered  # a call that was taken back was not sent
    assert {send.model for send in provider.sends} == {"a", "b"}
    assert min(callers.counts["whole answered"], callers.counts["stream answered"]) > 100
    assert callers.counts["whole denied"] + callers.counts["stream denied"] > 0
    assert balances(ledger) == {"many": (answered, 0)}
