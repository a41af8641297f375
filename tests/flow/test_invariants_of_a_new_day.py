"""A policy whose invariant is not proved for the day that begins sends nothing on that day."""

from __future__ import annotations

import datetime

import pytest

from modelrouter import PolicyDenied, Router
from modelrouter.loader import load_text
from modelrouter.testing import ManualClock, ScriptedProvider

POLICY = """\
apiVersion: modelrouter/v1
kind: Policy
labels: standard
models:
  - id: home/one
    weights: open
    hosting: self_hosted
    operator: own
    quality: 0.8
    expires: "2026-11-23"
    endpoint: {model: hosted_vllm/one, api_base: "http://127.0.0.1:9/v1", api_key: none}
invariants:
  - {id: own-machines-only, never_sent: {not: {operator: own}}}
"""
LAST_DAY = datetime.datetime(2026, 11, 23, 23, 59, 50, tzinfo=datetime.UTC)


def test_an_invariant_that_time_breaks_closes_every_model() -> None:
    clock = ManualClock(LAST_DAY)
    bundle = load_text(POLICY, at=LAST_DAY.date())
    provider = ScriptedProvider()
    router = Router(bundle, provider=provider, clock=clock)
    messages = [{"role": "user", "content": "hello"}]
    assert router.completion(messages, sensitivity="public").model == "home/one"
    clock.advance(seconds=20)
    with pytest.raises(PolicyDenied, match="guard") as denied:
        router.completion(messages, sensitivity="public", temperature=0.5)
    told = denied.value.decision.explain()
    assert "invariant `own-machines-only` is not proved for 2026-11-24" in told
    assert "policy.yaml:13" in told
