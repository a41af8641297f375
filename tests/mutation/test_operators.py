"""The table of changes, worked out by hand for one policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelrouter.loader import load, load_text
from modelrouter.mutation.operators import mutants_of
from modelrouter.policy.bundle import Bundle, digest_of

HEAD = """\
apiVersion: modelrouter/v1
kind: Policy
labels:
  levels: [low, middle, high]
  categories: {red: {at_least: low}, blue: {at_least: low}}
  unlabelled: UNLABELLED
tasks: [one, two, other]
facts:
  age: {type: int, source: host}
  kind: {type: enum, values: [a, b, c], source: host}
models:
  - {id: m/home, weights: open, hosting: self_hosted, quality: 0.5}
  - {id: m/away, weights: closed, hosting: vendor_api, quality: 0.9}
defaults: {default_deny_from: DENY}
"""
LOOSER, TIGHTER = "looser", "tighter"


def policy(more: str, *, unlabelled: str = "low", deny: str = "low") -> Bundle:
    return load_text(HEAD.replace("UNLABELLED", unlabelled).replace("DENY", deny) + more)


def changes(more: str, section: str, **options: str) -> list[tuple[str, str]]:
    """Return how a policy with one more clause is changed there, and which way."""
    return [
        (mutant.words, TIGHTER if mutant.tightens else LOOSER)
        for mutant in mutants_of(policy(more, **options))
        if mutant.section == section
    ]


def rule(text: str) -> list[tuple[str, str]]:
    return changes(f"rules:\n  - {{id: r, {text}}}\n", "rules")


def test_a_forbid_is_dropped_narrowed_and_widened() -> None:
    found = rule("effect: forbid, when: {level: {at_least: middle}}, models: {weights: closed}")
    assert found == [
        ("dropped", LOOSER),
        ("`when.level` dropped", TIGHTER),
        ("`when.level.at_least` high instead of middle", LOOSER),
        ("`models.weights` dropped", TIGHTER),
    ]


def test_for_a_require_fewer_models_are_tighter() -> None:
    models = "models: {hosting: [self_hosted, private_cloud], weights: open}"
    assert rule(f"effect: require, {models}") == [
        ("dropped", LOOSER),
        ("`models.hosting` dropped", LOOSER),
        ("`models.hosting` without `self_hosted`", TIGHTER),
        ("`models.hosting` without `private_cloud`", TIGHTER),
        ("`models.weights` dropped", LOOSER),
    ]


def test_for_a_permit_everything_is_the_other_way_round() -> None:
    found = rule("effect: permit, when: {level: high, task: [one, two]}, models: {weights: open}")
    assert found == [
        ("dropped", TIGHTER),
        ("`when.level` dropped", LOOSER),
        ("`when.level` `middle` as well", LOOSER),
        ("`when.task` dropped", LOOSER),
        ("`when.task` without `one`", TIGHTER),
        ("`when.task` without `two`", TIGHTER),
        ("`models.weights` dropped", LOOSER),
    ]


def test_below_not_less_is_more() -> None:
    models = "models: {not: {hosting: [self_hosted, private_cloud]}}"
    assert rule(f"effect: forbid, {models}") == [
        ("dropped", LOOSER),
        ("`models.not` dropped", TIGHTER),
        ("`models.not.hosting` without `self_hosted`", TIGHTER),
        ("`models.not.hosting` without `private_cloud`", TIGHTER),
    ]


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("categories: {any: [red, blue]}", [("any` without `red", 0), ("any` without `blue", 0)]),
        ("categories: {all: [red, blue]}", [("all` without `red", 1), ("all` without `blue", 1)]),
        (
            "categories: {none: [red, blue]}",
            [("none` without `red", 1), ("none` without `blue", 1)],
        ),
        ("categories: {any: [red], none: [blue]}", [("any` dropped", 1), ("none` dropped", 1)]),
    ],
)
def test_sets_lose_a_name(when: str, found: list[tuple[str, int]]) -> None:
    assert rule(f"effect: forbid, when: {{{when}}}, models: all")[2:] == [
        (
            f"`when.categories.{words}" + ("`" if not words.endswith("dropped") else ""),
            (LOOSER, TIGHTER)[tighter],
        )
        for words, tighter in found
    ]


def test_numbers_move_by_one_both_ways() -> None:
    when = "when: {tokens: {at_least: 10, below: 20}, facts: {age: {above: 17}}}"
    assert rule(f"effect: forbid, {when}, models: all") == [
        ("dropped", LOOSER),
        ("`when.tokens` dropped", TIGHTER),
        ("`when.tokens.at_least` dropped", TIGHTER),
        ("`when.tokens.below` dropped", TIGHTER),
        ("`when.tokens.at_least` 11 instead of 10", LOOSER),
        ("`when.tokens.at_least` 9 instead of 10", TIGHTER),
        ("`when.tokens.below` 19 instead of 20", LOOSER),
        ("`when.tokens.below` 21 instead of 20", TIGHTER),
        ("`when.facts.age` dropped", TIGHTER),
        ("`when.facts.age.above` 18 instead of 17", LOOSER),
        ("`when.facts.age.above` 16 instead of 17", TIGHTER),
    ]


def test_of_several_facts_each_is_dropped_alone() -> None:
    found = rule("effect: forbid, when: {facts: {age: 3, kind: [a, b]}}, models: all")
    assert found == [
        ("dropped", LOOSER),
        ("`when.facts.age` dropped", TIGHTER),
        ("`when.facts.kind` dropped", TIGHTER),
        ("`when.facts.kind` without `a`", LOOSER),
        ("`when.facts.kind` without `b`", LOOSER),
    ]


def test_levels_are_never_moved_to_always_or_never() -> None:
    # at_least low is always, above high is never: both are other changes already.
    assert rule("effect: forbid, when: {level: {at_least: high}}, models: all")[2:] == [
        ("`when.level.at_least` middle instead of high", TIGHTER)
    ]
    assert rule("effect: forbid, when: {level: {at_most: low}}, models: all")[2:] == [
        ("`when.level.at_most` middle instead of low", TIGHTER)
    ]
    assert rule("effect: forbid, when: {level: [low, high]}, models: all")[2:] == [
        ("`when.level` without `low`", LOOSER),
        ("`when.level` without `high`", LOOSER),
    ]


def test_a_floor_loses_each_bound() -> None:
    bounds = "{min_quality: 0.4, max_ttft_ms: 900, max_cost_usd: 1}"
    assert rule(f"effect: floor, set: {bounds}") == [
        ("dropped", LOOSER),
        ("`set.min_quality` 0 instead of 0.4", LOOSER),
        ("`set.max_ttft_ms` dropped", LOOSER),
        ("`set.max_cost_usd` dropped", LOOSER),
    ]


def test_a_floor_is_softened_where_a_budget_could_lower_it() -> None:
    more = (
        "rules:\n  - {id: h, effect: floor, set: {min_quality: 0.4}}\n"
        "  - {id: s, effect: floor, set: {min_quality: 0.3}, strength: soft}\n"
        "budgets:\n  - {id: b, period: day, limit_calls: 9, on_exceed: degrade, degrade_floor: 0.2,"
        " models: {weights: closed}}\n"
    )
    found = changes(more, "rules")
    assert ("`strength` soft", LOOSER) in found
    assert ("`strength` hard", TIGHTER) in found


def test_an_obligation_loses_a_step_a_category_a_role() -> None:
    do = "do: {trace: hash, cache: none, log: none, redact: [red, blue], approval: boss}"
    assert rule(f"effect: obligate, when: {{task: [one, two]}}, {do}") == [
        ("dropped", LOOSER),
        ("`when.task` without `one`", LOOSER),
        ("`when.task` without `two`", LOOSER),
        ("`do.trace` redacted instead of hash", LOOSER),
        ("`do.cache` exact instead of none", LOOSER),
        ("`do.redact` without `red`", LOOSER),
        ("`do.redact` without `blue`", LOOSER),
        ("`do.approval` without `boss`", LOOSER),
    ]
    # Without its only duty it might as well be dropped.
    assert rule("effect: obligate, do: {redact: red}") == [("dropped", LOOSER)]


def test_an_advisory_rule_is_not_changed() -> None:
    assert rule("effect: forbid, strength: advisory, models: all") == []


def test_a_budget_is_dropped_doubled_halved_and_made_to_warn() -> None:
    text = (
        "budgets:\n  - {id: b, period: day, limit_usd: 5, on_exceed: degrade, degrade_floor: 0.2,"
        " models: {weights: closed}, degrade_to: {hosting: self_hosted}}\n"
    )
    assert changes(text, "budgets") == [
        ("dropped", LOOSER),
        ("`models.weights` dropped", TIGHTER),
        ("`degrade_to.hosting` dropped", LOOSER),
        ("`limit_usd` 10 instead of 5", LOOSER),
        ("`limit_usd` 2.5 instead of 5", TIGHTER),
        ("`on_exceed` warn instead of degrade", LOOSER),
        ("`degrade_floor` 0 instead of 0.2", LOOSER),
        ("`degrade_floor` dropped", TIGHTER),
    ]
    text = "budgets:\n  - {id: b, period: day, limit_calls: 5, on_exceed: warn}\n"
    assert changes(text, "budgets") == [
        ("dropped", LOOSER),
        ("`limit_calls` 10 instead of 5", LOOSER),
        ("`limit_calls` 2 instead of 5", TIGHTER),
    ]


@pytest.mark.parametrize(
    ("deny", "found"),
    [
        ("low", [("from middle instead of low", LOOSER)]),
        (
            "middle",
            [("from high instead of middle", LOOSER), ("from low instead of middle", TIGHTER)],
        ),
        ("high", [("from middle instead of high", TIGHTER)]),
    ],
)
def test_the_default_deny_moves_by_a_level(deny: str, found: list[tuple[str, str]]) -> None:
    assert changes("", "defaults", deny=deny) == found


@pytest.mark.parametrize(
    ("unlabelled", "found"),
    [
        ("low", [("count as middle instead of low", TIGHTER)]),
        (
            "high",
            [
                ("count as middle instead of high", LOOSER),
                ("count as low instead of high", LOOSER),
                ("count as top instead of high", TIGHTER),
            ],
        ),
        (
            "top",
            [("count as high instead of top", LOOSER), ("count as low instead of top", LOOSER)],
        ),
    ],
)
def test_what_stands_in_for_a_label_moves(unlabelled: str, found: list[tuple[str, str]]) -> None:
    assert changes("", "labels", unlabelled=unlabelled) == found


def test_a_policy_without_labels_of_its_own_is_changed_too() -> None:
    text = (
        "apiVersion: modelrouter/v1\nkind: Policy\n"
        "models: [{id: m/home, weights: open, hosting: self_hosted, quality: 0.5}]\n"
    )
    words = [mutant.words for mutant in mutants_of(load_text(text))]
    assert words == [
        "from confidential instead of restricted",
        "count as restricted instead of top",
        "count as public instead of top",
    ]


def test_making_mutants_changes_nothing_and_is_repeatable() -> None:
    bundle = policy("rules:\n  - {id: r, effect: forbid, when: {task: one}, models: all}\n")
    first, second = ([str(part) for part in mutants_of(bundle)] for _ in range(2))
    assert first == second
    assert len(first) == len({*first})
    again = digest_of(bundle.policy, bundle.catalogs, bundle.tests, bundle.properties)
    assert again == bundle.digest


def test_of_a_policy_below_another_only_its_own_clauses_are_changed() -> None:
    layered = Path(__file__).parents[2] / "policies" / "layered"
    bundle = load(layered / "team")
    mutants = list(mutants_of(bundle))
    assert {Path(mutant.place.file or "").parent.name for mutant in mutants} == {"team"}
    assert {mutant.section for mutant in mutants} == {"rules", "budgets", "defaults"}
    # The team closes from confidential; that gate moves, the organisation's stays.
    moved = [mutant for mutant in mutants if mutant.section == "defaults"]
    assert [(mutant.words, mutant.tightens) for mutant in moved] == [
        ("from restricted instead of confidential", False),
        ("from internal instead of confidential", True),
    ]
    assert [layer.deny_from for layer in moved[0].bundle.layers] == ["restricted", "restricted"]
    # The organisation is the top: who is unlabelled is its matter.
    top = {mutant.section for mutant in mutants_of(load(layered / "organisation"))}
    assert top == {"rules", "budgets", "defaults", "labels"}
