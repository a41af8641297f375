"""Hand-worked decisions for the oracle, and a measurement of the generated cases."""

from __future__ import annotations

import collections
import datetime
from fractions import Fraction
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings

from tests import oracle, strategies

Json = dict[str, Any]

AT = datetime.date(2026, 11, 23)
ROUTED, SEVERAL, DENIED = 0.55, 0.50, 0.15
LIMITS = ("budget at its limit", "floor at its limit", "window at its limit", "within")
STAGES = ("missing_fact", "unclassified", "guard", "capability", "budget", "floor")


def entry(name: str, **facts: Any) -> Json:
    """Return a self-hosted model at 2 USD per 1M tokens, changed as asked; None removes."""
    model: Json = {
        "id": name,
        "weights": "open",
        "hosting": "self_hosted",
        "price": {"input": 2, "output": 2},
        "quality": 0.8,
    }
    return {key: value for key, value in (model | facts).items() if value is not None}


def decided(policy: Json, catalogue: list[Json], **request: Any) -> Json:
    """Decide an internal call without a task unless the request says otherwise."""
    base: Json = {"labels": "standard"}
    return oracle.decide(base | policy, catalogue, {"level": "internal"} | request, AT)


def names(decision: Json) -> list[str]:
    """Return the candidates in order."""
    return [candidate["model"] for candidate in decision["ranked"]]


def reasons(decision: Json, model: str) -> list[tuple[str, str | None]]:
    """Return why a model was excluded."""
    return [
        (reason["stage"], reason["rule"])
        for exclusion in decision["excluded"]
        for reason in exclusion["reasons"]
        if exclusion["model"] == model
    ]


def test_without_objectives_the_cheapest_comes_first_and_ties_end_with_the_id() -> None:
    """1,000 + 500 tokens at 2 USD per 1M are 0.003 USD, at 1 USD half of that."""
    catalogue = [entry("b"), entry("a"), entry("c", price={"input": 1, "output": 1})]
    decision = decided({}, catalogue)
    assert names(decision) == ["c", "a", "b"]
    assert decision["ranked"][0]["expected_cost_usd"] == Fraction(15, 10_000)
    assert decision["ranked"][1]["worst_cost_usd"] == Fraction(3, 1000)


def test_a_call_nobody_labelled_is_unclassified_where_only_unknown_categories_forbid() -> None:
    """The same rule with a known category denies at the guard."""
    policy = {
        "rules": [
            {"id": "none", "effect": "forbid", "when": {"categories": "secrets"}},
            {"id": "top", "effect": "permit", "when": {"level": "restricted"}, "models": "all"},
        ]
    }
    request = {"task": "other"}
    unlabelled = oracle.decide({"labels": "standard"} | policy, [entry("a")], request, AT)
    assert (unlabelled["deny_stage"], unlabelled["rules"]) == ("unclassified", ["none"])
    assert reasons(unlabelled, "a") == [("guard", "none")]
    known = decided(policy, [entry("a")], categories=["secrets"])
    assert known["deny_stage"] == "guard"
    assert decided(policy, [entry("a")])["decision"] == "route"


def test_a_carried_category_includes_others_and_raises_the_level_to_where_permits_are_needed() -> (
    None
):
    """Phi includes pii and is restricted, so the internal call needs a permit."""
    policy: Json = {
        "tasks": {"letter": {"carries": "phi"}, "other": None},
        "rules": [
            {"id": "home", "effect": "permit", "when": {"level": "restricted"}, "models": "all"},
            {
                "id": "mask",
                "effect": "obligate",
                "when": {"categories": {"any": ["pii"]}},
                "do": {"redact": "pii"},
            },
        ],
    }
    letter = decided(policy, [entry("a")], task="letter")
    assert letter["ranked"][0]["obligations"] == {"redact": ["pii"]}
    assert letter["rules"] == ["home", "mask"]
    assert decided(policy, [entry("a")], task="other")["rules"] == []
    unpermitted = decided(policy | {"rules": policy["rules"][1:]}, [entry("a")], task="letter")
    assert reasons(unpermitted, "a") == [("guard", None)]


def test_an_absent_attribute_is_caught_by_forbid_and_helps_neither_require_nor_permit() -> None:
    """`not` keeps the unknown; an expired block is as good as absent."""
    stale = {"retention_days": 0, "expires": "2026-11-22"}
    catalogue = [entry("a", region="eu-west"), entry("b"), entry("c", data=stale)]
    matcher = {"region": {"prefix": "eu-"}}
    forbid = {"id": "f", "effect": "forbid", "models": {"not": matcher}}
    require = {"id": "r", "effect": "require", "models": matcher}
    for rule in (forbid, require):
        assert names(decided({"rules": [rule]}, catalogue)) == ["a"]
    kept = {"id": "k", "effect": "require", "models": {"retention_days": {"at_most": 0}}}
    assert names(decided({"rules": [kept]}, catalogue, level="internal")) == []
    assert names(decided({"rules": [kept]}, catalogue, given={"at": "2026-11-22"})) == ["c"]


def test_a_budget_admits_the_call_that_spends_it_to_the_last_unit() -> None:
    """0.297 + 0.003 USD is the limit exactly; a thousandth more is over it."""
    policy = {
        "budgets": [{"id": "day", "period": "day", "limit_usd": 0.3, "on_exceed": "deny"}],
    }
    exact = decided(policy, [entry("a")], given={"budgets": {"day": 0.297}})
    assert (exact["decision"], exact["warnings"]) == ("route", ["day:99%"])
    over = decided(policy, [entry("a")], given={"budgets": {"day": 0.298}})
    assert (over["deny_stage"], over["rules"]) == ("budget", ["day"])
    unpriced = decided(policy, [entry("a"), entry("b", price=None)])
    assert reasons(unpriced, "b") == [("budget", "day")]


def test_an_exceeded_degrade_budget_keeps_the_unmetered_models_and_lowers_soft_floors_only() -> (
    None
):
    """Of the floors 0.82 soft and 0.78 hard, the first falls to 0.79."""
    catalogue = [entry("home", quality=0.79), entry("vendor", hosting="vendor_api", quality=0.9)]
    policy: Json = {
        "rules": [
            {"id": "s", "effect": "floor", "set": {"min_quality": 0.82}, "strength": "soft"},
            {"id": "h", "effect": "floor", "set": {"min_quality": 0.78}},
        ],
        "budgets": [
            {
                "id": "month",
                "period": "month",
                "models": {"hosting": "vendor_api"},
                "limit_usd": 1,
                "on_exceed": "degrade",
                "degrade_floor": floor,
            }
            for floor in (0.7, 0.79)
        ],
    }
    policy["budgets"][0]["id"] = "first"
    spent = {"budgets": {"first": 1, "month": 1.5}}
    assert names(decided(policy, catalogue)) == ["vendor"]
    degraded = decided(policy, catalogue, given=spent)
    assert names(degraded) == ["home"]
    assert degraded["warnings"] == [
        "first:100%",
        "first:degraded",
        "month:150%",
        "month:degraded",
        "floor lowered 0.82->0.79",
    ]
    policy["rules"][1]["set"]["min_quality"] = 0.8
    assert decided(policy, catalogue, given=spent)["deny_stage"] == "floor"


def test_models_exactly_within_the_tolerance_of_the_best_form_one_group() -> None:
    """0.80 - 0.78 is 0.02, which floats would make a little more; unknown comes last."""
    catalogue = [
        entry("best", quality=0.8),
        entry("cheap", quality=0.78, price={"input": 1, "output": 1}),
        entry("cheapest", quality=0.77, price={"input": 0, "output": 0}),
        entry("unmeasured", quality=None, price={"input": 0, "output": 0}),
    ]
    order = [{"maximise": "quality", "within": 0.02}, {"minimise": "cost"}]
    policy = {
        "defaults": {"unknown_quality": "ignore"},
        "objectives": [{"id": "o", "order": order}],
    }
    assert names(decided(policy, catalogue)) == ["cheap", "best", "cheapest", "unmeasured"]


def test_floors_compare_the_lower_bound_and_unknown_quality_fails_them() -> None:
    """A record without `lower` is unknown; a scalar is its own lower bound."""
    catalogue = [
        entry("a", quality={"code": {"score": 0.9, "lower": 0.79}, "*": 0.95}),
        entry("b", quality={"code": {"score": 0.9}}),
        entry("c", quality={"*": 0.8}),
    ]
    rule = {"id": "f", "effect": "floor", "when": {"task": "code"}, "set": {"min_quality": 0.8}}
    decision = decided({"rules": [rule]}, catalogue, task="code")
    assert names(decision) == ["c"]
    assert reasons(decision, "a") == reasons(decision, "b") == [("floor", "f")]
    other = decided({"rules": [rule]}, catalogue, task="other")
    assert (names(other), reasons(other, "b")) == (["a", "c"], [("floor", None)])
    score = decided({"rules": [rule], "defaults": {"compare_quality": "score"}}, catalogue)
    assert names(score) == ["a", "c"]


def test_ranking_uses_expected_output_and_limits_use_the_worst_case() -> None:
    """Expected 1000 * 2 + 100 * 4, worst 1000 * 6 + 500 * 8, plus 1,000 micro-dollars each."""
    price = {"input": 2, "output": 4, "cache_write": 6, "reasoning": 8, "request": 0.001}
    policy: Json = {
        "tasks": {"other": {"expected_output": 100}},
        "rules": [{"id": "f", "effect": "floor", "set": {"max_cost_usd": 0.011}}],
    }
    [candidate] = decided(policy, [entry("a", price=price)])["ranked"]
    assert candidate["expected_cost_usd"] == Fraction(3400, 1_000_000)
    assert candidate["worst_cost_usd"] == Fraction(11_000, 1_000_000)
    policy["rules"][0]["set"]["max_cost_usd"] = 0.01
    assert decided(policy, [entry("a", price=price)])["deny_stage"] == "floor"


def test_the_first_missing_required_fact_denies_before_anything_else() -> None:
    """Declaration order counts, and every model has that one reason."""
    policy = {
        "facts": {
            "desk": {"type": "string", "source": "host", "default": "north"},
            "wall": {"type": "bool", "source": "host", "required": True},
            "area": {"type": "int", "source": "host", "required": True},
        },
        "rules": [{"id": "f", "effect": "forbid", "models": "all"}],
    }
    decision = decided(policy, [entry("a"), entry("b")])
    assert decision["deny_stage"] == "missing_fact:wall"
    assert reasons(decision, "b") == [("missing_fact:wall", None)]
    assert decision["rules"] == []
    assert decided(policy, [entry("a")], facts={"wall": True, "area": 1})["deny_stage"] == "guard"


def test_capability_counts_needs_role_health_window_and_output() -> None:
    """1,000 + 500 tokens fill a window of 1,500 exactly."""
    catalogue = [
        entry("fits", capabilities=["vision", "tools"], context_window=1500, max_output=500),
        entry("narrow", capabilities="vision", context_window=1499),
        entry("short", capabilities="vision", max_output=499),
        entry("blind"),
        entry("embed", capabilities="vision", role="embed"),
        entry("down", capabilities="vision"),
    ]
    decision = decided({}, catalogue, needs=["vision"], given={"health": {"down": "down"}})
    assert names(decision) == ["fits"]
    for name in ("narrow", "short", "blind", "embed", "down"):
        assert reasons(decision, name) == [("capability", None)]


def test_an_expired_permit_lapses_and_a_retired_model_is_out_on_the_day() -> None:
    """A permit's last day is included, a model's retirement day is not."""
    permit = {"id": "p", "effect": "permit", "models": "all", "expires": "2026-11-23"}
    forbid = {"id": "f", "effect": "forbid", "models": {"id": "b"}, "expires": "2020-01-01"}
    catalogue = [entry("a"), entry("b"), entry("c", retires="2026-11-24")]
    policy = {"rules": [permit, forbid]}
    assert names(decided(policy, catalogue, level="restricted")) == ["a", "c"]
    later = decided(policy, catalogue, level="restricted", given={"at": "2026-11-24"})
    assert later["deny_stage"] == "guard"
    internal = decided(policy, catalogue, given={"at": "2026-11-24"})
    assert (names(internal), internal["rules"]) == (["a"], ["f"])


def test_the_strictest_obligation_wins_and_lists_are_united() -> None:
    """Advisory rules ask for nothing."""
    rules: list[Json] = [
        {"do": {"trace": "redacted", "cache": "exact", "approval": "hr", "log": "none"}},
        {"do": {"trace": "hash", "cache": "none", "approval": ["clinician", "hr"]}},
        {"do": {"trace": "none"}, "strength": "advisory"},
        {"do": {"log": "decision"}, "models": {"weights": "closed"}},
    ]
    rules = [{"id": f"o{n}", "effect": "obligate", **rule} for n, rule in enumerate(rules)]
    decision = decided({"rules": rules}, [entry("a"), entry("b", weights="closed")])
    common = {"trace": "hash", "cache": "none", "approval": ["clinician", "hr"]}
    assert decision["ranked"][0]["obligations"] == common | {"log": "none"}
    assert decision["ranked"][1]["obligations"] == common | {"log": "decision"}
    assert decision["rules"] == ["o0", "o1", "o3"]


def test_a_rollout_moves_one_model_to_the_front_or_to_the_end() -> None:
    """The side depends on the type of a key, and without the whole key it is outside."""
    catalogue = [entry("a"), entry("b"), entry("c")]
    rollout: Json = {"model": "b", "share": 1, "key": ["who"]}
    policy: Json = {
        "facts": {"who": {"type": "string", "source": "host"}},
        "objectives": [{"id": "o", "order": [{"minimise": "cost"}], "rollout": rollout}],
    }
    inside = decided(policy, catalogue, facts={"who": "x"})
    assert names(inside) == ["b", "a", "c"]
    assert inside["rollout"] == {"objective": "o", "model": "b", "inside": True}
    assert names(decided(policy, catalogue)) == ["a", "c", "b"]
    rollout["share"] = 0
    outside = decided(policy, catalogue, facts={"who": "x"})
    assert (names(outside), outside["rollout"]["inside"]) == (["a", "c", "b"], False)
    down = decided(policy, catalogue, facts={"who": "x"}, given={"health": {"b": "down"}})
    assert (names(down), down["rollout"]) == (["a", "c"], None)


def test_the_chosen_model_warns_for_thirty_days_before_it_retires() -> None:
    """From 2026-11-23 the thirtieth day is 2026-12-23."""
    assert decided({}, [entry("a", retires="2026-12-23")])["warnings"] == ["a:retires 2026-12-23"]
    assert decided({}, [entry("a", retires="2026-12-24")])["warnings"] == []
    assert decided({}, [entry("a"), entry("b", retires="2026-12-01")])["warnings"] == []


@pytest.mark.parametrize(
    "request_",
    [
        {"task": "unheard of"},
        {"categories": ["unheard of"]},
        {"level": "unheard of"},
        {"facts": {"unheard of": 1}},
        {"facts": {"seats": True}},
        {"facts": {"plan": "gold"}},
        {"facts": {"seen": True}},
    ],
)
def test_a_call_that_names_what_the_policy_does_not_declare_is_an_error(request_: Json) -> None:
    """So is a fact of the wrong type, and one that only a classifier may state."""
    facts = {
        "seats": {"type": "int", "source": "host"},
        "plan": {"type": "enum", "values": ["free", "pro"], "source": "host"},
        "seen": {"type": "bool", "source": "classifier"},
    }
    with pytest.raises(ValueError, match=r"unknown|fact"):
        decided({"facts": facts}, [entry("a")], **request_)


def drawn(count: int) -> list[strategies.Case]:
    """Return that many generated cases, the same ones in every run."""
    found: list[strategies.Case] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(strategies.cases())
    def collect(case: strategies.Case) -> None:
        found.append(case)

    collect()
    return found


def boundaries(case: strategies.Case, decision: Json) -> set[str]:
    """Name the limits that the case meets exactly."""
    policy, catalogue, request = case
    if decision["deny_stage"] and decision["deny_stage"].startswith("missing_fact"):
        return set()
    world = oracle.Case(policy, catalogue, request, AT)
    met: set[str] = set()
    for model in catalogue:
        for budget in policy.get("budgets", []):
            worst, spent = world.worst(model), oracle.number(world.spent.get(budget["id"], 0))
            if "limit_usd" in budget and worst is not None:
                limit = oracle.number(budget["limit_usd"])
                met |= {LIMITS[0]} if spent + worst == limit else set()
        for rule in policy.get("rules", []):
            least, quality = rule.get("set", {}).get("min_quality"), world.quality(model)
            if least is not None and quality == oracle.number(least):
                met.add(LIMITS[1])
        if world.tokens + (world.max_output or 0) == model.get("context_window"):
            met.add(LIMITS[2])
    candidates = [m for m in catalogue if m["id"] in names(decision)]
    for objective in policy.get("objectives", []):
        for goal in objective["order"]:
            figure = {"cost": world.expected, "quality": world.quality, "ttft": world.ttft}.get(
                goal.get("minimise") or goal["maximise"]
            )
            values = [v for m in candidates if figure and (v := figure(m)) is not None]
            within = oracle.number(goal.get("within", 0))
            if within and any(abs(one - two) == within for one in values for two in values):
                met.add(LIMITS[3])
    return met


@pytest.mark.slow
def test_generated_cases_reach_every_stage_and_meet_their_limits_exactly() -> None:
    """Unshaped cases deny nearly always and miss most seeded faults."""
    cases = drawn(2000)
    counts: collections.Counter[str] = collections.Counter()
    for case in cases:
        decision = oracle.decide(*case, AT)
        counts[decision["decision"]] += 1
        counts["several"] += len(decision["ranked"]) > 1
        counts[(decision["deny_stage"] or "").split(":")[0]] += 1
        counts["lowered"] += any("lowered" in warning for warning in decision["warnings"])
        counts["degraded"] += any("degraded" in warning for warning in decision["warnings"])
        counts["warned"] += any(warning.endswith("%") for warning in decision["warnings"])
        counts["retiring"] += any(":retires" in warning for warning in decision["warnings"])
        if rollout := decision.get("rollout"):
            counts["inside" if rollout["inside"] else "outside"] += 1
        counts.update(boundaries(case, decision))
    shares = {name: count / len(cases) for name, count in counts.items()}
    assert shares["route"] >= ROUTED
    assert shares["several"] >= SEVERAL
    assert shares["deny"] >= DENIED
    for name in (*STAGES, *LIMITS):
        assert shares[name] >= 0.01, name
    for name in ("lowered", "degraded", "warned", "retiring", "inside", "outside"):
        assert shares[name] >= 0.005, name


def test_a_written_document_reads_back_as_it_was() -> None:
    """No anchors, no order lost, no string that becomes something else."""
    for policy, catalogue, _ in drawn(50):
        text = strategies.to_yaml(policy, catalogue)
        document = yaml.safe_load(text)
        assert (document["apiVersion"], document["kind"]) == ("modelrouter/v1", "Policy")
        assert document["models"] == catalogue
        assert {key: document[key] for key in policy} == policy
        assert list(document.get("facts", {})) == list(policy.get("facts", {}))
        assert not any(isinstance(token, yaml.AnchorToken) for token in yaml.scan(text))
