"""Theorems about layers, on random policies split over them.

`LAYER_CASES=2000 pytest tests/layers` tries more of them.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, reject, settings
from hypothesis import strategies as st

from modelrouter.errors import CallError
from modelrouter.loader import inspect, load, load_text
from tests import oracle
from tests.layers.kit import TODAY, Json, composed, decided, split, write
from tests.oracle import STRICTEST_FIRST, YES
from tests.strategies import Case, cases, to_yaml

CASES = int(os.environ.get("LAYER_CASES", "40"))
LAWS = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
    # Each example writes and loads files: shrinking one takes minutes and tells little more.
    phases=(Phase.explicit, Phase.generate),
)
Stacks = st.tuples(cases(), st.integers(2, 4), st.integers(0, 2**32))
Drawn = tuple[Case, int, int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


def without(policy: Json, *sections: str) -> Json:
    """Return a policy without some sections, and without what reads budgets if they are gone."""
    left = {key: part for key, part in policy.items() if key not in sections}
    if "budgets" in sections:
        for key in ("rules", "objectives"):
            parts = left.get(key) or []
            left[key] = [part for part in parts if "budget" not in part.get("when", {})]
    return left


def harmless(policy: Json) -> Json:
    """Return a policy whose budgets do not degrade, so that they speak of one model at a time."""
    budgets = [
        {key: value for key, value in part.items() if not key.startswith("degrade_")}
        | ({"on_exceed": "deny"} if part["on_exceed"] == "degrade" else {})
        for part in policy.get("budgets") or []
    ]
    return {**policy, "budgets": budgets}


def affordable(request: Json, policy: Json) -> Json:
    """Return a request without spent budgets that the policy does not know."""
    known = {part["id"] for part in policy.get("budgets") or []}
    spent = (request.get("given") or {}).get("budgets") or {}
    left = {name: amount for name, amount in spent.items() if name in known}
    return {**request, "given": {**(request.get("given") or {}), "budgets": left}}


def is_permit(rule: Json) -> bool:
    return rule["effect"] == "permit" and rule.get("strength") != "advisory"


def alone(policy: Json, layers: list[Json], number: int) -> Json:
    """Return one layer as a policy of its own, with the vocabulary of all."""
    rules = list(layers[number].get("rules") or [])
    if number and not any(is_permit(rule) for rule in rules):
        # No default deny of its own: as a policy it would have one at the highest level.
        rules.append({"id": "all", "effect": "permit", "models": "all"})
    return {**without(policy, "rules", "budgets", "objectives"), "rules": rules}


def removed_at(stage: str, excluded: Iterable[Json]) -> set[str]:
    return {
        part["model"]
        for part in excluded
        if any(reason["stage"] == stage for reason in part["reasons"])
    }


def by_the_oracle(policy: Json, catalogue: list[Json], request: Json) -> Json:
    at = (request.get("given") or {}).get("at")
    return oracle.decide(
        policy, catalogue, request, datetime.date.fromisoformat(at) if at else TODAY
    )


@LAWS
@given(Stacks)
def test_eligible_is_the_intersection_and_floors_the_maximum(folder: Path, drawn: Drawn) -> None:
    (policy, catalogue, request), count, seed = drawn
    policy = without(policy, "budgets")
    request = affordable(request, policy)
    layers = split(policy, catalogue, count, Random(seed))  # noqa: S311 - a seed of Hypothesis
    bundle = composed(write(folder, layers))
    try:
        found: Any = decided(bundle, request).as_json()
    except CallError:
        reject()
    assume(not str(found["deny_stage"]).startswith("missing_fact"))
    parts = [
        by_the_oracle(alone(policy, layers, number), catalogue, request) for number in range(count)
    ]
    for stage in ("guard", "floor", "capability"):
        each = [removed_at(stage, part["excluded"]) for part in parts]
        assert removed_at(stage, found["excluded"]) == set().union(*each)


@LAWS
@given(Stacks)
def test_obligations_are_the_union_and_of_each_scalar_the_strictest(
    folder: Path, drawn: Drawn
) -> None:
    (policy, catalogue, request), count, seed = drawn
    policy = without(policy, "budgets")
    request = affordable(request, policy)
    layers = split(policy, catalogue, count, Random(seed))  # noqa: S311 - a seed of Hypothesis
    try:
        found = decided(composed(write(folder, layers)), request)
    except CallError:
        reject()
    assume(found.candidates)
    parts = [
        by_the_oracle(alone(policy, layers, number), catalogue, request) for number in range(count)
    ]
    for candidate in found.candidates:
        each = [
            ranked["obligations"]
            for part in parts
            for ranked in part["ranked"]
            if ranked["model"] == candidate.model
        ]
        assert len(each) == count
        whole: Json = candidate.obligations.as_json()
        for name, order in STRICTEST_FIRST.items():
            values = [part[name] for part in each if name in part]
            assert whole.get(name) == (min(values, key=order.index) if values else None)
        for name in ("redact", "approval"):
            assert set(whole.get(name, ())) == {
                item for part in each for item in part.get(name, ())
            }


@LAWS
@given(Stacks)
def test_guardrails_may_stand_in_any_layer(folder: Path, drawn: Drawn) -> None:
    """Split over layers, a policy decides as it does in one piece, by the independent oracle."""
    (policy, catalogue, request), count, seed = drawn
    policy = {**policy}
    for budget in policy.get("budgets") or []:
        budget.pop("degrade_floor", None)  # below a soft floor of an upper layer it is refused
    permits = [rule for rule in policy.get("rules") or [] if is_permit(rule)]
    others = [rule for rule in policy.get("rules") or [] if not is_permit(rule)]
    layers = split(
        {**policy, "rules": others},
        catalogue,
        count,
        Random(seed),  # noqa: S311 - as above
    )
    layers[0]["rules"] = [*permits, *(layers[0].get("rules") or [])]
    late = layers[0]["facts"]
    for layer in layers[1:]:  # what the permits read is declared at the top
        late |= layer.pop("facts")
    bundle = load(write(folder, layers))
    flat = {**policy, "facts": dict(bundle_facts(policy, late))}
    try:
        found: Any = decided(bundle, request).as_json()
    except CallError:
        with pytest.raises(ValueError, match="`"):
            by_the_oracle(flat, catalogue, request)
        return
    wanted = by_the_oracle(flat, catalogue, request)
    assert found["decision"] == wanted["decision"]
    assert found["deny_stage"] == wanted["deny_stage"]
    assert [part["model"] for part in found["ranked"]] == [
        part["model"] for part in wanted["ranked"]
    ]
    assert sorted(found["rules"]) == sorted(wanted["rules"])
    assert sorted(found["warnings"]) == sorted(wanted["warnings"])


def bundle_facts(policy: Json, order: Json) -> Iterable[tuple[str, Any]]:
    return ((name, policy["facts"][name]) for name in order)


@LAWS
@given(Stacks)
def test_a_lower_layer_never_adds_a_candidate(folder: Path, drawn: Drawn) -> None:
    (policy, catalogue, request), count, seed = drawn
    policy = harmless(policy)
    layers = split(policy, catalogue, count, Random(seed))  # noqa: S311 - a seed of Hypothesis
    layers[0]["facts"] = {**policy.get("facts", {})}
    before = {model["id"] for model in catalogue}
    eligible = before
    for number in range(count):
        bundle = composed(write(folder, layers[: number + 1]))
        known = {
            "budgets": [part for layer in layers[: number + 1] for part in layer.get("budgets", [])]
        }
        try:
            decision = decided(bundle, affordable(request, known))
        except CallError:
            reject()
            raise
        after = {part.model for part in decision.candidates}
        found: Any = decision.as_json()
        passing = {model["id"] for model in catalogue} - removed_at("guard", found["excluded"])
        assert after <= before
        assert passing <= eligible
        before, eligible = after, passing


@LAWS
@given(Stacks)
def test_an_empty_layer_changes_nothing_wherever_it_stands(folder: Path, drawn: Drawn) -> None:
    (policy, catalogue, request), count, seed = drawn
    chance = Random(seed)  # noqa: S311 - a seed of Hypothesis
    layers = split(policy, catalogue, count, chance)
    more = [*layers]
    more.insert(chance.randrange(1, count + 1), {})
    try:
        one: Any = decided(composed(write(folder, layers)), request).as_json()
        other: Any = decided(composed(write(folder, more)), request).as_json()
    except CallError:
        reject()
    for key in ("decision", "model", "ranked", "deny_stage", "rules", "warnings"):
        assert one[key] == other[key]


@LAWS
@given(Stacks)
def test_a_permit_that_widens_for_some_request_is_refused(folder: Path, drawn: Drawn) -> None:
    (policy, catalogue, request), count, seed = drawn
    policy = without(policy, "budgets", "objectives")
    layers = split(policy, catalogue, count, Random(seed))  # noqa: S311 - a seed of Hypothesis
    layers[0]["facts"] = {**policy.get("facts", {})}
    request = affordable(request, policy)
    try:
        asked = oracle.Case(policy, catalogue, request, datetime.date.min)
    except ValueError:
        reject()
    asked.at = datetime.date.min  # as if nothing had expired
    assume(not asked.unknown and asked.needs_permit())
    gates = [
        [rule for rule in layer.get("rules") or [] if is_permit(rule)]
        for number, layer in enumerate(layers)
        if not number or any(is_permit(rule) for rule in layer.get("rules") or [])
    ]
    allowed = [
        {
            model["id"]
            for model in catalogue
            for rule in permits
            if asked.when(rule) == YES and asked.covers(rule.get("models"), model) == YES
        }
        for permits in gates
    ]
    widens = any(lower - upper for place, lower in enumerate(allowed) for upper in allowed[:place])
    found = inspect(write(folder, layers))
    if widens:
        assert found.bundle is None
        assert "MR135" in {problem.code for problem in found.problems}


@LAWS
@given(cases(), st.data())
def test_a_permit_that_only_adds_conditions_is_accepted(
    folder: Path, case: Case, data: st.DataObject
) -> None:
    policy, catalogue, _ = case
    policy = without(policy, "budgets", "objectives")
    permits = [rule for rule in policy.get("rules") or [] if is_permit(rule)]
    assume(permits)
    upper = data.draw(st.sampled_from(permits))
    lower = {**upper, "id": "narrower", "when": {**upper.get("when", {})}}
    if "tokens" not in lower["when"]:
        lower["when"]["tokens"] = {"at_most": 1500}
    if upper["models"] != "all" and "retention_days" not in upper["models"]:
        lower["models"] = {**upper["models"], "retention_days": {"at_most": 7}}
    found = inspect(write(folder, [{**policy, "models": catalogue}, {"rules": [lower]}]))
    assert [part for part in found.problems if part.code < "MR2"] == []
    assert found.bundle is not None


@LAWS
@given(Stacks)
def test_layers_that_load_have_the_digests_of_their_own(folder: Path, drawn: Drawn) -> None:
    (policy, catalogue, _), count, seed = drawn
    policy = without(policy, "budgets", "objectives")
    rules = [rule for rule in policy.get("rules") or [] if not is_permit(rule)]
    layers = split(
        {**policy, "rules": rules},
        catalogue,
        count,
        Random(seed),  # noqa: S311 - as above
    )
    file = write(folder, layers)
    digests = [load(folder / f"layer-{number}.yaml").digest for number in range(count)]
    bundle = load(file)
    assert [layer.digest for layer in bundle.layers] == digests
    assert bundle.digest == digests[-1]
    assert len({*digests}) == count
    # Without layers the digest is what it always was: that of the documents alone.
    flat = load_text(to_yaml(policy, catalogue))
    assert [layer.digest for layer in flat.layers] == [flat.digest]
