"""What a rollout and a shadow policy add to a decision and to a call.

Run with `pytest -m benchmark -s tests/benchmarks`. Figures are printed and never gate.
"""

from __future__ import annotations

from typing import Any

import pytest

from modelrouter import Router
from modelrouter.decide import decide
from modelrouter.shadowing import Shadow
from modelrouter.testing import ScriptedProvider
from tests.benchmarks.sized_policy import engine_of, request, snapshot_of
from tests.benchmarks.test_decide_speed import microseconds
from tests.flow.kit import HELLO, bundle, key_of, model, vendor

pytestmark = pytest.mark.benchmark
ROLLOUT: dict[str, Any] = {"model": "m/05", "share": 0.5, "key": ["tenant", "purpose"]}


@pytest.mark.parametrize(("rules", "models"), [(20, 12), (100, 50)])
def test_a_rollout_costs_one_hash(rules: int, models: int) -> None:
    plain = snapshot_of(engine_of(rules, models))
    rolled = snapshot_of(engine_of(rules, models, rollout=ROLLOUT))
    asked = request()
    without = microseconds(lambda: decide(asked, plain))
    with_it = microseconds(lambda: decide(asked, rolled))
    print(  # noqa: T201 - figures for people
        f"\n{rules} rules x {models} models: decision {without:.1f} us, "
        f"with a rollout {with_it:.1f} us"
    )
    assert decide(asked, rolled).rollout is not None


@pytest.mark.parametrize(("rules", "models"), [(20, 12), (100, 50)])
def test_a_shadow_costs_one_decision(rules: int, models: int) -> None:
    snapshot, asked = snapshot_of(engine_of(rules, models)), request()
    decision = decide(asked, snapshot)
    shadow = Shadow(engine_of(rules, models, rollout={**ROLLOUT, "share": 1}).bundle)
    alone = microseconds(lambda: decide(asked, snapshot))
    beside = microseconds(lambda: shadow.beside(asked, snapshot, decision))
    absent = microseconds(lambda: Shadow().beside(asked, snapshot, decision))
    print(  # noqa: T201 - figures for people
        f"\n{rules} rules x {models} models: decision {alone:.1f} us, the shadow adds "
        f"{beside:.1f} us; {absent:.2f} us where there is none"
    )
    found = shadow.beside(asked, snapshot, decision)
    assert found is not None
    assert found.kind == "model"


def test_a_call_beside_a_shadow() -> None:
    cheap = [model("local"), vendor("cloud", price={"input": 0, "output": 0})]

    def cost(shadow: Any) -> float:
        router = Router(bundle(), provider=ScriptedProvider("x"), credentials=key_of, shadow=shadow)
        return microseconds(
            lambda: router.completion(HELLO, sensitivity="public"), rounds=15, each=50
        )

    print(  # noqa: T201 - figures for people
        f"\nwhole call with a scripted provider: {cost(None):.0f} us, "
        f"{cost(bundle()):.0f} us beside a shadow that agrees, "
        f"{cost(bundle(*cheap)):.0f} us beside one that differs"
    )
