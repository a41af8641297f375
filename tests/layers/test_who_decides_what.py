"""What each layer of a small stack decides: gates, defaults, names, preferences, budgets."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from modelrouter.engine.compiled import compile_bundle
from modelrouter.loader import inspect, load
from modelrouter.policy.bundle import Bundle
from tests.layers.kit import Json, decided, write

MODELS: list[Json] = [
    {
        "id": "home/one",
        "weights": "open",
        "hosting": "self_hosted",
        "price": {"input": 1, "output": 1},
        "quality": {"code": {"score": 0.8, "lower": 0.7}},
    },
    {
        "id": "far/two",
        "weights": "closed",
        "hosting": "vendor_api",
        "price": {"input": 2, "output": 2},
        "quality": {"code": {"score": 0.95, "lower": 0.9}, "*": 0.9},
    },
]


def stack(folder: Path, top: Json, *below: Json) -> Bundle:
    return load(write(folder, [{"models": MODELS, **top}, *below]))


def codes(folder: Path, top: Json, *below: Json) -> list[str]:
    found = inspect(write(folder, [{"models": MODELS, **top}, *below]))
    assert (found.bundle is None) == bool(found.problems)
    return [problem.code for problem in found.problems]


def names(bundle: Bundle, **request: Any) -> list[str]:
    return [part.model for part in decided(bundle, {"task": "code", **request}).candidates]


def permit(name: str, **rule: Any) -> Json:
    return {"id": name, "effect": "permit", "models": "all", **rule}


def gates(bundle: Bundle) -> list[tuple[int, list[str]]]:
    engine = compile_bundle(bundle, datetime.date(2026, 11, 23))
    return [(gate.deny_from, [part.id for part in gate.permits]) for gate in engine.gates]


def test_each_layer_with_permits_or_a_default_deny_is_a_gate(tmp_path: Path) -> None:
    bundle = stack(
        tmp_path,
        {"defaults": {"default_deny_from": "confidential"}, "rules": [permit("top")]},
        {"rules": [{"id": "no", "effect": "forbid", "when": {"task": "other"}}]},
        {"rules": [permit("mine", models={"hosting": "self_hosted"})]},
        {"defaults": {"default_deny_from": "internal"}},
        {"rules": [permit("noted", strength="advisory")]},
    )
    # Levels by place: internal 1, confidential 2. A layer that states none closes where the one
    # above it does; an advisory permit makes no gate.
    assert gates(bundle) == [(2, ["top"]), (2, ["mine"]), (1, [])]
    assert [layer.deny_from for layer in bundle.layers] == [
        "confidential",
        None,
        "confidential",
        "internal",
        None,
    ]
    assert bundle.policy.defaults.default_deny_from == "internal"
    assert names(bundle, level="public") == ["home/one", "far/two"]
    assert names(bundle, level="internal") == []


def test_a_layer_that_states_no_level_closes_where_the_nearest_gate_does(tmp_path: Path) -> None:
    bundle = stack(
        tmp_path,
        {"rules": [permit("top")]},
        {"defaults": {"default_deny_from": "internal"}, "rules": [permit("middle")]},
        {},
        {"rules": [permit("low")]},
    )
    assert gates(bundle) == [(3, ["top"]), (1, ["middle"]), (1, ["low"])]


def test_a_permit_copied_down_from_one_that_widens_is_one_mistake(tmp_path: Path) -> None:
    top = {"rules": [permit("top", models={"weights": "open"})]}
    found = codes(tmp_path, top, {"rules": [permit("middle")]}, {"rules": [permit("low")]})
    assert found == ["MR135"]


def test_the_top_layer_always_has_a_gate_at_the_highest_level_by_default(tmp_path: Path) -> None:
    bundle = stack(tmp_path, {}, {})
    assert gates(bundle) == [(3, [])]
    assert names(bundle, level="confidential") == ["home/one", "far/two"]
    assert names(bundle, level="restricted") == []


def test_a_model_must_be_permitted_by_every_layer(tmp_path: Path) -> None:
    bundle = stack(
        tmp_path,
        {"rules": [permit("any")]},
        {"rules": [permit("open", models={"weights": "open"})]},
    )
    assert names(bundle, level="restricted") == ["home/one"]
    found = decided(bundle, {"task": "code", "level": "restricted"})
    assert {"any", "open"} <= {*found.rules}
    (excluded,) = found.excluded
    (reason,) = excluded.reasons
    assert reason.detail == "no permit of layer `layer-1` covers it at this level"
    assert (reason.rule.file, reason.rule.line) == (str(tmp_path / "layer-1.yaml"), 1)


def test_a_permit_that_lapses_above_closes_the_layers_below(tmp_path: Path) -> None:
    upper = permit("until", expires="2026-11-22")
    bundle = stack(tmp_path, {"rules": [upper]}, {"rules": [permit("always")]})
    assert names(bundle, level="restricted", given={"at": "2026-11-22"}) == ["home/one", "far/two"]
    assert names(bundle, level="restricted", given={"at": "2026-11-23"}) == []


def test_a_permit_that_has_lapsed_below_leaves_its_gate_closed(tmp_path: Path) -> None:
    lower = permit("until", expires="2026-11-22")
    bundle = stack(tmp_path, {"rules": [permit("always")]}, {"rules": [lower]})
    assert names(bundle, level="restricted", given={"at": "2026-11-23"}) == []


def test_a_forbid_above_and_a_permit_below_are_no_contradiction(tmp_path: Path) -> None:
    forbid = {"id": "no", "effect": "forbid", "models": {"hosting": "vendor_api"}}
    bundle = stack(tmp_path, {"rules": [permit("top"), forbid]}, {"rules": [permit("low")]})
    assert names(bundle, level="restricted") == ["home/one"]


def test_a_permit_is_compared_with_all_permits_above_together(tmp_path: Path) -> None:
    halves = [
        permit("small", when={"tokens": {"at_most": 999}}),
        permit("large", when={"tokens": {"at_least": 1000}}, models={"weights": "open"}),
    ]
    wide, narrow = permit("wide"), permit("narrow", models={"weights": "open"})
    assert codes(tmp_path, {"rules": halves}, {"rules": [narrow]}) == []
    assert codes(tmp_path, {"rules": halves}, {"rules": [wide]}) == ["MR135"]


def test_a_permit_is_compared_with_every_layer_above_not_the_next_alone(tmp_path: Path) -> None:
    top = {"rules": [permit("top", models={"weights": "open"})]}
    # The second has no gate, so the third is compared with the first.
    assert codes(tmp_path, top, {}, {"rules": [permit("low")]}) == ["MR135"]
    problem = inspect(tmp_path / "layer-2.yaml").problems[0]
    assert problem.file == str(tmp_path / "layer-2.yaml")
    assert f"({tmp_path / 'layer-0.yaml'}:" in problem.message


def test_labels_that_cannot_exist_widen_nothing(tmp_path: Path) -> None:
    top = {
        "labels": {"categories": {"secrets": {"at_least": "restricted"}}},
        "defaults": {"default_deny_from": "internal"},
        "rules": [permit("top", when={"level": "restricted"})],
    }
    # Secrets are restricted: there is no call with them at a lower level.
    assert codes(tmp_path, top, {"rules": [permit("low", when={"categories": "secrets"})]}) == []
    assert codes(tmp_path, top, {"rules": [permit("low", when={"level": "internal"})]}) == ["MR135"]


@pytest.mark.parametrize("key", ["unknown_quality", "compare_quality"])
def test_a_default_may_become_stricter_and_stays_so(key: str, tmp_path: Path) -> None:
    loose = {"unknown_quality": "ignore", "compare_quality": "score"}[key]
    strict = {"unknown_quality": "exclude", "compare_quality": "lower"}[key]
    top: Json = {"defaults": {key: loose}}
    assert getattr(stack(tmp_path, top, {}).policy.defaults, key) == loose
    assert getattr(stack(tmp_path, top, {"defaults": {key: loose}}).policy.defaults, key) == loose
    tightened = stack(tmp_path, top, {"defaults": {key: strict}}, {})
    assert getattr(tightened.policy.defaults, key) == strict
    again = {"defaults": {key: loose}}
    assert codes(tmp_path, top, {"defaults": {key: strict}}, again) == ["MR134"]
    assert codes(tmp_path, {}, again) == ["MR134"]


def test_a_gate_may_close_earlier_and_never_later(tmp_path: Path) -> None:
    def deny_from(level: str) -> Json:
        return {"defaults": {"default_deny_from": level}}

    assert codes(tmp_path, {}, deny_from("confidential"), deny_from("internal")) == []
    assert codes(tmp_path, {}, deny_from("internal"), deny_from("confidential")) == ["MR134"]
    # Below a layer without a gate, the nearest one with a gate counts.
    assert codes(tmp_path, deny_from("internal"), {}, deny_from("restricted")) == ["MR134"]


def test_preferences_of_the_lower_layer_come_first(tmp_path: Path) -> None:
    def objective(name: str, **goal: str) -> Json:
        return {"id": name, "when": {"task": "code"}, "order": [goal]}

    bundle = stack(
        tmp_path,
        {"objectives": [objective("top", maximise="quality")], "runtime": [{"id": "far"}]},
        {"objectives": [objective("low", minimise="cost")], "runtime": [{"id": "near"}]},
    )
    assert [part.id for part in bundle.policy.objectives] == ["low", "top"]
    assert names(bundle, level="public") == ["home/one", "far/two"]
    found = decided(bundle, {"task": "code", "level": "public"})
    assert (found.objective, found.runtime) == ("low", 0)
    assert bundle.policy.runtime[0].id == "near"
    assert names(
        stack(tmp_path, {"objectives": [objective("top", maximise="quality")]}, {}), level="public"
    ) == [
        "far/two",
        "home/one",
    ]


def test_budgets_of_every_layer_are_kept(tmp_path: Path) -> None:
    bundle = stack(
        tmp_path,
        {"budgets": [{"id": "top", "period": "month", "limit_calls": 10}]},
        {"budgets": [{"id": "low", "period": "day", "limit_calls": 1}]},
    )
    assert names(bundle, level="public") == ["home/one", "far/two"]
    for spent in ({"top": 10}, {"low": 1}):
        found = decided(bundle, {"task": "code", "level": "public", "given": {"budgets": spent}})
        assert (found.deny_stage, found.rules) == ("budget", tuple(spent))


def soft(name: str, least: float, **rule: Any) -> Json:
    floor = {"id": name, "effect": "floor", "set": {"min_quality": least}, "strength": "soft"}
    return {**floor, **rule}


def degrading(name: str, least: float, **budget: Any) -> Json:
    return {
        "id": name,
        "period": "day",
        "limit_calls": 1,
        "on_exceed": "degrade",
        "models": {"hosting": "vendor_api"},
        "degrade_floor": least,
        **budget,
    }


def test_a_soft_floor_falls_by_budgets_of_its_layer_and_those_above(tmp_path: Path) -> None:
    upper = stack(tmp_path, {"budgets": [degrading("day", 0.6)]}, {"rules": [soft("good", 0.8)]})
    own = stack(tmp_path, {}, {"rules": [soft("good", 0.8)], "budgets": [degrading("day", 0.6)]})
    for bundle in (upper, own):
        assert names(bundle, level="public") == ["far/two"]
        assert names(bundle, level="public", given={"budgets": {"day": 1}}) == ["home/one"]


def test_a_budget_below_does_not_lower_a_soft_floor_above(tmp_path: Path) -> None:
    top = {"rules": [soft("good", 0.8)]}
    assert codes(tmp_path, top, {}, {"budgets": [degrading("day", 0.6)]}) == ["MR136"]
    assert codes(tmp_path, top, {"budgets": [degrading("day", 0.8)]}) == []
    # A call with pii is confidential: no call meets both.
    pii = {"rules": [soft("good", 0.8, when={"categories": "pii"})]}
    public = degrading("day", 0.6, when={"level": "public"})
    internal = degrading("day", 0.6, when={"level": {"at_least": "internal"}})
    assert codes(tmp_path, pii, {"budgets": [public]}) == []
    assert codes(tmp_path, pii, {"budgets": [internal]}) == ["MR136"]


def test_a_new_task_joins_those_the_catalogue_implies(tmp_path: Path) -> None:
    bundle = stack(tmp_path, {}, {"tasks": {"chat": {"carries": ["pii"]}}})
    assert bundle.words.tasks == {"code", "other", "chat"}
    assert str(decided(bundle, {"task": "chat", "level": "public"}).label) == "confidential+pii"
    assert stack(tmp_path, {}, {"tasks": ["code"]}).words.tasks == {"code", "other"}


def test_a_catalogue_below_brings_no_task_that_escapes(tmp_path: Path) -> None:
    rule = {
        "id": "no",
        "effect": "forbid",
        "when": {"task": "other"},
        "models": {"weights": "closed"},
    }
    found = inspect(write(tmp_path, [{"rules": [rule]}, {"models": MODELS}]))
    assert [problem.code for problem in found.problems] == ["MR137"]


OTHER: Json = {"task": "other"}
DAY: Json = {"id": "a", "period": "day", "limit_calls": 1, "when": OTHER}


def rule(effect: str, when: Json, **more: Any) -> Json:
    return {"rules": [{"id": "a", "effect": effect, "when": when, **more}]}


@pytest.mark.parametrize(
    ("clause", "escapes"),
    [
        (rule("forbid", OTHER), 1),
        (rule("require", {"task": ["other", "code"]}), 1),
        (rule("obligate", OTHER, do={"trace": "none"}), 1),
        ({"budgets": [DAY]}, 1),
        (rule("forbid", {"task": {"prefix": "o"}}), 1),
        (rule("forbid", {"task": "code"}), 0),
        (rule("forbid", {"level": "public"}), 0),
        (rule("permit", OTHER, models="all"), 0),
        (rule("forbid", OTHER, strength="advisory"), 0),
    ],
)
def test_a_new_task_meets_every_guardrail_that_other_meets(
    clause: Json, escapes: int, tmp_path: Path
) -> None:
    assert codes(tmp_path, clause, {"tasks": ["chat"]}) == ["MR137"] * escapes


CLOSED: Json = {"care": {"carries": ["phi"]}, "billing": {"carries": ["pii", "financial"]}}


@pytest.mark.parametrize(
    ("carries", "refused"),
    [
        ([], 1),
        (["pii"], 1),
        (["financial"], 1),
        (["phi"], 0),
        (["financial", "pii"], 0),
        (["financial", "phi"], 0),  # `phi` includes `pii`
        (["phi", "secrets"], 0),
    ],
)
def test_a_new_task_of_a_closed_list_carries_what_some_task_of_it_does(
    carries: list[str], refused: int, tmp_path: Path
) -> None:
    """Every call of the upper policy carries `phi`, or `pii` and `financial`."""
    notes = {"tasks": {"notes": {"carries": carries}}}
    assert codes(tmp_path, {"tasks": CLOSED}, notes) == ["MR137"] * refused


def test_in_a_closed_list_a_task_that_carries_nothing_leaves_new_ones_free(tmp_path: Path) -> None:
    open_one: Json = {"tasks": {**CLOSED, "talk": {}}}
    assert codes(tmp_path, open_one, {"tasks": ["notes"]}) == []
    # `other` stands for every task that nobody foresaw, so it alone counts.
    strict: Json = {"tasks": {**open_one["tasks"], "other": {"carries": ["phi"]}}}
    assert codes(tmp_path, strict, {"tasks": ["notes"]}) == ["MR137"]
    includes: Json = {"tasks": {"other": {"carries": ["pii"]}}}
    assert codes(tmp_path, includes, {"tasks": {"notes": {"carries": ["phi"]}}}) == []


def test_what_is_declared_twice_alike_is_no_mistake(tmp_path: Path) -> None:
    shared: Json = {
        "labels": {"categories": {"pii": {"at_least": "internal"}}},
        "tasks": ["code", "other"],
        "facts": {"plan": {"type": "string", "source": "host"}},
        "sets": {"ours": {"hosting": "self_hosted"}},
        "classifiers": {"unscannable": {"image": "declared"}},
    }
    bundle = stack(tmp_path, shared, shared, {"facts": {"new": {"type": "bool", "source": "host"}}})
    assert list(bundle.policy.facts) == ["plan", "new"]
    # Left out above, a label scheme is the standard one.
    assert codes(tmp_path, {}, {"labels": "standard"}) == []
    assert codes(tmp_path, {}, {"labels": {"categories": {"pii": {"at_least": "internal"}}}}) == [
        "MR132"
    ]


def test_a_required_fact_of_a_lower_layer_only_denies(tmp_path: Path) -> None:
    fact = {"facts": {"plan": {"type": "string", "source": "host", "required": True}}}
    bundle = stack(tmp_path, {}, fact)
    found = decided(bundle, {"task": "code", "level": "public"})
    assert found.deny_stage == "missing_fact:plan"
    assert found.removals[0].reason.rule.file == str(tmp_path / "layer-1.yaml")


def test_mistakes_of_every_layer_are_found_at_once(tmp_path: Path) -> None:
    def wrong(name: str) -> Json:
        return {"rules": [{"id": name, "effect": "forbid", "models": {"id": f"none/{name}"}}]}

    file = write(tmp_path, [{"models": MODELS, **wrong("a")}, wrong("b"), wrong("c")])
    found = inspect(file)
    assert [Path(part.file).name for part in found.problems] == [
        "layer-0.yaml",
        "layer-1.yaml",
        "layer-2.yaml",
    ]


def test_accepted_findings_of_every_layer_are_kept(tmp_path: Path) -> None:
    def allow(code: str) -> Json:
        return {"lint": {"allow": [{"code": code, "reason": "agreed"}]}}

    bundle = stack(tmp_path, allow("MR207"), allow("MR208"))
    assert [part.code for part in bundle.policy.lint.allow] == ["MR207", "MR208"]
    assert (bundle.name, bundle.policy.extends) == ("layer-1", None)
