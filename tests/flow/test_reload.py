"""What is watched, what must pass before it comes into force, and what is told of it."""

from __future__ import annotations

import datetime
import gc
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from modelrouter import ConfigurationError, PolicyError, Reload, Router
from modelrouter.errors import Problem
from modelrouter.policy.bundle import Bundle
from modelrouter.testing import ManualClock, ScriptedProvider
from tests.flow.followed import (
    MODELS,
    PUBLIC,
    Mount,
    catalog,
    expecting,
    follow,
    only,
    policy,
    renamed_over,
    write,
)
from tests.flow.kit import AT_HOME, HELLO, NOWHERE, model, wait_until

QUICK = Reload(interval_s=0.02, settle_s=0.01)


def serves(router: Router) -> str | None:
    return router.decide(HELLO, **PUBLIC).model


# What is watched


def test_a_file_written_in_place_is_loaded(tmp_path: Path) -> None:
    router = follow(write(tmp_path, policy=only("a")))
    assert serves(router) == "a"
    write(tmp_path, policy=only("b"))
    assert serves(router) == "a"
    assert router.reload().reloads == 1
    assert serves(router) == "b"


def test_a_file_renamed_over_is_loaded(tmp_path: Path) -> None:
    router = follow(write(tmp_path, policy=only("a")))
    renamed_over(tmp_path, policy=only("b"))
    router.reload()
    assert serves(router) == "b"


def test_a_config_map_that_is_swapped_is_loaded(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    files = {"policy": only("a", models=None, catalogs=["catalog.yaml"])}
    del files["policy"]["models"]
    router = follow(mount.put(**files, catalog=catalog(*MODELS)))
    assert serves(router) == "a"
    files["policy"]["rules"][-1]["models"]["id"] = "b"
    mount.put(**files, catalog=catalog(*MODELS))
    status = router.reload()
    assert (serves(router), status.reloads, status.rejected) == ("b", 1, ())
    mount.put(**files, catalog=catalog(*MODELS))  # other files, the same bytes
    assert router.reload().reloads == 1
    files["policy"]["rules"][-1]["models"]["id"] = "a"
    mount.put(**files, catalog=catalog(*MODELS[:1]))
    status = router.reload()
    assert (serves(router), status.reloads, status.rejected) == ("a", 2, ())
    assert router.decide(HELLO, **PUBLIC).models == ("a",)


def test_a_layer_above_is_where_the_links_of_now_lead(tmp_path: Path) -> None:
    near, above = tmp_path / "link" / "app", tmp_path / "link" / "org"
    near.parent.mkdir()
    layer = policy(extends="../org")
    for key in ("labels", "models", "rules", "runtime"):
        del layer[key]
    for number, name in enumerate("ab"):
        write(tmp_path / f"v{number}" / "org", policy=only(name))
        write(tmp_path / f"v{number}" / "app", policy=layer)
    near.symlink_to("../v0/app")
    above.symlink_to("../v0/org")  # as long as both links say v0, `app/../org` is `org`
    router = follow(near)
    assert serves(router) == "a"
    near.unlink()
    near.symlink_to("../v1/app")
    assert (router.reload().reloads, serves(router)) == (1, "b")
    write(tmp_path / "v1" / "org", policy=only("a"))
    assert (router.reload().reloads, serves(router)) == (2, "a")


def test_a_policy_named_by_its_file_is_followed_with_its_tests(tmp_path: Path) -> None:
    write(tmp_path, policy=only("a"))
    router = follow(tmp_path / "policy.yaml")
    write(tmp_path, policy=only("b"), policy_test=expecting("b"))
    assert router.reload().reloads == 1
    write(tmp_path, policy_test=expecting("a"))
    assert [part.code for part in router.reload().rejected] == ["MR701"]


def test_a_test_that_rejects_a_set_is_named_with_its_whole_path_and_line(tmp_path: Path) -> None:
    router = follow(write(tmp_path, policy=only("a")))
    tests = (
        "apiVersion: modelrouter/v1\nkind: PolicyTest\npolicy: policy.yaml\ntests:\n"
        "  - {name: good, request: {level: public, max_output: 9}, expect: {model: a}}\n"
        "  - {name: bad, request: {level: public, max_output: 9}, expect: {model: b}}\n"
    )
    write(tmp_path, policy_test=tests)
    (failed,) = router.reload().rejected
    assert (failed.code, failed.file) == ("MR701", str(tmp_path / "policy_test.yaml"))
    assert failed.line == 6
    assert failed.message.startswith("test `bad` fails: ")


def test_a_catalogue_that_appears_later_in_a_subfolder_is_seen(tmp_path: Path) -> None:
    router = follow(write(tmp_path, policy=only("a")))
    split = only("b", catalogs=["more/catalog.yaml"])
    del split["models"]
    write(tmp_path, policy=split)
    assert {part.code for part in router.reload().rejected} == {"MR020", "MR102"}
    write(tmp_path / "more", catalog=catalog(*MODELS))
    assert router._follower is not None
    router._follower.look(anew=False)  # as the thread does
    assert (serves(router), router.policy_status().rejected) == ("b", ())
    changed = catalog(model("b", max_output=7))
    write(tmp_path / "more", catalog=changed)
    assert router.reload().reloads == 2


def test_a_file_that_is_added_or_removed_counts(tmp_path: Path) -> None:
    router = follow(write(tmp_path, policy=only("a"), policy_test=expecting("a")))
    (tmp_path / "policy_test.yaml").unlink()
    without = router.reload()
    assert without.reloads == 1
    write(tmp_path, second=only("b"))
    assert [part.code for part in router.reload().rejected] == ["MR012"]
    (tmp_path / "second.yaml").unlink()
    assert router.reload() == router.policy_status()
    assert router.policy_status().digest == without.digest


def test_deleting_and_restoring_the_files_keeps_the_policy(tmp_path: Path) -> None:
    folder = write(tmp_path / "policy", policy=only("a"))
    router = follow(folder)
    before = router.policy_status()
    (folder / "policy.yaml").unlink()
    assert [part.code for part in router.reload().rejected] == ["MR012"]
    folder.rmdir()
    assert [part.code for part in router.reload().rejected] == ["MR000"]
    assert serves(router) == "a"
    write(folder, policy=only("a"))
    after = router.reload()
    assert (after.digest, after.reloads, after.rejected) == (before.digest, 0, ())
    assert after.loaded_at == before.loaded_at
    assert after.fresh_at > before.fresh_at


def test_comments_and_layout_are_no_reload_but_move_places(tmp_path: Path) -> None:
    text = json.dumps(only("a"))
    router = follow(write(tmp_path, policy=text))
    write(tmp_path, policy=f"# a comment\n\n{text}")
    status = router.reload()
    assert (status.reloads, status.rejected) == (0, ())
    lines = {
        reason.rule.line
        for part in router.decide(HELLO, **PUBLIC).excluded
        for reason in part.reasons
    }
    assert lines == {3}


def test_the_thread_loads_what_changed(tmp_path: Path) -> None:
    with follow(write(tmp_path, policy=only("a")), reload=QUICK) as router:
        write(tmp_path, policy=only("b"))
        assert wait_until(lambda: serves(router) == "b")
        write(tmp_path, policy="rules: [")
        assert wait_until(lambda: bool(router.policy_status().rejected))
        assert serves(router) == "b"
        write(tmp_path, policy=only("a"))
        assert wait_until(lambda: serves(router) == "a")
        assert router.policy_status().rejected == ()


def test_a_relative_path_survives_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "policy", policy=only("a"))
    monkeypatch.chdir(tmp_path)
    router = follow(Path("policy"))
    monkeypatch.chdir("/")
    write(tmp_path / "policy", policy=only("b"))
    router.reload()
    assert serves(router) == "b"


# Half-written sets


def test_a_set_that_is_written_while_it_is_read_is_not_loaded(tmp_path: Path) -> None:
    """A looser half: the file ends at a line boundary and is a policy without its last rule."""
    router = follow(write(tmp_path, policy=only("a")), reload=Reload(interval_s=None, settle_s=0.2))
    writing = threading.Event()

    def rewrite() -> None:
        with (tmp_path / "policy.yaml").open("w", encoding="utf-8") as file:
            file.write(json.dumps(only("cloud")))
            file.flush()
            writing.set()
            time.sleep(0.1)
            file.seek(0)
            file.truncate()
            file.write(json.dumps(only("b")))

    writer = threading.Thread(target=rewrite)
    writer.start()
    writing.wait(5)
    router.reload()
    seen = serves(router)
    writer.join()
    assert seen != "cloud"  # which machine is slow decides between the policy before and after
    assert router.reload().reloads == 1
    assert serves(router) == "b"


def test_a_router_that_starts_while_its_files_are_written_waits_for_them(tmp_path: Path) -> None:
    looser = policy(rules=[AT_HOME])
    write(tmp_path, policy=looser)
    writer = threading.Timer(0.1, lambda: write(tmp_path, policy=only("b")))
    writer.start()
    router = follow(tmp_path, reload=Reload(interval_s=None, settle_s=0.3))
    writer.join()
    assert serves(router) == "b"
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))  # written long ago: nothing to wait for
    started = time.monotonic()
    follow(tmp_path, reload=Reload(interval_s=None, settle_s=5))
    assert time.monotonic() - started < 2


def test_a_set_that_never_stands_still_is_left_for_later(tmp_path: Path) -> None:
    router = follow(
        write(tmp_path, policy=only("a")), reload=Reload(interval_s=None, settle_s=0.05)
    )
    write(tmp_path, policy=only("nobody"))
    refused = router.reload().rejected
    assert [part.code for part in refused] == ["MR102"]
    over = threading.Event()

    def write_on() -> None:
        number = 0
        while not over.wait(0.005):
            number += 1
            renamed_over(tmp_path, policy=only("b") | {"metadata": {"name": f"n{number}"}})

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        time.sleep(0.05)
        status = router.reload()
    finally:
        over.set()
        writer.join()
    assert [part.code for part in status.rejected] == ["MR703"]
    assert (serves(router), status.reloads) == ("a", 0)
    before = (tmp_path / "policy.yaml").read_text(encoding="utf-8")
    write(tmp_path, policy=only("nobody"))
    assert router._follower is not None
    router._follower.look(anew=False)  # as the thread does, with a set it refused before
    assert router.policy_status().rejected == refused
    write(tmp_path, policy=before)
    assert router.reload().rejected == ()
    assert serves(router) == "b"


SWAP = """
import os, sys, time
number = 0
while True:
    number += 1
    os.symlink(f"..{1 + number % 2}", "..data_tmp")
    os.replace("..data_tmp", "..data")
    time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("pause_s", [0.001, 0.004])
def test_two_sets_that_are_swapped_again_and_again_are_never_mixed(
    pause_s: float, tmp_path: Path
) -> None:
    """Each policy belongs to its catalogue; a look may see the first before and after a load."""
    whole: set[str] = set()
    mount = Mount(tmp_path / "mount")
    for number, (name, price) in enumerate((("a", 1), ("b", 9)), start=1):
        document = only(name, catalogs=["catalog.yaml"])
        del document["models"]
        models = [{**part, "price": {"input": price, "output": price}} for part in MODELS]
        documents = {"policy": document, "catalog": catalog(*models)}
        whole.add(follow(write(tmp_path / name, **documents)).policy_digest)
        write(mount.folder / f"..{number}", **documents)
    (mount.folder / "..data").symlink_to("..1")
    for name in ("policy", "catalog"):
        (mount.folder / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    router = follow(mount.folder)
    seen: set[str] = set()
    with subprocess.Popen([sys.executable, "-c", SWAP, str(pause_s)], cwd=mount.folder) as swapping:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            seen.add(router.reload().digest)
        swapping.kill()
    seen.add(router.reload().digest)
    assert router.policy_status().rejected == ()
    assert seen <= whole


# Gates

LINT_ERROR = {
    "id": "never",
    "effect": "forbid",
    "when": {"tokens": {"above": 10, "below": 5}},
    "models": "all",
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "broken YAML": ({"policy": "rules: [{id: a"}, "MR000"),
    "an unknown name": ({"policy": only("nobody")}, "MR102"),
    "what the linter calls an error": (
        {"policy": policy(rules=[AT_HOME, LINT_ERROR])},
        "MR202",
    ),
    "a failing test": ({"policy": only("b"), "policy_test": expecting("a")}, "MR701"),
    "no endpoint": (
        {"policy": policy(models=[*MODELS, model("c", endpoint=None)])},
        "MR702",
    ),
    "a host nobody trusts": (
        {"policy": policy(models=[model("a", url="http://model.example/v1")])},
        "MR702",
    ),
    "a set of files that is empty": ({"policy": ""}, "MR000"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_set_keeps_the_last_good_policy(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    documents, code = BAD[name]
    router = follow(write(tmp_path, policy=only("a")))
    good = router.policy_status()
    write(tmp_path, **documents)
    with caplog.at_level(logging.INFO, logger="modelrouter"):
        status = router.reload()
    assert {part.code for part in status.rejected} == {code}
    assert (status.digest, status.reloads, status.fresh_at) == (good.digest, 0, good.fresh_at)
    assert status.checked_at is not None
    assert status.checked_at > good.fresh_at
    assert router.completion(HELLO, **PUBLIC).model == "a"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert code in record.getMessage()
    write(tmp_path, policy=only("b"), policy_test=expecting("b"))
    assert router.reload().rejected == ()
    assert serves(router) == "b"


def test_a_router_does_not_begin_with_what_a_reload_would_reject(tmp_path: Path) -> None:
    write(tmp_path, policy=only("a"), policy_test=expecting("b"))
    with pytest.raises(PolicyError) as caught:
        follow(tmp_path)
    assert [part.code for part in caught.value.problems] == ["MR701"]
    assert follow(tmp_path, reload=Reload(interval_s=None, run_tests=False))
    assert Router.from_policy(tmp_path, provider=ScriptedProvider(), sends=False)


def test_tests_can_be_left_out(tmp_path: Path) -> None:
    router = follow(
        write(tmp_path, policy=only("a")),
        reload=Reload(interval_s=None, settle_s=0, run_tests=False),
    )
    write(tmp_path, policy=only("b"), policy_test=expecting("a"))
    router.reload()
    assert serves(router) == "b"


def test_further_gates_are_asked_in_order_and_fail_closed(tmp_path: Path) -> None:
    asked: list[tuple[str, str, datetime.date]] = []
    says: dict[str, Any] = {"first": (), "second": ()}

    def gate(name: str) -> Callable[[Bundle, datetime.date], tuple[Problem, ...]]:
        def judge(bundle: Bundle, today: datetime.date) -> tuple[Problem, ...]:
            asked.append((name, bundle.digest, today))
            found = says[name]
            if isinstance(found, Exception):
                raise found
            return tuple(found)

        return judge

    options = Reload(interval_s=None, settle_s=0, gates=(gate("first"), gate("second")))
    clock = ManualClock()
    router = follow(write(tmp_path, policy=only("a")), reload=options, clock=clock)
    assert [part[0] for part in asked] == ["first", "second"]
    refusal = Problem(code="MR999", file="policy.yaml", message="not proved")
    says["first"] = [refusal]
    write(tmp_path, policy=only("b"))
    assert router.reload().rejected == (refusal,)
    assert [part[0] for part in asked[2:]] == ["first"]
    says["first"] = ValueError("with content")
    (problem,) = router.reload().rejected
    assert (problem.code, problem.message) == ("MR702", "gate `judge` raised ValueError")
    says["first"] = ()
    assert router.reload().reloads == 1
    assert asked[-1] == ("second", router.policy_digest, clock.now().date())


def test_a_rejected_set_is_judged_once_and_again_on_the_next_day(tmp_path: Path) -> None:
    judged: list[datetime.date] = []

    def never(_: Bundle, today: datetime.date) -> tuple[Problem, ...]:
        if beginning:
            return ()
        judged.append(today)
        return (Problem(code="MR999", file="x", message="no"),)

    beginning = [True]
    clock = ManualClock()
    router = follow(
        write(tmp_path, policy=only("a")),
        reload=Reload(interval_s=None, settle_s=0, gates=(never,)),
        clock=clock,
    )
    beginning.clear()
    write(tmp_path, policy=only("b"))
    follower = router._follower
    assert follower is not None
    for _ in range(3):
        follower.look(anew=False)
    assert len(judged) == 1
    clock.advance(days=1)
    follower.look(anew=False)
    assert judged == [datetime.date(2026, 11, 23), datetime.date(2026, 11, 24)]


def test_a_model_that_leaves_the_catalogue_takes_its_endpoint_along(tmp_path: Path) -> None:
    override = {"model": "hosted_vllm/x", "api_base": NOWHERE, "api_key": "none"}
    provider = ScriptedProvider()
    router = follow(
        write(tmp_path, policy=policy()), provider, endpoints={"a": override, "b": override}
    )
    write(tmp_path, policy=policy(models=MODELS[1:]))
    assert router.reload().rejected == ()
    assert router.completion(HELLO, **PUBLIC).model == "b"
    assert provider.sends[0].upstream == "hosted_vllm/x"


def test_new_calls_use_new_targets(tmp_path: Path) -> None:
    provider = ScriptedProvider()
    router = follow(write(tmp_path, policy=policy(models=[model("a", url=NOWHERE)])), provider)
    router.completion(HELLO, **PUBLIC)
    moved = "http://127.0.0.1:10/v1"
    write(tmp_path, policy=policy(models=[model("a", url=moved), model("new", url=moved)]))
    router.reload()
    router.completion(HELLO, **PUBLIC)
    router.completion(HELLO, **PUBLIC, model="new")
    assert [send.api_base for send in provider.sends] == [NOWHERE, moved, moved]


# Status and options


def test_the_status_tells_which_policy_is_in_force(tmp_path: Path) -> None:
    clock = ManualClock()
    router = follow(write(tmp_path, policy=only("a")), clock=clock)
    begun = clock.now()
    clock.advance(seconds=5)
    renamed_over(tmp_path, policy=only("b") | {"metadata": {"name": "renamed", "version": "2"}})
    status = router.reload()
    assert (status.name, status.version, status.reloads) == ("renamed", "2", 1)
    assert status.digest == router.policy_digest
    assert status.loaded_at == status.checked_at == status.fresh_at == clock.now() > begun
    clock.advance(seconds=5)
    later = router.reload()
    assert later.loaded_at == status.loaded_at
    assert later.fresh_at == later.checked_at == clock.now()
    assert later.stale is False


def test_a_router_of_a_bundle_has_a_status_and_nothing_to_reload() -> None:
    from tests.flow.kit import bundle  # noqa: PLC0415

    router = Router(bundle(), sends=False)
    status = router.policy_status()
    assert (status.checked_at, status.reloads, status.stale) == (None, 0, False)
    with pytest.raises(ConfigurationError, match="no files"):
        router.reload()
    router.close()


def test_without_options_the_files_are_loaded_again_by_hand_alone(tmp_path: Path) -> None:
    router = Router.from_policy(write(tmp_path, policy=only("a")), sends=False)
    write(tmp_path, policy=only("b"))
    assert serves(router) == "a"
    assert not [part for part in threading.enumerate() if part.name == "modelrouter-reload"]
    router.reload()
    assert serves(router) == "b"


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval_s": 0},
        {"settle_s": -1},
        {"settle_s": None},
        {"interval_s": "2"},
        {"max_stale_s": float("nan")},
        {"interval_s": 1e300},
    ],
)
def test_options_that_would_never_look_or_never_wait_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Reload(**wrong)


def test_what_is_no_options_is_refused(tmp_path: Path) -> None:
    write(tmp_path, policy=only("a"))
    wrong: Any = True
    with pytest.raises(ConfigurationError, match="`reload` is a bool"):
        follow(tmp_path, reload=wrong)


def test_a_level_the_policy_does_not_have_is_refused(tmp_path: Path) -> None:
    write(tmp_path, policy=only("a"))
    with pytest.raises(ConfigurationError, match="`secret`"):
        follow(tmp_path, reload=Reload(interval_s=None, stale_deny_from="secret"))
    router = follow(
        tmp_path, reload=Reload(interval_s=None, settle_s=0, stale_deny_from="confidential")
    )
    levels = {"levels": ["low", "high"], "categories": {}}
    served = {"id": "served", "effect": "permit", "when": {"level": "high"}, "models": "all"}
    write(tmp_path, policy=policy(labels=levels, rules=[served]))
    assert [part.code for part in router.reload().rejected] == ["MR702"]


# Metrics


def measured(reader: InMemoryMetricReader) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    key = (point.attributes or {}).get("outcome", "")
                    found[metric.name, str(key)] = getattr(point, "value", None)
    return found


def test_reloads_and_the_age_are_measured(tmp_path: Path) -> None:
    reader, clock = InMemoryMetricReader(), ManualClock()
    provider = MeterProvider([reader])
    options = Reload(interval_s=None, settle_s=0, meter_provider=provider)
    router = follow(write(tmp_path, policy=only("a")), reload=options, clock=clock)
    router.reload()
    assert measured(reader) == {("modelrouter.policy.age", ""): 0}
    write(tmp_path, policy=only("b"))
    router.reload()
    write(tmp_path, policy="rules: [")
    router.reload()
    clock.advance(seconds=7)
    assert router._follower is not None
    router._follower.look(anew=False)
    assert measured(reader) == {
        ("modelrouter.policy.reloads", "loaded"): 1,
        ("modelrouter.policy.reloads", "rejected"): 1,
        ("modelrouter.policy.age", ""): 7,
    }
    other = follow(write(tmp_path / "other", policy=only("a")), reload=options, clock=clock)
    assert measured(reader)["modelrouter.policy.age", ""] == 7  # the older one of the two
    router.close()
    assert measured(reader)["modelrouter.policy.age", ""] == 0
    del other
    provider.shutdown()


# Threads, processes, memory


def watchers() -> list[threading.Thread]:
    return [part for part in threading.enumerate() if part.name == "modelrouter-reload"]


def test_close_stops_the_thread_and_is_repeatable(tmp_path: Path) -> None:
    write(tmp_path, policy=only("a"))
    router = follow(tmp_path, reload=QUICK)
    assert len(watchers()) == 1
    router.close()
    router.close()
    assert watchers() == []
    assert router.completion(HELLO, **PUBLIC).model == "a"
    assert watchers() == []
    write(tmp_path, policy=only("b"))
    assert router.reload().reloads == 1


def test_a_router_that_is_dropped_takes_its_thread_along(tmp_path: Path) -> None:
    write(tmp_path, policy=only("a"))
    gc.collect()
    gc.disable()
    try:
        router = follow(tmp_path, reload=Reload(interval_s=600))
        gone = weakref.ref(router)
        (thread,) = watchers()
        del router
        assert gone() is None
        thread.join(5)
        assert not thread.is_alive()
    finally:
        gc.enable()


def test_a_thousand_routers_leave_no_thread(tmp_path: Path) -> None:
    write(tmp_path, policy=only("a"))
    provider = ScriptedProvider()
    for _ in range(1000):
        follow(tmp_path, provider, Reload(interval_s=600))
    assert wait_until(lambda: watchers() == [])


def test_a_thread_that_died_is_started_by_the_next_call(tmp_path: Path) -> None:
    with follow(write(tmp_path, policy=only("a")), reload=QUICK) as router:
        assert router._follower is not None
        router._follower.stopping.set()
        assert wait_until(lambda: watchers() == [])
        router._follower.stopping.clear()
        serves(router)
        assert len(watchers()) == 1


def test_what_a_look_raises_neither_escapes_nor_spins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[float] = []

    class BrokenClock(ManualClock):
        __slots__ = ()

    clock = BrokenClock()
    with follow(write(tmp_path, policy=only("a")), reload=QUICK, clock=clock) as router:
        follower = router._follower
        assert follower is not None

        def fail() -> float:
            looks.append(time.monotonic())
            raise ValueError("with content of the file")

        object.__setattr__(follower, "clock", type(clock)())
        object.__setattr__(follower.clock, "monotonic", fail)
        time.sleep(0.7)
        assert [part.is_alive() for part in watchers()] == [True]
    assert 3 <= len(looks) <= 7  # 0.04, 0.08, 0.16, 0.32 seconds after each other
    assert "ValueError" in caplog.text
    assert "content" not in caplog.text


def in_child(router: Router, folder: Path, answers: Any) -> None:
    before = len(watchers())
    first = serves(router)
    write(folder, policy=only("b"))
    answers.put((before, first, wait_until(lambda: serves(router) == "b"), len(watchers())))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_follows_with_a_thread_of_its_own(tmp_path: Path) -> None:
    with follow(write(tmp_path, policy=only("a")), reload=QUICK) as router:
        assert router._follower is not None
        with router._follower.looking, router._in_force.handing_over:  # as if a look were on
            context = multiprocessing.get_context("fork")
            answers = context.Queue()
            child = context.Process(target=in_child, args=(router, tmp_path, answers))
            child.start()
            assert answers.get(timeout=10) == (0, "a", True, 1)
            child.join(10)
        assert wait_until(lambda: serves(router) == "b")
