"""What is watched beyond the policy's own folder: the layers above it, and its shadow."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from modelrouter import PolicyError, Reload, Router
from modelrouter.loader import inspect
from modelrouter.testing import ManualClock
from tests.flow.followed import PUBLIC, expecting, follow, policy, write
from tests.flow.kit import AT_HOME, HELLO, STAYS_HOME


def below(name: str, extends: str) -> dict[str, Any]:
    return {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": name, "version": "1"},
        "extends": extends,
    }


def named(name: str, **sections: Any) -> dict[str, Any]:
    return policy(metadata={"name": name, "version": "1"}, **sections)


NEVER: dict[str, Any] = {
    "apiVersion": "modelrouter/v1",
    "kind": "Properties",
    "policy": "policy.yaml",
    "properties": [
        {"id": "never", "when": {"level": "restricted"}, "never_sent": {"hosting": "vendor_api"}}
    ],
}
BUDGET = {"id": "day", "period": "day", "limit_calls": 9}
CLOSED = {"id": "closed", "effect": "forbid", "models": "all"}


def seen_by_a_thread(router: Router) -> None:
    """Look once as the thread does: a set that was refused is not judged anew."""
    assert router._follower is not None
    router._follower.look(anew=False)


@pytest.fixture
def layered(tmp_path: Path) -> Path:
    write(tmp_path / "org", policy=named("org"))
    return write(tmp_path / "app", policy=below("app", "../org"))


def test_no_number_of_files_hides_a_change(tmp_path: Path) -> None:
    tests = {f"a{number:03}_test": expecting("a") for number in range(199)}
    write(tmp_path / "zorg", policy=named("org"))
    write(tmp_path / "team", policy=below("team", "../zorg"), **tests)
    write(tmp_path / "app", policy=below("app", "../team"), **tests)
    router = follow(tmp_path / "app", reload=Reload(interval_s=None, settle_s=0, run_tests=False))
    write(tmp_path / "zorg", policy=named("org", rules=[AT_HOME, STAYS_HOME, CLOSED]))
    assert (router.reload().reloads, router.policy_status().rejected) == (1, ())
    assert not router.decide(HELLO, **PUBLIC).allowed


def test_a_file_that_appears_beside_a_layer_above_is_seen(layered: Path) -> None:
    router = follow(layered)
    before = router.policy_digest
    write(layered.parent / "org", properties=NEVER)
    seen_by_a_thread(router)
    found = inspect(layered).bundle
    assert found is not None
    assert router.policy_digest == found.digest != before
    (layered.parent / "org" / "properties.yaml").unlink()
    assert (router.reload().digest, router.policy_status().reloads) == (before, 2)


def test_a_second_policy_in_the_folder_of_a_layer_above_is_seen(layered: Path) -> None:
    router = follow(layered)
    write(layered.parent / "org", second=named("second"))
    seen_by_a_thread(router)
    status = router.policy_status()
    assert [part.code for part in status.rejected] == ["MR130"]
    assert status.checked_at is not None
    assert status.fresh_at < status.checked_at
    (layered.parent / "org" / "second.yaml").unlink()
    seen_by_a_thread(router)
    assert router.policy_status().rejected == ()


def test_a_layer_above_that_comes_back_is_seen(layered: Path) -> None:
    router = follow(layered)
    (layered.parent / "org").rename(layered.parent / "away")
    seen_by_a_thread(router)
    assert [part.code for part in router.policy_status().rejected] == ["MR130"]
    write(layered.parent / "org", policy=named("org", rules=[AT_HOME, STAYS_HOME, CLOSED]))
    seen_by_a_thread(router)
    assert (router.policy_status().rejected, router.policy_status().reloads) == ((), 1)
    assert not router.decide(HELLO, **PUBLIC).allowed


# The shadow


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    write(tmp_path / "next", policy=named("next", rules=[AT_HOME, STAYS_HOME, CLOSED]))
    return write(tmp_path / "now", policy=named("now", shadow="../next"))


def would_be_denied(router: Router) -> bool:
    """Whether the shadow that denies every call decides beside the policy."""
    return router.completion(HELLO, **PUBLIC).shadow is not None


@pytest.mark.parametrize("how", ["broken", "away", "two"])
def test_a_broken_shadow_neither_denies_a_call_nor_holds_up_the_policy(
    shadowed: Path, how: str
) -> None:
    clock = ManualClock()
    router = follow(
        shadowed, clock=clock, reload=Reload(interval_s=None, settle_s=0, max_stale_s=300)
    )
    assert would_be_denied(router)
    if how == "broken":
        write(shadowed.parent / "next", policy="apiVersion: mod")
    elif how == "two":
        write(shadowed.parent / "next", second=named("second"))
    else:
        (shadowed.parent / "next").rename(shadowed.parent / "away")
    clock.advance(minutes=6)
    seen_by_a_thread(router)
    status = router.policy_status()
    assert (status.rejected, status.stale, status.reloads) == ((), False, 0)
    assert [(part.code, part.severity) for part in status.warnings] == [("MR020", "warning")]
    assert router.decide(HELLO, sensitivity="restricted").allowed
    write(shadowed, policy=named("now", shadow="../next", budgets=[BUDGET]))
    assert router.reload().reloads == 1
    assert would_be_denied(router)  # by the last good one
    with pytest.raises(PolicyError):
        follow(shadowed)


def test_a_shadow_that_is_mended_decides_again(
    shadowed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    router = follow(shadowed)
    write(shadowed.parent / "next", policy="kind: Policy")
    with caplog.at_level(logging.WARNING, logger="modelrouter"):
        for _ in range(3):
            router.reload()
    assert [part.levelname for part in caplog.records] == ["WARNING"]
    assert "MR020" in caplog.text
    write(shadowed.parent / "next", policy=named("next"))
    seen_by_a_thread(router)
    assert router.policy_status().warnings == ()
    assert not would_be_denied(router)


def test_another_shadow_that_is_broken_is_none(shadowed: Path) -> None:
    router = follow(shadowed)
    write(shadowed, policy=named("now", shadow="../other"))
    assert [part.code for part in router.reload().warnings] == ["MR020"]
    assert not would_be_denied(router)


def test_a_policy_that_is_wrong_itself_is_rejected_with_its_shadow(shadowed: Path) -> None:
    router = follow(shadowed)
    write(shadowed.parent / "next", policy="kind: Policy")
    write(shadowed, policy=named("now", shadow="../next", rules=[{"id": "x"}]))
    assert "MR020" in {part.code for part in router.reload().rejected}
    assert router.policy_status().reloads == 0
    assert would_be_denied(router)
