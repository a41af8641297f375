"""A shadow policy: decided beside every call, recorded where it differs, and never felt."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from modelrouter import ConfigurationError, PolicyDenied, PolicyError, Receipt, Router
from modelrouter.decide import Snapshot, decide
from modelrouter.engine.compiled import compile_bundle
from modelrouter.labels import Label
from modelrouter.loader import inspect, load, load_text
from modelrouter.policy.bundle import Bundle
from modelrouter.shadowing import Shadow
from modelrouter.testing import ManualClock, ScriptedProvider
from modelrouter.values import Limits, Request
from tests.flow.kit import AT_HOME, STAYS_HOME, Api, bundle, key_of, model, put, runtime, vendor
from tests.telemetry.kit import Spans, attributes

ROOT = Path(__file__).parents[2]
PUBLIC: dict[str, Any] = {"sensitivity": "public"}
DAY = datetime.date(2026, 11, 23)
CHEAP_CLOUD = [model("local"), vendor("cloud", price={"input": 0, "output": 0})]
KEPT_CLOSED = {"id": "closed", "effect": "forbid", "models": "all"}
NO_TRACE = {"id": "quiet", "effect": "obligate", "do": {"trace": "none"}}


def named(name: str, *models: Any, **sections: Any) -> Bundle:
    """Return a policy with a name and a digest of its own."""
    return bundle(*models, **{"metadata": {"name": name}, **sections})


def router_of(shadow: Bundle | None, receipts: list[Receipt], **options: Any) -> Router:
    return Router(
        options.pop("policy", None) or bundle(),
        provider=ScriptedProvider(options.pop("script", "x")),
        credentials=key_of,
        receipts=receipts.append,
        shadow=shadow,
        **options,
    )


def seen(
    shadow: Bundle,
    request: Request | None = None,
    real: Bundle | None = None,
    at: datetime.date = DAY,
    **snapshot: Any,
) -> dict[str, Any] | None:
    """Return what the shadow says of one request, as JSON."""
    state = Snapshot(engine=compile_bundle(real or bundle(), at), **snapshot)
    asked = request or Request(declared=Label(level="public"), max_output=10)
    found = Shadow(shadow).beside(asked, state, decide(asked, state))
    return None if found is None else found.as_json()


# ---------------------------------------------------------------- what is recorded


@pytest.mark.parametrize("streamed", [False, True])
def test_a_shadow_that_agrees_leaves_no_trace(api: Api, *, streamed: bool) -> None:
    spans = Spans()
    # Another name, other rules and a fallback less: outcome, first model, obligations are equal.
    same = named("next", rules=[AT_HOME, STAYS_HOME, {**KEPT_CLOSED, "models": {"id": "cloud"}}])
    receipts: list[Receipt] = []
    router = router_of(same, receipts, tracer_provider=spans.provider)
    put(api, router, streamed=streamed, **PUBLIC)
    assert receipts[0].shadow is None
    assert receipts[0].as_json()["shadow"] is None
    assert not [name for name in attributes(spans.route) if "shadow" in name]


@pytest.mark.parametrize("streamed", [False, True])
def test_another_first_model_is_on_the_receipt_and_the_span_and_the_call_goes_its_way(
    api: Api, *, streamed: bool
) -> None:
    spans = Spans()
    shadow = named("next", *CHEAP_CLOUD)
    receipts: list[Receipt] = []
    router = router_of(shadow, receipts, tracer_provider=spans.provider)
    put(api, router, streamed=streamed, **PUBLIC)
    (receipt,) = receipts
    assert receipt.model == "local"
    assert json.loads(json.dumps(receipt.as_json()))["shadow"] == {
        "kind": "model",
        "decision": "route",
        "model": "cloud",
        "deny_stage": None,
        "rules": [],
        "obligations": {},
        "error": None,
        "policy": "next",
        "policy_digest": shadow.digest,
    }
    found = {name: v for name, v in attributes(spans.route).items() if "shadow" in name}
    assert found == {
        "modelrouter.shadow.policy": "next",
        "modelrouter.shadow.digest": shadow.digest,
        "modelrouter.shadow.kind": "model",
        "modelrouter.shadow.outcome": "route",
        "modelrouter.shadow.model": "cloud",
        "modelrouter.shadow.rules": (),
    }
    assert receipt.decision.policy == "tested"


def test_a_reply_has_what_its_receipt_has(api: Api) -> None:
    reply = api.complete(router_of(named("next", *CHEAP_CLOUD), []), **PUBLIC)
    assert reply.shadow is not None
    assert reply.shadow is reply.receipt.shadow
    assert str(reply.shadow) == "shadow `next` would choose `cloud`"


def test_a_denial_by_the_shadow_denies_nothing(api: Api) -> None:
    receipts: list[Receipt] = []
    router = router_of(named("next", rules=[KEPT_CLOSED]), receipts)
    assert api.complete(router, **PUBLIC).text == "x"
    found = receipts[0].shadow
    assert found is not None
    assert (found.kind, found.outcome, found.model) == ("outcome", "deny", None)
    assert (found.deny_stage, found.rules) == ("guard", ("closed",))
    assert str(found) == "shadow `next` would deny at guard by closed"


def test_a_denied_call_is_compared_too(api: Api) -> None:
    receipts: list[Receipt] = []
    router = router_of(bundle(), receipts, policy=bundle(rules=[KEPT_CLOSED]))
    with pytest.raises(PolicyDenied):
        api.complete(router, **PUBLIC)
    found = receipts[0].shadow
    assert found is not None
    assert (found.kind, found.outcome, found.model) == ("outcome", "route", "local")


def test_two_denials_at_different_stages_are_no_difference() -> None:
    narrow = bundle(model("local", context_window=1))
    assert seen(narrow, real=bundle(rules=[KEPT_CLOSED])) is None


def test_other_obligations_of_the_same_model_are_a_difference() -> None:
    found = seen(named("next", rules=[AT_HOME, NO_TRACE]))
    assert found is not None
    assert (found["kind"], found["model"]) == ("obligations", "local")
    assert found["obligations"] == {"trace": "none"}
    assert seen(bundle(rules=[NO_TRACE]), real=bundle(rules=[NO_TRACE])) is None
    # Of a fallback they are not: it is the first model that is compared.
    fallback = {**NO_TRACE, "models": {"id": "cloud"}}
    assert seen(bundle(rules=[AT_HOME, fallback])) is None


def test_a_cached_answer_is_compared_too(api: Api) -> None:
    receipts: list[Receipt] = []
    policy = bundle(runtime=runtime(cache={"mode": "exact"}))
    router = router_of(named("next", *CHEAP_CLOUD), receipts, policy=policy)
    for _ in range(2):
        api.complete(router, **PUBLIC)
    assert [receipt.cache for receipt in receipts] == ["miss", "hit"]
    assert all(receipt.shadow is not None for receipt in receipts)


# ---------------------------------------------------------------- what the shadow sees


def test_the_shadow_sees_what_the_real_budget_of_its_id_and_unit_has_spent() -> None:
    def month(limit: int, unit: str = "tokens", name: str = "month") -> list[dict[str, Any]]:
        return [{"id": name, "period": "month", f"limit_{unit}": limit}]

    spent = {"month": 5_000}
    real = bundle(budgets=month(100_000))
    assert seen(bundle(budgets=month(7_000)), real=real, spent=spent) is None
    denied = seen(bundle(budgets=month(6_000)), real=real, spent=spent)
    assert denied is not None
    assert (denied["deny_stage"], denied["rules"]) == ("budget", ["month"])
    # 5,000 tokens are neither 5,000 calls nor spent by a budget of another name.
    assert seen(bundle(budgets=month(10, "calls")), real=real, spent=spent) is None
    assert seen(bundle(budgets=month(6_000, name="week")), real=real, spent=spent) is None


def test_the_shadow_spends_nothing(api: Api) -> None:
    budgets = [{"id": "day", "period": "day", "limit_calls": 3}]
    receipts: list[Receipt] = []
    router = router_of(bundle(budgets=budgets), receipts, policy=bundle(budgets=budgets))
    for _ in range(3):
        api.complete(router, **PUBLIC)
    assert [dict(receipt.spent) for receipt in receipts] == [{"day": n} for n in range(3)]


def test_the_shadow_sees_what_is_down_what_cannot_be_done_and_the_same_day() -> None:
    down = frozenset({"local"})
    assert seen(bundle(), down=down) is None
    approve = {"id": "ask", "effect": "obligate", "do": {"approval": "lead"}}
    found = seen(bundle(rules=[approve]), unfulfillable=frozenset({"approval"}))
    assert found is not None
    assert found["deny_stage"] == "obligation"
    leaving = bundle(model("local", retires="2026-11-24"), vendor("cloud"))
    assert seen(leaving) is None
    found = seen(leaving, at=datetime.date(2026, 11, 24))
    assert found is not None
    assert found["model"] == "cloud"


def test_a_day_is_the_day_of_the_call(api: Api) -> None:
    receipts: list[Receipt] = []
    clock = ManualClock()
    tomorrow = (clock.now() + datetime.timedelta(days=1)).date().isoformat()
    shadow = bundle(model("local", retires=tomorrow), vendor("cloud"))
    router = router_of(shadow, receipts, clock=clock)
    for _ in range(8):
        api.complete(router, **PUBLIC)
        clock.advance(hours=24)
    assert [receipt.shadow is not None for receipt in receipts] == [False] + [True] * 7


# ---------------------------------------------------------------- what goes wrong in it

STRANGER = Request(
    declared=Label(level="public"), max_output=10, task="summary", facts={"tenant": "acme"}
)
DECLARING: dict[str, Any] = {
    "tasks": ["summary", "other"],
    "facts": {"tenant": {"type": "string", "source": "auth"}},
}


@pytest.mark.parametrize(
    ("sections", "error"),
    [
        ({"facts": DECLARING["facts"]}, "unknown task `summary`"),
        ({"tasks": DECLARING["tasks"]}, "unknown fact `tenant`"),
        (
            {**DECLARING, "facts": {"tenant": {"type": "int", "source": "auth"}}},
            "fact `tenant` is of type int, not str",
        ),
        # The value is the tenant's own name: it is left out.
        (
            {
                **DECLARING,
                "facts": {"tenant": {"type": "enum", "values": ["beta"], "source": "auth"}},
            },
            "unknown value of fact `tenant`",
        ),
        (
            {**DECLARING, "labels": {"levels": ["open", "shut"]}, "rules": []},
            "unknown level `public`",
        ),
    ],
)
def test_a_name_the_shadow_does_not_know_is_a_difference(
    sections: dict[str, Any], error: str
) -> None:
    found = seen(named("next", **sections), STRANGER, bundle(**DECLARING))
    assert found is not None
    assert (found["kind"], found["error"], found["decision"]) == ("error", error, None)
    assert seen(named("next", **DECLARING), STRANGER, bundle(**DECLARING)) is None


def test_a_label_or_a_model_the_shadow_does_not_know_is_a_difference() -> None:
    real = bundle()
    plain = {"labels": {"levels": ["public", "restricted"]}, "rules": []}
    shadow = named("next", model("local"), **plain)
    top = real.scheme.top("an image nobody can read")
    labelled = Request(declared=Label(level="public"), evidence=(top,), max_output=10)
    found = seen(shadow, labelled, real)
    assert found is not None
    assert found["error"] == "unknown level or category `export_controlled`"
    chosen = Request(
        declared=Label(level="public"), limits=Limits(models=frozenset({"cloud"})), max_output=10
    )
    found = seen(shadow, chosen, real)
    assert found is not None
    assert found["error"] == "unknown model `cloud`"


def test_what_breaks_in_the_shadow_is_named_by_its_type_and_reaches_nobody(
    api: Api,
) -> None:
    spans = Spans()

    class Broken:
        """A policy that compiles for nobody."""

        name, digest = "broken", "0" * 64

        @property
        def scheme(self) -> object:
            raise ZeroDivisionError("secret of a customer")

    receipts: list[Receipt] = []
    broken: Any = Broken()
    router = router_of(broken, receipts, tracer_provider=spans.provider)
    assert api.complete(router, **PUBLIC).text == "x"
    found = receipts[0].shadow
    assert found is not None
    assert (found.kind, found.error) == ("error", "ZeroDivisionError")
    assert str(found) == "shadow `broken` cannot decide: ZeroDivisionError"
    assert "secret" not in spans.route.to_json() + json.dumps(receipts[0].as_json())
    assert attributes(spans.route)["modelrouter.shadow.error"] == "ZeroDivisionError"


def test_only_a_policy_can_be_a_shadow() -> None:
    wrong: Any = "policies/next"
    with pytest.raises(ConfigurationError, match="`shadow` is a str"):
        router_of(wrong, [])


def test_threads_share_a_shadow() -> None:
    shadow = Shadow(named("next", *CHEAP_CLOUD))
    real = bundle()
    asked = Request(declared=Label(level="public"), max_output=10)
    found: list[Any] = []

    def work(first: int) -> None:
        for number in range(40):
            day = DAY + datetime.timedelta(days=(first + number) % 6)
            state = Snapshot(engine=compile_bundle(real, day))
            found.append(shadow.beside(asked, state, decide(asked, state)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 240
    assert {part.kind for part in found} == {"model"}
    assert len(shadow.engines) <= 4


# ---------------------------------------------------------------- the key `shadow`


def write(folder: Path, name: str, shadow: str | None = None, **sections: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": name},
        "models": [model("local"), vendor("cloud")],
        "rules": [AT_HOME, STAYS_HOME],
        **({"shadow": shadow} if shadow else {}),
        **sections,
    }
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def problems(path: Path) -> list[str]:
    found = inspect(path)
    assert found.bundle is None
    assert {(part.code, part.file) for part in found.problems} == {
        ("MR020", str(path / "now.yaml" if path.is_dir() else path))
    }
    return [part.message for part in found.problems]


def test_a_policy_names_its_shadow_from_its_own_file(tmp_path: Path, api: Api) -> None:
    write(tmp_path / "now", "now", "../next")
    write(tmp_path / "next", "next", models=CHEAP_CLOUD)
    found = load(tmp_path / "now")
    assert found.shadow is not None
    assert found.shadow.name == "next"
    receipts: list[Receipt] = []
    api.complete(router_of(None, receipts, policy=found), **PUBLIC)
    assert receipts[0].shadow is not None
    assert receipts[0].shadow.model == "cloud"


def test_the_argument_wins_over_the_key(tmp_path: Path, api: Api) -> None:
    write(tmp_path / "now", "now", "../next")
    write(tmp_path / "next", "next", models=CHEAP_CLOUD)
    receipts: list[Receipt] = []
    other = named("other", rules=[KEPT_CLOSED])
    api.complete(router_of(other, receipts, policy=load(tmp_path / "now")), **PUBLIC)
    assert receipts[0].shadow is not None
    assert receipts[0].shadow.policy == "other"


def test_a_file_beside_the_policy_or_a_folder_inside_its_own_may_be_the_shadow(
    tmp_path: Path,
) -> None:
    write(tmp_path, "next")
    write(tmp_path / "inner", "inner")
    for name in ("next.yaml", "./next.yaml", "inner", "inner/inner.yaml"):
        found = load(write(tmp_path, "now", name))
        assert found.shadow is not None
        assert found.shadow.shadow is None


def test_a_shadow_of_a_shadow_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "third", "third", rules=[{"id": "broken"}])
    write(tmp_path / "next", "next", "../third")
    write(tmp_path / "now", "now", "../next")
    found = load(tmp_path / "now")
    assert found.shadow is not None
    assert (found.shadow.name, found.shadow.shadow) == ("next", None)
    assert inspect(tmp_path / "next").bundle is None


def test_the_digest_of_a_policy_is_its_own(tmp_path: Path) -> None:
    write(tmp_path / "next", "next")
    file = write(tmp_path / "now", "now", "../next")
    before = load(file)
    write(tmp_path / "next", "next", models=CHEAP_CLOUD)
    after = load(file)
    assert before.digest == after.digest
    assert before.shadow is not None
    assert after.shadow is not None
    assert before.shadow.digest != after.shadow.digest


def test_a_policy_that_is_its_own_shadow_does_not_load(tmp_path: Path) -> None:
    folder = tmp_path / "now"
    for name in (".", "now.yaml", "../now", "../now/now.yaml"):
        write(folder, "now", name)
        said = [f"shadow `{name}` is the policy itself"]
        assert problems(folder) == said
        assert problems(folder / "now.yaml") == said


def test_two_policies_that_shadow_each_other_do_not_load(tmp_path: Path) -> None:
    write(tmp_path / "now", "now", "../next")
    for back in ("../now", "../now/now.yaml"):
        write(tmp_path / "next", "next", back)
        assert problems(tmp_path / "now") == ["shadow `../next` has this policy as its shadow"]


def test_a_shadow_that_does_not_load_stops_the_load(tmp_path: Path) -> None:
    write(tmp_path / "next", "next", rules=[{"id": "a", "effect": "forbd"}])
    write(tmp_path / "now", "now", "../next")
    (message,) = problems(tmp_path / "now")
    assert message.startswith("shadow `../next` does not load: ")
    assert "MR020" in message
    assert "\n" not in message
    (tmp_path / "empty").mkdir()
    absent = {"../nowhere": "does not exist", "\0": "does not exist", "a" * 400: "does not exist"}
    for name, why in {**absent, "../empty": "does not load", str(tmp_path): "is no path"}.items():
        write(tmp_path / "now", "now", name)
        assert why in problems(tmp_path / "now")[0], name


def test_a_policy_without_a_file_has_no_path_to_a_shadow() -> None:
    text = json.dumps(
        {"apiVersion": "modelrouter/v1", "kind": "Policy", "shadow": "x", "models": [model("a")]}
    )
    with pytest.raises(PolicyError, match="is no path from the policy's file"):
        load_text(text)


# ---------------------------------------------------------------- the counter

COUNTING = """
import json, sys
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.flow.test_shadow import CHEAP_CLOUD, KEPT_CLOSED, PUBLIC, named, router_of

early = router_of(named("early", *CHEAP_CLOUD), [])
early.completion([{"role": "user", "content": "x"}], **PUBLIC)  # before there is a provider
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
for shadow in (named("next", *CHEAP_CLOUD), named("next", rules=[KEPT_CLOSED]), named("same")):
    router = router_of(shadow, [])
    for _ in range(2):
        router.completion([{"role": "user", "content": "x"}], **PUBLIC)
early.completion([{"role": "user", "content": "x"}], **PUBLIC)
found = []
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                found.append([scope.scope.name, metric.name, dict(point.attributes), point.value])
print(json.dumps(sorted(found, key=str)))
"""


def test_differences_are_counted_by_kind() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COUNTING],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""

    def point(policy: str, kind: str, count: int) -> list[Any]:
        names = {"modelrouter.shadow.policy": policy, "modelrouter.shadow.kind": kind}
        return ["modelrouter", "modelrouter.shadow.differences", names, count]

    assert json.loads(done.stdout) == [
        point("early", "model", 1),
        point("next", "model", 2),
        point("next", "outcome", 2),
    ]
