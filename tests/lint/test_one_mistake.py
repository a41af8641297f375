"""One mistake gives one finding: the graver one, or the one that names the cause."""

from __future__ import annotations

import pytest

from modelrouter.lint.table import CHECKS
from tests.lint.snippets import PERMIT, codes, findings


@pytest.mark.parametrize(
    ("mistake", "sections", "found"),
    [
        # a misspelt permit leaves a label without a model
        ("permit", {"rules": ("-", PERMIT.replace("hosting: self_hosted", "region: eu-wset"))},
         ["MR203 restricted"]),
        # so does a misspelt require
        ("require", {"rules": (
            "{id: a, effect: require, when: {categories: pii}, models: {operator: acmee}}",
        )}, ["MR203 confidential+pii"]),
        # but not where another rule denies every model on purpose
        ("require, denied", {"rules": (
            "{id: a, effect: require, when: {categories: phi}, models: {operator: acmee}}",
            "{id: b, effect: forbid, when: {categories: phi}, models: all}",
        )}, ["MR201 a"]),
        # nothing is ever served: no word on each model
        ("all", {"rules": ("{id: a, effect: require, models: {operator: acmee}}",)},
         ["MR203 public"]),
        # the only models with a capability may not be used: the label says so
        ("capability", {
            "models": """
                - {id: home/one, weights: open, hosting: self_hosted, quality: 1}
                - {id: home/two, weights: open, hosting: self_hosted, quality: 1}
                - {id: vendor/one, weights: closed, hosting: vendor_api, quality: 1,
                   capabilities: [vision]}
            """,
            "rules": ("{id: a, effect: forbid, models: {hosting: vendor_api}}",),
        }, ["MR203 public+vision"]),
        # an impossible condition is not redundant, inert or without a reason besides
        ("impossible", {"rules": (
            ("{id: a, effect: permit, when: {level: internal, categories: phi}, "
            "models: {operator: nobody}}"),
        )}, ["MR202 a"]),
        # the default deny is too high: not one more finding for each permit below it
        ("default deny", {
            "labels": "{categories: {pii: {at_least: confidential}}}",
            "rules": (PERMIT, ("{id: b, effect: permit, when: {categories: pii, "
                      "level: confidential}, models: {weights: open}}")),
        }, ["MR301 default_deny_from"]),
        # a retired model is not also never eligible, or unpriced
        ("retired", {
            "models": """
                - {id: home/one, weights: open, hosting: self_hosted, quality: 1}
                - {id: home/two, weights: open, hosting: self_hosted, quality: 1}
                - {id: vendor/one, weights: closed, hosting: vendor_api, quality: 1,
                   retires: "2026-11-01"}
            """,
        }, ["MR603 vendor/one"]),
    ],
)  # fmt: skip
def test_one_mistake_gives_one_finding(
    mistake: str, sections: dict[str, object], found: list[str]
) -> None:
    rules = sections.get("rules", ())
    assert isinstance(rules, tuple)
    others = {name: str(value) for name, value in sections.items() if name != "rules"}
    if mistake == "default deny":
        rules = ("-", *rules)
    assert codes(*rules, **others) == found


def test_a_model_that_still_serves_for_a_while_is_looked_at_like_any_other() -> None:
    models = """
        - {id: home/one, weights: open, hosting: self_hosted, quality: 1}
        - {id: home/two, weights: open, hosting: self_hosted, quality: 1}
        - {id: vendor/one, weights: closed, hosting: vendor_api, quality: 1, retires: "RETIRES",
           price: {input: 1, output: 1, as_of: "2020-01-01"}}
    """
    rule = "{id: a, effect: forbid, models: {hosting: vendor_api}}"
    soon = models.replace("RETIRES", "2026-12-01")
    assert codes(models=soon) == ["MR602 vendor/one", "MR603 vendor/one"]
    assert codes(rule, models=soon) == ["MR209 vendor/one", "MR603 vendor/one"]
    gone = models.replace("RETIRES", "2026-11-01")
    assert codes(rule, models=gone) == ["MR603 vendor/one"]


def test_the_cause_is_named_where_the_consequence_is_found() -> None:
    rule = "{id: a, effect: require, when: {categories: pii}, models: {operator: acmee}}"
    found = findings(rule)
    assert [part.hint for part in found] == [
        "`a` selects no model: operator `acmee`: did you mean `acme`?"
    ]


def test_what_a_check_yields_to_is_a_check() -> None:
    known = {row.code for row in CHECKS}
    assert {code for row in CHECKS for code in row.yields_to} <= known
    assert len(known) == len(CHECKS)
    assert [row.code for row in CHECKS] == sorted(known)


def test_no_two_checks_yield_to_each_other() -> None:
    yields = {row.code: row.yields_to for row in CHECKS}
    for start, first in yields.items():
        reached: set[str] = set()
        waiting = [*first]
        while waiting:
            code = waiting.pop()
            assert code != start
            if code not in reached:
                reached.add(code)
                waiting += yields[code]
