"""What a trace and a receipt say of rollouts, advisory rules and retiring models."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from modelrouter import Receipt, Router
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.testing import ManualClock, ScriptedProvider
from tests.flow.kit import AT_HOME, Api, bundle, key_of, model, put, runtime, vendor
from tests.telemetry.kit import Spans, attributes

TENANT = {"tenant": {"type": "string", "source": "auth"}}
ADVISORY = {
    "id": "tried-out",
    "effect": "forbid",
    "strength": "advisory",
    "models": {"weights": "closed"},
}


def rolled(share: float, **sections: Any) -> dict[str, Any]:
    """Return the sections of a policy that rolls the vendor's model out."""
    rollout = {"model": "cloud", "share": share, "key": ["tenant"]}
    objective = {"id": "canary", "order": [{"minimise": "cost"}], "rollout": rollout}
    return {"facts": TENANT, "objectives": [objective], **sections}


def router_of(spans: Spans, receipts: list[Receipt], *models: Any, **sections: Any) -> Router:
    return Router(
        bundle(*models, **sections),
        provider=ScriptedProvider("x"),
        credentials=key_of,
        receipts=receipts.append,
        tracer_provider=spans.provider,
    )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("share", "first", "second"), [(1, "cloud", "local"), (0, "local", "cloud")]
)
def test_the_side_of_a_rollout_is_on_the_span_and_the_receipt_without_its_key(
    api: Api, spans: Spans, share: float, first: str, second: str, *, streamed: bool
) -> None:
    receipts: list[Receipt] = []
    call = {"sensitivity": "public", "facts": {"tenant": "name-of-a-tenant"}}
    put(api, router_of(spans, receipts, **rolled(share)), streamed=streamed, **call)
    found = attributes(spans.route)
    assert {name: value for name, value in found.items() if "rollout" in name} == {
        "modelrouter.rollout.objective": "canary",
        "modelrouter.rollout.model": "cloud",
        "modelrouter.rollout.inside": bool(share),
    }
    assert found["modelrouter.decision.candidates"] == (first, second)
    assert found["modelrouter.route.model"] == first
    assert "name-of-a-tenant" not in "".join(span.to_json() for span in spans.all)
    said = receipts[0].as_json()["decision"]
    assert isinstance(said, dict)
    assert said["rollout"] == {"objective": "canary", "model": "cloud", "inside": bool(share)}


def test_a_call_without_a_rollout_says_nothing_of_one(api: Api, spans: Spans) -> None:
    receipts: list[Receipt] = []
    api.complete(router_of(spans, receipts), sensitivity="public")
    assert not [name for name in attributes(spans.route) if "rollout" in name]
    assert "rollout" not in json.dumps(receipts[0].as_json())


def test_advisory_rules_are_on_the_span_the_receipt_and_the_explanation(
    api: Api, spans: Spans
) -> None:
    receipts: list[Receipt] = []
    router = router_of(spans, receipts, rules=[AT_HOME, ADVISORY])
    reply = api.complete(router, sensitivity="public", model="cloud")
    assert reply.model == "cloud"
    assert attributes(spans.route)["modelrouter.decision.advisory"] == ("tried-out",)
    said = receipts[0].as_json()["decision"]
    assert isinstance(said, dict)
    assert said["advisory"] == ["tried-out"]
    assert "advisory: rule `tried-out` would apply" in reply.decision.explain()


def test_a_retiring_model_warns_on_the_span_and_the_reply(api: Api, spans: Spans) -> None:
    clock = ManualClock()
    last = (clock.now() + datetime.timedelta(days=31)).date().isoformat()
    router = Router(
        bundle(model("local", retires=last)),
        provider=ScriptedProvider("x"),
        credentials=key_of,
        tracer_provider=spans.provider,
        clock=clock,
    )
    assert api.complete(router, sensitivity="public").warnings == ()
    clock.advance(hours=24)
    assert api.complete(router, sensitivity="public").warnings == (f"local:retires {last}",)
    said = [attributes(span)["modelrouter.decision.warnings"] for span in spans.named("route")]
    assert said == [(), (f"local:retires {last}",)]


def test_calls_that_share_a_cached_answer_are_on_one_side(api: Api, spans: Spans) -> None:
    # Every fact is part of the cache's key: equal keys of the cache are equal keys of the rollout.
    receipts: list[Receipt] = []
    cached = runtime(cache={"mode": "exact"})
    router = router_of(spans, receipts, **rolled(0.5, runtime=cached))
    for _ in range(2):
        for number in range(24):
            api.complete(router, sensitivity="public", facts={"tenant": f"t{number}"})
    first, second = receipts[:24], receipts[24:]
    assert {receipt.cache for receipt in first} == {"miss"}
    assert {receipt.cache for receipt in second} == {"hit"}
    assert {receipt.model for receipt in first} == {"local", "cloud"}
    for receipt in receipts:
        side = receipt.decision.rollout
        assert side is not None
        assert receipt.model == ("cloud" if side.inside else "local")
    assert [one.model for one in first] == [two.model for two in second]


def test_outside_the_share_the_model_is_a_fallback(api: Api, spans: Spans) -> None:
    router = Router(
        bundle(model("local"), vendor("cloud"), **rolled(0)),
        provider=ScriptedProvider([ProviderError(ErrorKind.SERVER_ERROR, status=503), "x"]),
        credentials=key_of,
        tracer_provider=spans.provider,
    )
    assert api.complete(router, sensitivity="public", facts={"tenant": "t"}).model == "cloud"
