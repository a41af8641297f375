"""What is watched beyond the policy's own folder: the layers above it, and its shadow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelrouter import Reload, Router
from modelrouter.loader import inspect
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
