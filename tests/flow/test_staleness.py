"""A policy nobody could compare with its files for too long closes the sensitive levels."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelrouter import CallFailed, PolicyDenied, Receipt, Reload, Router
from modelrouter.decide import Snapshot, decide
from modelrouter.engine.compiled import compile_bundle
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.testing import ManualClock, ScriptedProvider, Turn
from modelrouter.world import Approval
from tests.flow.followed import PUBLIC, follow, policy, write
from tests.flow.kit import AT_HOME, HELLO, STAYS_HOME, Api, put, runtime

DOWN = ProviderError(ErrorKind.SERVER_ERROR)
RESTRICTED: dict[str, Any] = {"sensitivity": "restricted"}
HALF_A_MINUTE = Reload(interval_s=None, settle_s=0, max_stale_s=30)
TEXT = (
    "calls from level `restricted` up are closed while the policy is stale: its files could "
    "not be verified for too long"
)


def stale_after(
    folder: Path, options: Reload = HALF_A_MINUTE, **more: Any
) -> tuple[Router, ManualClock, ScriptedProvider]:
    clock, provider = ManualClock(), ScriptedProvider()
    more = {"provider": provider, **more}
    router = follow(write(folder, policy=policy()), reload=options, clock=clock, **more)
    return router, clock, provider


@pytest.mark.parametrize("streamed", [False, True])
def test_a_stale_policy_denies_sensitive_calls_and_says_why(
    api: Api, tmp_path: Path, *, streamed: bool
) -> None:
    router, clock, provider = stale_after(tmp_path)
    clock.advance(seconds=30)
    assert router.policy_status().stale is False
    assert put(api, router, streamed=streamed, **RESTRICTED)
    clock.advance(seconds=1)
    assert router.policy_status().stale is True
    with pytest.raises(PolicyDenied, match="at guard") as caught:
        put(api, router, streamed=streamed, **RESTRICTED)
    decision = caught.value.decision
    assert decision.deny_stage == "guard"
    assert str(caught.value).endswith(f"at guard by `sensitive-stays-home` ({TEXT})")
    assert f"    guard: {TEXT}" in decision.explain().splitlines()
    assert all(TEXT in {part.detail for part in model.reasons} for model in decision.excluded)
    assert len(decision.excluded) == 3
    assert len(provider.sends) == 1
    assert put(api, router, streamed=streamed, **PUBLIC)


def test_a_call_nobody_labelled_counts_as_sensitive(tmp_path: Path) -> None:
    router, clock, _ = stale_after(tmp_path)
    clock.advance(seconds=31)
    decision = router.decide(HELLO)
    assert decision.deny_stage == "guard"  # definite: not merely unclassified
    assert TEXT in decision.explain()


@pytest.mark.parametrize(
    ("options", "defaults", "open_below", "closed_from"),
    [
        ({}, {}, "confidential", "restricted"),
        ({}, {"default_deny_from": "internal"}, "public", "internal"),
        ({"stale_deny_from": "confidential"}, {}, "internal", "confidential"),
        ({"stale_deny_from": "public"}, {}, None, "public"),
    ],
)
def test_the_level_from_which_a_stale_policy_denies(
    options: dict[str, Any],
    defaults: dict[str, Any],
    open_below: str | None,
    closed_from: str,
    tmp_path: Path,
) -> None:
    at_home = {**AT_HOME, "when": {"level": {"at_least": "public"}}}
    write(tmp_path, policy=policy(defaults=defaults, rules=[at_home, STAYS_HOME]))
    clock = ManualClock()
    options = {"interval_s": None, "settle_s": 0, "max_stale_s": 30, **options}
    router = follow(tmp_path, reload=Reload(**options), clock=clock)
    assert router.decide(HELLO, sensitivity=closed_from).allowed
    clock.advance(seconds=31)
    if open_below is not None:
        assert router.decide(HELLO, sensitivity=open_below).allowed
    decision = router.decide(HELLO, sensitivity=closed_from)
    assert not decision.allowed
    assert f"from level `{closed_from}` up" in decision.explain()
    assert not router.decide(HELLO, sensitivity="restricted").allowed


def test_without_a_limit_a_policy_never_grows_stale(tmp_path: Path) -> None:
    router, clock, _ = stale_after(tmp_path, Reload(interval_s=None))
    clock.advance(days=3650)
    assert router.policy_status().stale is False
    assert router.decide(HELLO, **RESTRICTED).allowed


def break_it(folder: Path) -> None:
    write(folder, policy="rules: [")


def remove_it(folder: Path) -> None:
    (folder / "policy.yaml").unlink()


def lock_it(folder: Path) -> None:
    (folder / "policy.yaml").chmod(0)


@pytest.mark.parametrize("harm", [break_it, remove_it, lock_it])
def test_files_that_are_bad_gone_or_unreadable_make_a_policy_stale(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    if harm is lock_it and os.geteuid() == 0:
        pytest.skip("root reads everything")
    router, clock, _ = stale_after(tmp_path)
    harm(tmp_path)
    for _ in range(3):
        clock.advance(seconds=11)
        status = router.reload()
    assert status.stale
    assert status.rejected
    assert status.checked_at == clock.now()
    assert status.fresh_at == clock.now() - datetime.timedelta(seconds=33)
    assert router.decide(HELLO, **RESTRICTED).deny_stage == "guard"
    (tmp_path / "policy.yaml").unlink(missing_ok=True)
    write(tmp_path, policy=policy())
    assert router.reload().stale is False
    assert router.decide(HELLO, **RESTRICTED).allowed


def test_a_thread_that_is_dead_makes_a_policy_stale(tmp_path: Path) -> None:
    options = Reload(interval_s=0.02, max_stale_s=30)
    router, clock, _ = stale_after(tmp_path, options)
    router.close()
    clock.advance(seconds=31)
    assert router.decide(HELLO, **RESTRICTED).deny_stage == "guard"
    assert router.reload().stale is False  # by hand it can still be verified
    assert router.decide(HELLO, **RESTRICTED).allowed


def test_a_look_that_finds_the_files_unchanged_keeps_a_policy_fresh(tmp_path: Path) -> None:
    router, clock, _ = stale_after(tmp_path)
    for _ in range(10):
        clock.advance(seconds=29)
        router.reload()
    assert router.decide(HELLO, **RESTRICTED).allowed


@pytest.mark.parametrize("streamed", [False, True])
def test_a_policy_that_grows_stale_in_mid_call_stops_the_next_attempt(
    api: Api, tmp_path: Path, *, streamed: bool
) -> None:
    clock = ManualClock()
    provider = ScriptedProvider(Turn(error=DOWN, before=lambda: clock.advance(seconds=31)))
    write(tmp_path, policy=policy(runtime=runtime(retries=2, timeout_ms=600_000)))
    router = follow(tmp_path, provider, HALF_A_MINUTE, clock=clock)
    with pytest.raises(CallFailed) as caught:
        put(api, router, streamed=streamed, **RESTRICTED)
    assert [send.model for send in provider.sends] == ["a"]
    assert f"guard: the newest policy forbids it: {TEXT}" in caught.value.decision.explain()


def test_a_policy_that_comes_in_mid_call_and_grows_stale_stops_it_too(tmp_path: Path) -> None:
    clock = ManualClock()

    def change() -> None:
        write(tmp_path, policy=policy(runtime=runtime(retries=1, timeout_ms=600_000)))
        assert router.reload().reloads == 1
        clock.advance(seconds=31)

    provider = ScriptedProvider([Turn(error=DOWN, before=change), "never sent"])
    write(tmp_path, policy=policy(runtime=runtime(retries=2, timeout_ms=600_000)))
    router = follow(tmp_path, provider, HALF_A_MINUTE, clock=clock)
    with pytest.raises(CallFailed) as caught:
        router.completion(HELLO, **RESTRICTED)
    assert len(provider.sends) == 1
    assert TEXT in caught.value.decision.explain()


def test_a_policy_that_grows_stale_while_approval_is_awaited_denies(
    api: Api, tmp_path: Path
) -> None:
    clock, provider = ManualClock(), ScriptedProvider()
    ask = {"id": "ask", "effect": "obligate", "models": "all", "do": {"approval": ["lead"]}}

    def approve(_: Approval) -> bool:
        clock.advance(seconds=31)
        return True

    write(
        tmp_path,
        policy=policy(rules=[AT_HOME, STAYS_HOME, ask], runtime=runtime(timeout_ms=600_000)),
    )
    router = follow(tmp_path, provider, HALF_A_MINUTE, clock=clock, approve=approve)
    with pytest.raises(PolicyDenied, match="at guard"):
        api.complete(router, **RESTRICTED)
    assert provider.sends == ()


def test_a_stale_denial_can_be_replayed_from_its_receipt(tmp_path: Path) -> None:
    receipts: list[Receipt] = []
    router, clock, _ = stale_after(tmp_path, receipts=receipts.append)
    clock.advance(seconds=31)
    with pytest.raises(PolicyDenied):
        router.completion(HELLO, **RESTRICTED)
    (receipt,) = receipts
    assert receipt.as_json()["closed_from"] == receipt.closed_from == 3
    bundle = router._in_force.policy.bundle
    snapshot = Snapshot(
        engine=compile_bundle(bundle, datetime.date.fromisoformat(receipt.day)),
        spent=receipt.spent,
        unfulfillable=receipt.unfulfillable,
        closed_from=receipt.closed_from,
    )
    assert decide(receipt.request, snapshot).as_json() == receipt.decision.as_json()


def test_closing_a_level_only_removes(tmp_path: Path) -> None:
    router, clock, _ = stale_after(tmp_path)
    before = {level: router.decide(HELLO, sensitivity=level) for level in ("public", "restricted")}
    clock.advance(seconds=31)
    for level, decision in before.items():
        after = router.decide(HELLO, sensitivity=level)
        assert set(after.candidates) <= set(decision.candidates)
