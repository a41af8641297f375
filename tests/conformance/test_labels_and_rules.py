"""Probes 1 to 8: labels and rules."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import yaml

from modelrouter import CallError, CallFailed, PolicyDenied, PolicyError, Router
from modelrouter.loader import load, load_text
from modelrouter.testing import LoopbackServer, drop
from tests.conformance.conftest import PROVIDER, Ask, Serve, router_for
from tests.flow.kit import AT_HOME, HELLO, STAYS_HOME, bundle, key_of, model, vendor

POLICY = """\
apiVersion: modelrouter/v1
kind: Policy
labels: standard
tasks: [support, other]
facts:
  purpose: {type: enum, values: [care, research], source: host}
models:
  - {id: local, weights: open, hosting: self_hosted, quality: {"*": 0.8}}
  - {id: cloud, weights: closed, hosting: vendor_api, quality: {"*": 0.8}}
sets:
  house: {hosting: self_hosted}
rules:
  - id: only
    effect: forbid
    when: %s
    models: %s
"""


def test_row_01_the_caller_forgets_the_label(
    ask_any: Ask, local: LoopbackServer, cloud: LoopbackServer
) -> None:
    router = router_for(local, cloud)
    ask_any(router)
    ask_any(router, sensitivity=None)
    ask_any(router, sensitivity=[])
    assert len(local.requests) == 3
    assert cloud.requests == ()


def test_row_01_an_unlabelled_call_fails_rather_than_leave_the_house(
    ask_any: Ask, serve: Serve, cloud: LoopbackServer
) -> None:
    router = router_for(serve(drop()), cloud)
    with pytest.raises(CallFailed):
        ask_any(router)
    with pytest.raises(PolicyDenied):
        ask_any(router, model="cloud")
    assert cloud.requests == ()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("restriced", "restricted"),
        ("Public", "public"),
        ("PUBLIC", "public"),
        ("Phi", "phi"),
        (["public", "financail"], "financial"),
        (["PII"], "pii"),
    ],
)
def test_row_02_the_label_is_misspelled_or_in_the_wrong_case(
    ask_any: Ask,
    local: LoopbackServer,
    cloud: LoopbackServer,
    wrong: str | list[str],
    right: str,
) -> None:
    with pytest.raises(CallError) as caught:
        ask_any(router_for(local, cloud), sensitivity=wrong)
    assert caught.value.argument == "sensitivity"
    assert caught.value.hint == f"did you mean `{right}`?"
    assert local.requests == cloud.requests == ()


@pytest.mark.parametrize(
    ("when", "models", "wrong", "right"),
    [
        ("{level: confidental}", "{hosting: vendor_api}", "confidental", "confidential"),
        ("{categories: [phy]}", "all", "phy", "phi"),
        ("{facts: {purpos: 1}}", "all", "1", "purpose"),
        ("{facts: {purpose: caer}}", "all", "caer", "care"),
        ("{task: suport}", "all", "suport", "support"),
        ("{level: public}", "{id: clod}", "clod", "cloud"),
        ("{level: public}", "{set: hous}", "hous", "house"),
        ("{level: {at_lest: public}}", "all", "at_lest", "at_least"),
        ("{levle: public}", "all", "levle", "level"),
        ("{level: public}", "{hostng: vendor_api}", "hostng", "hosting"),
        ("{level: public}", "{retention_days: {abov: 30}}", "abov", "above"),
    ],
)
def test_row_03_a_rule_names_something_unknown(
    when: str, models: str, wrong: str, right: str
) -> None:
    text = POLICY % (when, models)
    line, column = next(
        (number, part.index(wrong) + 1)
        for number, part in enumerate(text.splitlines(), start=1)
        if number >= 15 and wrong in part
    )
    with pytest.raises(PolicyError) as caught:
        load_text(text)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("policy.yaml", line, column)
    assert f"did you mean `{right}`?" in str(problem.hint)
    assert f"policy.yaml:{line}:{column}: " in str(caught.value)


def test_row_03_a_router_keeps_its_policy_when_the_file_breaks(
    tmp_path: Path, ask: Ask, local: LoopbackServer
) -> None:
    file = tmp_path / "policy.yaml"
    good = (
        (POLICY % ("{level: public}", "{id: cloud}"))
        .replace(
            "id: local,",
            f"id: local, endpoint: {{model: hosted_vllm/m, api_base: '{local.url}/v1', "
            "api_key: none},",
        )
        .replace("id: cloud,", "id: cloud, endpoint: {model: openai/m, api_key_env: CLOUD_KEY},")
    )
    file.write_text(good)
    router = Router.from_policy(tmp_path, provider=PROVIDER)
    before = router.policy_digest
    file.write_text(good.replace("{level: public}", "{level: pubic}"))
    with pytest.raises(PolicyError):
        load(tmp_path)
    assert router.policy_digest == before
    assert ask(router, sensitivity="public")
    assert "cloud" not in [part.model for part in router.decide(HELLO).candidates]


@pytest.mark.parametrize(
    "when",
    [
        "{tokens: {at_least: ten}}",
        "{categories: {any: []}}",
        "{task: []}",
        "{facts: {purpose: {prefix: 3}}}",
        "{facts: {}}",
        "{}",
        "{level: {at_least: restricted, at_most: public}}",
        "{level: [public], categories: {any: [pii], none: [pii]}}",
        "{tokens: {above: 10, below: 5}}",
        "{tokens: {above: 4, below: 5}}",
    ],
)
def test_row_04_a_rule_has_a_broken_pattern_or_an_impossible_condition(when: str) -> None:
    try:
        found = load_text(POLICY % (when, "all")).problems
    except PolicyError as error:
        found = error.problems
    assert {(problem.severity, problem.line) for problem in found} == {("error", 15)}


@pytest.mark.parametrize("keys", list(itertools.permutations(("level", "task", "categories"))))
def test_row_05_two_conditions_stand_side_by_side_in_one_matcher(
    keys: tuple[str, ...], local: LoopbackServer, cloud: LoopbackServer
) -> None:
    parts = {"level": "confidential", "task": "support", "categories": ["financial"]}
    rule = {
        "id": "both",
        "effect": "forbid",
        "when": {name: parts[name] for name in keys},
        "models": {"hosting": "vendor_api"},
    }
    router = router_for(local, cloud, rules=[AT_HOME, rule], tasks=["support", "other"])
    allowed = {
        (level, task, category): "cloud"
        in [
            part.model
            for part in router.decide(HELLO, sensitivity=[level, category], task=task).candidates
        ]
        for level in ("confidential",)
        for task in ("support", "other")
        for category in ("financial", "legal")
    }
    assert allowed == {
        ("confidential", "support", "financial"): False,
        ("confidential", "support", "legal"): True,
        ("confidential", "other", "financial"): True,
        ("confidential", "other", "legal"): True,
    }


def test_row_06_the_same_rules_in_another_order() -> None:
    rules = [
        AT_HOME,
        STAYS_HOME,
        {
            "id": "floor",
            "effect": "floor",
            "when": {"task": "support"},
            "set": {"min_quality": 0.7},
        },
        {
            "id": "eu",
            "effect": "require",
            "when": {"categories": ["pii"]},
            "models": {"region": "eu"},
        },
    ]
    models = [
        model("local", region="eu"),
        model("weak", quality={"*": 0.5}),
        vendor("cloud", region="us"),
        vendor("cloud-eu", region="eu"),
    ]
    calls = [
        {"sensitivity": level, "task": task}
        for level in (None, "public", "internal", "pii", "phi", "restricted")
        for task in ("support", "other")
    ]
    seen = set()
    for order in itertools.permutations(rules):
        router = Router(
            bundle(*models, rules=[*order], tasks=["support", "other"]), credentials=key_of
        )
        seen.add(
            tuple(
                (
                    decision.outcome,
                    tuple(part.model for part in decision.candidates),
                    frozenset(
                        (part.model, frozenset(reason.rule.id for reason in part.reasons))
                        for part in decision.excluded
                    ),
                    decision.rules,
                )
                for decision in (router.decide(HELLO, **call) for call in calls)  # type: ignore[arg-type]
            )
        )
    assert len(seen) == 1


def test_row_07_a_required_fact_is_missing(
    ask_any: Ask, local: LoopbackServer, cloud: LoopbackServer
) -> None:
    facts = {
        "site": {"type": "string", "source": "host"},
        "purpose": {"type": "enum", "values": ["care"], "source": "host", "required": True},
    }
    router = router_for(local, cloud, facts=facts)
    with pytest.raises(PolicyDenied, match="missing_fact:purpose") as caught:
        ask_any(router, sensitivity="public", facts={"site": "north"})
    assert caught.value.decision.deny_stage == "missing_fact:purpose"
    assert local.requests == cloud.requests == ()
    assert ask_any(router, sensitivity="public", facts={"purpose": "care"})


@pytest.mark.parametrize("sensitivity", ["restricted", "phi", "secrets", None])
def test_row_08_no_rule_matches_a_sensitive_call(
    ask_any: Ask, local: LoopbackServer, cloud: LoopbackServer, sensitivity: str | None
) -> None:
    router = router_for(local, cloud, rules=[])
    with pytest.raises(PolicyDenied) as caught:
        ask_any(router, sensitivity=sensitivity)
    assert caught.value.decision.deny_stage == "guard"
    assert caught.value.decision.candidates == ()
    assert local.requests == cloud.requests == ()


def test_every_probe_names_its_row() -> None:
    rows: set[int] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        rows.update(int(row) for row in re.findall(r"def test_row_(\d\d)_", file.read_text()))
    assert {1, 2, 4, 5, 6, 7, 8, 14, 15, 16, 18, 22, 23, 45, 46, 47, 48, 50, 51} <= rows
    assert yaml.safe_load(POLICY % ("{}", "all"))["kind"] == "Policy"
