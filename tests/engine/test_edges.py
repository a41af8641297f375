"""Edges of the decision that random cases meet too rarely, with answers worked out by hand."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Decision
from modelrouter.engine.compiled import compile_bundle
from modelrouter.labels import Label
from modelrouter.loader import load_text
from modelrouter.policy.vocabulary import STANDARD_LABELS
from modelrouter.values import PICO_PER_USD, Request

DAY = datetime.date(2026, 11, 23)
PUBLIC = Label(level="public")


def model(name: str, **facts: Any) -> dict[str, Any]:
    return {
        "id": name,
        "weights": "open",
        "hosting": "self_hosted",
        "price": {"input": 1, "output": 1},
        "quality": 0.8,
        **facts,
    }


def unpriced(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "price"}


def decided(
    *models: dict[str, Any],
    request: Request | None = None,
    spent: dict[str, int] | None = None,
    at: datetime.date = DAY,
    **sections: Any,
) -> Decision:
    document = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "tasks": ["chat", "other"],
        "models": list(models) or [model("a"), model("b", price={"input": 2, "output": 2})],
        **sections,
    }
    engine = compile_bundle(load_text(json.dumps(document)), at)
    asked = request or Request(declared=PUBLIC, max_output=100)
    return decide(asked, Snapshot(engine=engine, spent=spent or {}))


def chosen(decision: Decision) -> list[str]:
    return [part.model for part in decision.candidates]


@pytest.mark.parametrize(("spent", "best"), [(7_999, "a"), (8_000, "b")])
def test_an_objective_reads_a_budget_from_its_very_share_on(spent: int, best: str) -> None:
    decision = decided(
        model("a", price={"input": 2, "output": 2}, quality=0.9),
        model("b", quality=0.5),
        budgets=[{"id": "day", "period": "day", "limit_tokens": 10_000, "on_exceed": "warn"}],
        objectives=[
            {
                "id": "spent",
                "when": {"budget": {"day": {"spent_at_least": 0.8}}},
                "order": [{"minimise": "cost"}],
            },
            {"id": "best", "order": [{"maximise": "quality"}]},
        ],
        spent={"day": spent},
    )
    assert decision.model == best


@pytest.mark.parametrize(("day", "left"), [(22, ["a", "b"]), (23, ["b"]), (24, ["b"])])
def test_a_model_is_gone_from_the_day_it_retires(day: int, left: list[str]) -> None:
    at = datetime.date(2026, 11, day)
    assert chosen(decided(model("a", retires="2026-11-23"), model("b"), at=at)) == left


def test_retirement_is_certain_whatever_is_unknown() -> None:
    decision = decided(model("a", retires="2026-11-23"), request=Request(max_output=10))
    assert decision.deny_stage == "guard"


@pytest.mark.parametrize(("day", "stage"), [(23, None), (24, "guard")])
def test_a_permit_holds_on_its_last_day_and_not_after(day: int, stage: str | None) -> None:
    permit = {"id": "p", "effect": "permit", "models": "all", "expires": "2026-11-23"}
    decision = decided(
        rules=[permit],
        at=datetime.date(2026, 11, day),
        request=Request(declared=Label(level="restricted"), max_output=10),
    )
    assert decision.deny_stage == stage


def test_what_an_expired_entry_can_do_is_unknown_and_so_not_enough() -> None:
    able = {"capabilities": ["tools"]}
    request = Request(declared=PUBLIC, needs=frozenset({"tools"}), max_output=10)
    models = (model("a", expires="2026-11-22", **able), model("b", **able))
    assert chosen(decided(*models, request=request)) == ["b"]


def test_an_embedder_keeps_no_denial_from_being_the_guards() -> None:
    decision = decided(
        model("a"),
        model("e", role="embed"),
        rules=[{"id": "no", "effect": "forbid", "models": {"id": "a"}}],
    )
    assert (decision.deny_stage, decision.rules) == ("guard", ("no",))


def test_the_last_pico_dollar_of_a_budget_may_be_spent_and_no_more() -> None:
    budget = {"id": "day", "period": "day", "limit_usd": 1}
    exact = PICO_PER_USD - 1_100 * 1_000_000  # 1,000 input and 100 output tokens are left
    assert chosen(decided(model("a"), budgets=[budget], spent={"day": exact})) == ["a"]
    assert decided(model("a"), budgets=[budget], spent={"day": exact + 1}).deny_stage == "budget"


PRICE = "`price:`"
OUTPUT = "`max_tokens` in the call or `max_output:` in the catalogue"


@pytest.mark.parametrize(
    ("limit", "asked", "needed"),
    [
        ("limit_usd", None, {"no-limit": OUTPUT, "no-price": PRICE, "neither": None}),
        ("limit_usd", 100, {"no-price": PRICE, "neither": PRICE}),
        ("limit_tokens", None, {"no-limit": OUTPUT, "neither": OUTPUT}),
        ("limit_tokens", 100, {}),
    ],
)
def test_what_has_no_bound_is_told_what_it_lacks_and_nothing_else(
    limit: str, asked: int | None, needed: dict[str, str | None]
) -> None:
    decision = decided(
        model("bound", max_output=100),
        model("no-limit"),
        unpriced(model("no-price", max_output=100)),
        unpriced(model("neither")),
        budgets=[{"id": "day", "period": "day", limit: 9000}],
        request=Request(declared=PUBLIC, max_output=asked),
    )
    details = {part.model: [reason.detail for reason in part.reasons] for part in decision.excluded}
    both = f"{PRICE}, and {OUTPUT}"
    assert details == {
        name: [f"`day` cannot hold its worst case: it needs {lacking or both}"]
        for name, lacking in needed.items()
    }
    assert "bound" in chosen(decision)


def test_of_several_lowered_floors_the_highest_holds_and_is_said_once() -> None:
    degrading = {
        "period": "day",
        "limit_calls": 1,
        "on_exceed": "degrade",
        "models": {"id": "b"},
        "degrade_to": {"id": "a"},
    }
    floor = {"effect": "floor", "set": {"min_quality": 0.9}, "strength": "soft"}
    decision = decided(
        model("a", quality=0.65),
        model("b"),
        rules=[{"id": "one", **floor}, {"id": "two", **floor}],
        budgets=[
            {"id": "low", "degrade_floor": 0.5, **degrading},
            {"id": "high", "degrade_floor": 0.6, **degrading},
        ],
        spent={"low": 1, "high": 1},
    )
    assert chosen(decision) == ["a"]
    assert [text for text in decision.warnings if "floor" in text] == ["floor lowered 0.9->0.6"]


def test_a_hard_floor_is_lowered_by_nothing() -> None:
    decision = decided(
        model("a", quality=0.65),
        model("b"),
        rules=[{"id": "hard", "effect": "floor", "set": {"min_quality": 0.7}}],
        budgets=[
            {
                "id": "day",
                "period": "day",
                "limit_calls": 1,
                "on_exceed": "degrade",
                "models": {"id": "b"},
                "degrade_floor": 0.1,
            }
        ],
        spent={"day": 1},
    )
    assert decision.deny_stage == "floor"


def test_a_limit_holds_inside_degrade_to_as_well() -> None:
    decision = decided(
        model("a"),
        model("b", price={"input": 0, "output": 0}),
        budgets=[
            {"id": "day", "period": "day", "limit_usd": 1, "on_exceed": "degrade",
             "degrade_to": "all"}
        ],
        spent={"day": PICO_PER_USD},
    )  # fmt: skip
    assert chosen(decision) == ["b"]


def test_expired_evidence_is_not_replaced_by_general_evidence() -> None:
    quality = {"chat": {"score": 0.9, "lower": 0.9, "expires": "2026-11-22"}, "*": 0.9}
    request = Request(declared=PUBLIC, task="chat", max_output=10)
    assert decided(model("a", quality=quality), request=request).deny_stage == "floor"


def test_all_answers_asked_for_count_in_the_worst_case() -> None:
    request = Request(declared=PUBLIC, tokens=0, max_output=1_000_000, choices=3)
    (candidate,) = decided(model("a"), request=request).candidates
    assert str(candidate.worst_cost_usd) == "3.000000000000"


def test_closing_a_label_raises_it_to_what_it_may_carry() -> None:
    closed = STANDARD_LABELS.close(Label(level="public", unknown=frozenset({"phi"})))
    assert closed.level == "restricted"
    both = STANDARD_LABELS.join(
        Label(level="internal"), Label(level="public", categories=frozenset({"phi"}))
    )
    assert both.level == "restricted"
    assert sorted(both.categories) == ["phi", "pii"]
    assert STANDARD_LABELS.close(both) == both


def test_a_decision_on_unknown_things_alone_says_what_is_unknown() -> None:
    decision = decided(
        facts={"purpose": {"type": "enum", "values": ["care", "ads"], "source": "host"}},
        rules=[
            {
                "id": "no-ads",
                "effect": "forbid",
                "models": "all",
                "when": {"facts": {"purpose": "ads"}},
            }
        ],
    )
    assert decision.deny_stage == "unclassified"
    assert decision.unclassified == ("fact `purpose` is missing",)


FREE = model("free", price={"input": 0, "output": 0})


@pytest.mark.parametrize("spent_usd", [0, 99, 100, 101])
@pytest.mark.parametrize("on_exceed", ["deny", "degrade"])
def test_a_call_that_adds_nothing_exceeds_no_budget(on_exceed: str, spent_usd: int) -> None:
    """A reload with a lower limit, or a late settlement, leaves more spent than the limit."""
    month = {"id": "month", "period": "month", "limit_usd": 100, "on_exceed": on_exceed}
    spent = {"month": spent_usd * PICO_PER_USD}
    decision = decided(FREE, budgets=[month], spent=spent)
    assert chosen(decision) == ["free"]
    assert "month:degraded" not in decision.warnings
    # Whatever adds something is refused from the limit on.
    both = decided(FREE, model("paid"), budgets=[{**month, "on_exceed": "deny"}], spent=spent)
    assert chosen(both) == (["free", "paid"] if spent_usd < 100 else ["free"])


def test_a_budget_of_calls_counts_free_calls_too() -> None:
    day = {"id": "day", "period": "day", "limit_calls": 1}
    assert decided(FREE, budgets=[day], spent={"day": 2}).deny_stage == "budget"


def test_sets_that_rest_on_many_others_are_looked_at_once() -> None:
    """Each of sixty sets names the two before it: looked at anew each time, that is 10**12."""
    sets: dict[str, Any] = {"s0": {"tags": "x"}, "s1": {"tags": "x"}}
    for place in range(2, 60):
        # Who is in the one before, and not without the tag: whoever has it.
        sets[f"s{place}"] = {"set": [f"s{place - 1}"], "not": {"not": {"set": f"s{place - 2}"}}}
    rule = {"id": "r", "effect": "forbid", "models": {"set": "s59"}}
    claim = {"id": "c", "over": "any", "never_sent": {"set": "s59"}}
    found = decided(model("a", tags="x"), model("b"), sets=sets, rules=[rule], invariants=[claim])
    assert chosen(found) == ["b"]


def test_a_chain_of_sets_may_be_thousands_long() -> None:
    sets: dict[str, Any] = {"s0": {"tags": "x"}}
    sets |= {f"s{place}": {"set": f"s{place - 1}"} for place in range(1, 3000)}
    rule = {"id": "r", "effect": "forbid", "models": {"set": "s2999"}}
    claim = {"id": "c", "over": "any", "never_sent": {"not": {"not": {"set": "s2999"}}}}
    found = decided(model("a", tags="x"), model("b"), sets=sets, rules=[rule], invariants=[claim])
    assert chosen(found) == ["b"]
