"""A model that a rule catches because it states too little is told what it does not state."""

from __future__ import annotations

import datetime

from modelrouter.asking import request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.engine.compiled import compile_bundle
from modelrouter.loader import load_text
from modelrouter.policy.suite import AskedRequest

POLICY = """\
apiVersion: modelrouter/v1
kind: Policy
labels: standard
sets: {abroad: {region: us-east, operator: other}}
models:
  - {id: a/stated, weights: open, hosting: self_hosted, region: us-east, operator: other,
     quality: 1}
  - {id: b/silent, weights: open, hosting: self_hosted, quality: 1}
  - {id: c/partly, weights: open, hosting: self_hosted, region: us-east, quality: 1}
  - {id: d/inside, weights: open, hosting: self_hosted, region: eu-west, quality: 1}
rules:
  - {id: not-abroad, effect: forbid, models: {set: abroad}, reason: no}
  - {id: no-copies, effect: require, models: {retention_days: 0}}
"""


def test_a_reason_names_what_is_not_known_of_a_model() -> None:
    engine = compile_bundle(load_text(POLICY), datetime.date(2026, 11, 23))
    asked = AskedRequest(level="public")
    decision = decide(request_from(asked, engine), snapshot_from(asked.given, engine))
    told = {
        part.model: [reason.detail for reason in part.reasons if reason.rule.id == "not-abroad"]
        for part in decision.excluded
    }
    said = "forbidden by `not-abroad`: no"
    assert told == {
        "a/stated": [said],
        "b/silent": [f"{said} (its `operator` and `region` are not known)"],
        "c/partly": [f"{said} (its `operator` is not known)"],
        "d/inside": [],
    }
    kept = [reason.detail for reason in decision.excluded[3].reasons]
    unknown = "(its `retention_days` is not known)"
    assert kept == [f"not among the required models by `no-copies` {unknown}"]
