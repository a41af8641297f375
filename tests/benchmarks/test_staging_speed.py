"""What a rollout and a shadow policy add to a decision and to a call.

Run with `pytest -m benchmark -s tests/benchmarks`. Figures are printed and never gate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from modelrouter import Reply, Router
from modelrouter.decide import decide
from modelrouter.policy.bundle import Bundle
from modelrouter.shadowing import Shadow
from modelrouter.testing import ScriptedProvider
from tests.benchmarks.sized_policy import engine_of, request, snapshot_of
from tests.flow.kit import HELLO, bundle, key_of, model, vendor

pytestmark = pytest.mark.benchmark
Work = Callable[[], object]
ROLLOUT: dict[str, Any] = {"model": "m/04", "share": 0.5, "key": ["tenant", "purpose"]}


def fastest(*works: Work, rounds: int = 60, each: int = 50) -> list[float]:
    """Return the least CPU time of each work in microseconds; they take turns."""
    found = [math.inf] * len(works)
    for _ in range(rounds):
        for place, work in enumerate(works):
            started = time.process_time()
            for _ in range(each):
                work()
            found[place] = min(found[place], (time.process_time() - started) / each * 1e6)
    return found


@pytest.mark.parametrize(("rules", "models"), [(20, 12), (100, 50)])
def test_a_rollout_costs_one_hash(rules: int, models: int) -> None:
    plain = snapshot_of(engine_of(rules, models))
    rolled = snapshot_of(engine_of(rules, models, rollout=ROLLOUT))
    asked = request()
    without, with_it = fastest(lambda: decide(asked, plain), lambda: decide(asked, rolled))
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
    nobody = Shadow()
    alone, beside, absent = fastest(
        lambda: decide(asked, snapshot),
        lambda: shadow.beside(asked, snapshot, decision),
        lambda: nobody.beside(asked, snapshot, decision),
    )
    print(  # noqa: T201 - figures for people
        f"\n{rules} rules x {models} models: decision {alone:.1f} us, the shadow adds "
        f"{beside:.1f} us; {absent:.2f} us where there is none"
    )
    found = shadow.beside(asked, snapshot, decision)
    assert found is not None
    assert found.kind == "model"


def test_a_call_beside_a_shadow() -> None:
    cheap = [model("local"), vendor("cloud", price={"input": 0, "output": 0})]

    def calling(shadow: Bundle | None) -> Callable[[], Reply]:
        router = Router(bundle(), provider=ScriptedProvider("x"), credentials=key_of, shadow=shadow)
        return lambda: router.completion(HELLO, sensitivity="public")

    alone, agreed, differed = fastest(
        calling(None), calling(bundle()), calling(bundle(*cheap)), each=20
    )
    print(  # noqa: T201 - figures for people
        f"\nwhole call with a scripted provider: {alone:.0f} us, {agreed:.0f} us beside a shadow "
        f"that agrees, {differed:.0f} us beside one that differs"
    )
    assert calling(bundle())().shadow is None
    assert calling(bundle(*cheap))().shadow is not None
