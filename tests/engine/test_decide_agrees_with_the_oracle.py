"""The engine against the independent oracle, on random policies and requests.

`ORACLE_CASES=10000 pytest tests/engine` compares more of them.
"""

from __future__ import annotations

import datetime
import os
import random
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrouter.asking import day_of, request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.engine.compiled import compile_bundle
from modelrouter.errors import CallError
from modelrouter.loader import load_text
from modelrouter.policy.suite import AskedRequest
from tests import oracle
from tests.strategies import Case, cases, to_yaml

TODAY = datetime.date(2026, 11, 23)
CASES = int(os.environ.get("ORACLE_CASES", "2000"))
Json = dict[str, Any]


def plain(found: Json) -> Json:
    """Return a decision in a form in which order and spelling do not matter."""
    if "error" in found:
        return {"error": True}
    return {
        "decision": found["decision"],
        "model": found["model"],
        "deny_stage": found["deny_stage"],
        "ranked": found["ranked"],
        "excluded": {
            part["model"]: {(reason["stage"], reason["rule"]) for reason in part["reasons"]}
            for part in found["excluded"]
        },
        "warnings": sorted(found["warnings"]),
        "rules": sorted(found["rules"]),
        "rollout": found.get("rollout"),
    }


def ours(case: Case) -> Json:
    """Return what the engine decides."""
    policy, catalogue, request = case
    bundle = load_text(to_yaml(policy, catalogue))
    asked = AskedRequest.model_validate(request)
    engine = compile_bundle(bundle, day_of(asked.given, TODAY))
    try:
        decision = decide(request_from(asked, engine), snapshot_from(asked.given, engine))
    except CallError:
        return {"error": True}
    found: Json = dict(decision.as_json())
    found["ranked"] = [
        {
            "model": part.model,
            "expected_cost_usd": as_fraction(part.expected_pico),
            "worst_cost_usd": as_fraction(part.worst_pico),
            "obligations": part.obligations.as_json(),
        }
        for part in decision.candidates
    ]
    return plain(found)


def as_fraction(pico: int | None) -> Fraction | None:
    """Return pico-dollars as US dollars."""
    return None if pico is None else Fraction(pico, 10**12)


def theirs(case: Case) -> Json:
    """Return what the oracle decides."""
    policy, catalogue, request = case
    at = request.get("given", {}).get("at")
    day = datetime.date.fromisoformat(at) if at else TODAY
    try:
        return plain(oracle.decide(policy, catalogue, request, day))
    except ValueError:
        return {"error": True}


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases())
def test_the_engine_agrees_with_the_oracle(case: Case) -> None:
    assert ours(case) == theirs(case)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases(), st.integers(0, 2**32))
def test_order_does_not_matter(case: Case, seed: int) -> None:
    policy, catalogue, request = case
    shuffled = dict(policy)
    order = random.Random(seed)  # noqa: S311 - a seed of Hypothesis
    for section in ("rules", "budgets"):
        parts = list(policy.get(section) or ())
        order.shuffle(parts)
        if parts:
            shuffled[section] = parts
    models = list(catalogue)
    order.shuffle(models)
    assert ours((policy, catalogue, request)) == ours((shuffled, models, request))
