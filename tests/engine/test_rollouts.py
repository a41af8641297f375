"""Rollouts: the order of some calls changes, and nothing else of any call."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import unicodedata
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from modelrouter.asking import day_of, request_from, snapshot_from
from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Decision
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.request_matching import MISSING, Subject
from modelrouter.engine.rolling import reordered
from modelrouter.errors import CallError
from modelrouter.labels import Label
from modelrouter.loader import load_text
from modelrouter.policy.suite import AskedRequest
from modelrouter.rollouts import bar_of, number_of, prefix_of
from modelrouter.values import FactValue, Request
from tests.strategies import Case, cases, to_yaml

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
DAY = datetime.date(2026, 11, 23)
PREFIX = prefix_of("canary", "home/new")
FACTS: Json = {
    "tenant": {"type": "string", "source": "auth"},
    "desk": {"type": "string", "source": "host"},
    "seats": {"type": "int", "source": "host"},
    "vip": {"type": "bool", "source": "host"},
}


def model(name: str, price: int, **facts: Any) -> Json:
    return {
        "id": name,
        "weights": "open",
        "hosting": "self_hosted",
        "price": {"input": price, "output": price},
        "quality": 0.8,
        **facts,
    }


MODELS = [model("home/old", 1), model("home/new", 2), model("home/third", 3)]


def objective(share: object, name: str = "canary", **rollout: Any) -> Json:
    return {
        "id": name,
        "order": [{"minimise": "cost"}],
        "rollout": {"model": "home/new", "share": share, "key": ["tenant"], **rollout},
    }


def engine_of(*objectives: Json, at: datetime.date = DAY, **sections: Any) -> Engine:
    document = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": "tested"},
        "facts": FACTS,
        "models": MODELS,
        "objectives": [*objectives],
        **sections,
    }
    return compile_bundle(load_text(json.dumps(document)), at)


def decided(engine: Engine, down: frozenset[str] = frozenset(), /, **facts: FactValue) -> Decision:
    request = Request(declared=Label(level="public"), max_output=100, facts=facts)
    return decide(request, Snapshot(engine=engine, down=down))


def order(decision: Decision) -> list[str]:
    return [part.model for part in decision.candidates]


def is_inside(engine: Engine, **facts: FactValue) -> bool:
    side = decided(engine, **facts).rollout
    assert side is not None
    return side.inside


# ---------------------------------------------------------------- the order


def test_inside_the_share_the_model_comes_first_and_outside_last() -> None:
    everybody, nobody = engine_of(objective(1)), engine_of(objective(0))
    assert order(decided(everybody, tenant="x")) == ["home/new", "home/old", "home/third"]
    assert order(decided(nobody, tenant="x")) == ["home/old", "home/third", "home/new"]


def test_a_model_that_is_best_anyhow_goes_last_outside_the_share() -> None:
    engine = engine_of(objective(0, model="home/old"))
    assert order(decided(engine, tenant="x")) == ["home/new", "home/third", "home/old"]


def test_a_model_alone_is_chosen_outside_the_share_too() -> None:
    engine = engine_of(objective(0))
    decision = decided(engine, frozenset({"home/old", "home/third"}), tenant="x")
    assert order(decision) == ["home/new"]
    assert not is_inside(engine, tenant="x")


def test_where_the_model_is_no_candidate_nothing_changes_and_nothing_is_said() -> None:
    forbid = {"id": "f", "effect": "forbid", "models": {"id": "home/new"}}
    for engine, down in (
        (engine_of(objective(1), rules=[forbid]), frozenset[str]()),
        (engine_of(objective(1)), frozenset({"home/new"})),
    ):
        decision = decided(engine, down, tenant="x")
        assert order(decision) == ["home/old", "home/third"]
        assert decision.rollout is None
        assert "rollout" not in decision.as_json()
    everything = {"id": "f", "effect": "forbid", "models": "all"}
    denied = decided(engine_of(objective(1), rules=[everything]), tenant="x")
    assert (denied.outcome, denied.rollout) == ("deny", None)


def test_only_the_objective_that_governs_rolls_out() -> None:
    first = {"id": "vip", "when": {"facts": {"vip": True}}, "order": [{"minimise": "cost"}]}
    engine = engine_of(first, objective(1))
    assert decided(engine, tenant="x", vip=True).rollout is None
    assert decided(engine, tenant="x", vip=False).rollout is not None


def test_the_decision_says_which_side_and_never_the_key() -> None:
    decision = decided(engine_of(objective(1)), tenant="key-of-a-tenant")
    said = {"objective": "canary", "model": "home/new", "inside": True}
    assert decision.as_json()["rollout"] == said
    text = decision.explain()
    assert "rollout `canary`: the call is inside the share, `home/new` comes first" in text
    assert "key-of-a-tenant" not in text + json.dumps(decision.as_json())
    outside = decided(engine_of(objective(0)), tenant="x").explain()
    assert "rollout `canary`: the call is outside the share, `home/new` comes last" in outside


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases())
def test_a_rollout_adds_and_removes_no_candidate(case: Case) -> None:
    policy, catalogue, asked = case
    without: Json = dict(policy)
    parts = [{**part} for part in policy.get("objectives") or ()]
    for part in parts:
        part.pop("rollout", None)
    if parts:
        without["objectives"] = parts
    try:
        with_it, plain = (answer(part, catalogue, asked) for part in (policy, without))
    except CallError:
        return
    assert sorted(order(with_it)) == sorted(order(plain))
    assert {part.model: part.obligations for part in with_it.candidates} == {
        part.model: part.obligations for part in plain.candidates
    }
    assert with_it.removals == plain.removals
    moved = with_it.rollout.model if with_it.rollout else None
    assert [name for name in order(with_it) if name != moved] == [
        name for name in order(plain) if name != moved
    ]


def answer(policy: Json, catalogue: list[Json], asked: Json) -> Decision:
    request = AskedRequest.model_validate(asked)
    engine = compile_bundle(load_text(to_yaml(policy, catalogue)), day_of(request.given, DAY))
    return decide(request_from(request, engine), snapshot_from(request.given, engine))


# ---------------------------------------------------------------- the hash


@pytest.mark.parametrize(
    ("values", "digest"),
    [
        # printf 's…canarys…home/news…north' | sha256sum, with eight bytes of length for each …
        (("north",), "9bac2a3eb46a12c55037489708a5f9f296a94cd1f5caf2702f82f7e78f4b6a08"),
        ((True,), "4363b0c52547328006da6892590afcaeb41ec13e28ef15ec6663eab6a7595039"),
        ((1,), "044a53ab13465fe9f193e53161e7dd389dd7dccd7baa63ec418367a7584772a2"),
        (("1",), "bcf1cd02a2489ca54f98912939bf264b1a651d6e8d88eae803b500df32b8cc26"),
        ((-128,), "5578d38a877ef0d8d2eeabbccd6c96d6273d8f56eb03087c5edd0f47853ce0e0"),
        (("a", "é", False), "18c6b23a4d766d0fc64215a65dde628d0e067acf335a44849ec67fd5e68eb052"),
    ],
)
def test_the_number_of_a_key_is_what_another_program_computes(
    values: tuple[FactValue, ...], digest: str
) -> None:
    assert number_of(PREFIX, values) == int(digest, 16)


def test_keys_that_differ_in_type_or_in_their_parts_have_numbers_of_their_own() -> None:
    keys: list[tuple[FactValue, ...]] = [
        (True,), (1,), ("1",), ("True",), ("true",), (False,), (0,), ("",), (-1,), (16,), ("10",),
        ("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("c", "ab"),
        (unicodedata.normalize("NFC", "é"),), (unicodedata.normalize("NFD", "é"),),
        ("\ud83d\ude00",), ("\U0001f600",), ("\ud83d",), ("s\0\0\0\0\0\0\0\1a",), ("a\0",), ("a",),
    ]  # fmt: skip
    assert len({number_of(PREFIX, key) for key in keys}) == len(keys)
    prefixes = [prefix_of("a", "bc"), prefix_of("ab", "c"), prefix_of("bc", "a")]
    assert len({number_of(part, ("x",)) for part in prefixes}) == 3


def test_any_value_a_fact_can_have_has_a_side() -> None:
    engine = engine_of(objective(1, key=["tenant", "seats"]))
    for tenant in ("", "\ud800", "\0", "x" * 100_000):
        assert is_inside(engine, tenant=tenant, seats=-(10**5000))


def test_a_share_is_compared_exactly() -> None:
    # 2**256 ends in 6, so the tenth of it is rounded up by 4 tenths.
    assert bar_of(Decimal("0.1")) * 10 == 2**256 + 4
    assert (bar_of(Decimal(0)), bar_of(Decimal(1))) == (0, 2**256)
    assert bar_of(Decimal("1e-6")) * 10**6 - 2**256 in range(10**6)
    engine = engine_of(objective(0.1))
    assert engine.rollouts["canary"].bar == bar_of(Decimal("0.1"))
    assert engine.rollouts["canary"].bar != int(Fraction(0.1) * 2**256)


def test_a_number_at_the_bar_is_outside_and_one_below_is_inside() -> None:
    clause = engine_of(objective(0.5)).rollouts["canary"]
    number = number_of(PREFIX, ("north",))
    north = Subject(
        level=0, known=0, unknown=0, task="other", needs=frozenset(), tokens=1,
        facts=("north", MISSING, MISSING, MISSING), spent={},
    )  # fmt: skip
    for bar, first in ((number, 0), (number + 1, 1)):
        assert reordered([0, 1, 2], replace(clause, bar=bar), north)[0][0] == first


def test_the_side_is_the_same_in_every_process() -> None:
    code = (
        "from modelrouter.rollouts import number_of, prefix_of;"
        "print(number_of(prefix_of('canary', 'home/new'), ('north', 7, True)))"
    )
    expected = f"{number_of(PREFIX, ('north', 7, True))}\n"
    for seed in ("0", "1", "4294967295"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == expected


# ---------------------------------------------------------------- the share

KEYS = [f"tenant-{number:05}" for number in range(10_000)]
NUMBERS = [number_of(PREFIX, (key,)) for key in KEYS]


def test_a_tenth_of_ten_thousand_keys_is_inside_a_share_of_a_tenth() -> None:
    # Binomial: the deviation is sqrt(10,000 x 0.1 x 0.9) = 30; four of them are 120.
    bar = bar_of(Decimal("0.1"))
    assert abs(sum(number < bar for number in NUMBERS) - 1000) <= 120


def test_similar_keys_have_unrelated_numbers() -> None:
    # Of 256 bits 128 +- 8 differ; seven deviations are 56. Neighbours share a side by chance.
    pairs = list(pairwise(NUMBERS))
    assert all(72 <= (one ^ two).bit_count() <= 184 for one, two in pairs)
    bar = bar_of(Decimal("0.5"))
    same = sum((one < bar) == (two < bar) for one, two in pairs)
    assert abs(same - 5000) <= 200  # sqrt(10,000 x 0.5 x 0.5) = 50


def test_every_tenth_of_the_range_holds_a_tenth_of_the_keys() -> None:
    counts = [0] * 10
    for number in NUMBERS:
        counts[number * 10 >> 256] += 1
    assert all(abs(count - 1000) <= 120 for count in counts)


def test_raising_the_share_only_adds_keys() -> None:
    engines = [engine_of(objective(share)) for share in (0, 0.01, 0.1, 0.5, 0.99, 1)]
    keys = KEYS[:300]
    inside = [{key for key in keys if is_inside(engine, tenant=key)} for engine in engines]
    assert all(one <= two for one, two in pairwise(inside))
    assert inside[0] == set()
    assert inside[-1] == set(keys)
    assert 0 < len(inside[2]) < len(inside[3]) < len(keys)


@pytest.mark.parametrize(("name", "target"), [("second", "home/new"), ("canary", "home/third")])
def test_two_rollouts_are_independent(name: str, target: str) -> None:
    # A quarter of the keys is inside both halves: 2,500 +- 4 x sqrt(10,000 x 1/4 x 3/4) = 173.
    bar, prefix = bar_of(Decimal("0.5")), prefix_of(name, target)
    both = sum(
        one < bar and number_of(prefix, (key,)) < bar
        for one, key in zip(NUMBERS, KEYS, strict=True)
    )
    assert abs(both - 2500) <= 173


def test_a_key_that_is_not_wholly_known_is_outside_even_of_everybody() -> None:
    engine = engine_of(objective(1, key=["tenant", "seats"]))
    assert is_inside(engine, tenant="x", seats=1)
    assert not is_inside(engine, tenant="x")
    assert not is_inside(engine, seats=1)
    assert not is_inside(engine)


def test_what_stands_in_for_a_missing_fact_decides_the_side() -> None:
    facts = {**FACTS, "tenant": {"type": "string", "source": "auth", "default": "north"}}
    strict = {**FACTS, "tenant": {"type": "string", "source": "auth", "when_missing": "strictest"}}
    halves = engine_of(objective(0.5), facts=facts)
    assert is_inside(halves) is is_inside(halves, tenant="north")
    assert is_inside(engine_of(objective(1), facts=facts))
    assert not is_inside(engine_of(objective(1), facts=strict))


def test_facts_outside_the_key_do_not_move_a_call() -> None:
    engine = engine_of(objective(0.5))
    for key in KEYS[:50]:
        sides = {is_inside(engine, tenant=key, desk=desk) for desk in ("a", "b", "c")}
        assert len(sides) == 1


def test_one_name_may_stand_for_a_list_and_the_order_of_names_is_part_of_the_key() -> None:
    alone = engine_of(objective(0.5, key="tenant"))
    listed = engine_of(objective(0.5, key=["tenant"]))
    assert alone.bundle.digest == listed.bundle.digest
    both = engine_of(objective(0.5, key=["tenant", "desk"]))
    turned = engine_of(objective(0.5, key=["desk", "tenant"]))
    sides = [
        (is_inside(both, tenant=key, desk="d"), is_inside(turned, tenant=key, desk="d"))
        for key in KEYS[:100]
    ]
    assert any(one != two for one, two in sides)
    assert is_inside(both, tenant="p", desk="q") == is_inside(turned, tenant="q", desk="p")


# ---------------------------------------------------------------- retirement


@pytest.mark.parametrize(
    ("at", "warned"),
    [
        ("2026-11-23", False),  # 31 days
        ("2026-11-24", True),  # 30
        ("2026-12-23", True),  # its last day
    ],
)
def test_the_chosen_model_warns_in_its_last_thirty_days(at: str, *, warned: bool) -> None:
    engine = engine_of(
        models=[model("home/old", 1, retires="2026-12-24"), model("home/new", 2)],
        at=datetime.date.fromisoformat(at),
    )
    decision = decided(engine)
    assert decision.model == "home/old"
    assert decision.warnings == (("home/old:retires 2026-12-24",) if warned else ())
    assert ("warning: home/old:retires 2026-12-24" in decision.explain()) is warned


def test_from_the_day_it_retires_a_model_is_excluded_and_no_longer_warned_of() -> None:
    models = [model("home/old", 1, retires="2026-12-24"), model("home/new", 2)]
    decision = decided(engine_of(models=models, at=datetime.date(2026, 12, 24)))
    assert (order(decision), decision.warnings) == (["home/new"], ())
    assert decision.excluded[0].reasons[0].detail == "retired on 2026-12-24"


def test_a_fallback_that_retires_is_no_warning() -> None:
    models = [model("home/old", 1), model("home/new", 2, retires="2026-12-01")]
    assert decided(engine_of(models=models)).warnings == ()
    rolled = decided(engine_of(objective(1), models=models), tenant="x")
    assert rolled.warnings == ("home/new:retires 2026-12-01",)
    assert decided(engine_of(objective(0), models=models), tenant="x").warnings == ()


def test_the_last_days_of_the_calendar_are_days_too() -> None:
    models = [model("home/old", 1, retires="9999-12-31")]
    assert decided(engine_of(models=models)).warnings == ()
    last = decided(engine_of(models=models, at=datetime.date(9999, 12, 30)))
    assert last.warnings == ("home/old:retires 9999-12-31",)


def test_a_denial_warns_of_no_retirement() -> None:
    models = [model("home/old", 1, retires="2026-12-01", max_output=50)]
    decision = decided(engine_of(models=models))
    assert (decision.outcome, decision.warnings) == ("deny", ())
