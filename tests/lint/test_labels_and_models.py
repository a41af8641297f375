"""Labels that nobody serves, models that serve nobody, matchers that select nothing."""

from __future__ import annotations

import pytest

from tests.lint.snippets import DAY, PERMIT, codes, findings

FLOOR = "{id: f, effect: floor, set: {min_quality: 0.5}}"
HOME = "{id: home/one, weights: open, hosting: self_hosted, price: {input: 1, output: 1}"
VENDOR = "{id: vendor/one, weights: closed, hosting: vendor_api, price: {input: 1, output: 1}"


def models(*entries: str) -> str:
    return "".join(f"\n- {entry}" for entry in entries)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        # nothing permits what needs a permit
        (("-",), ["MR203 restricted"]),
        # the least labels alone: secrets is restricted anyway
        (("-", PERMIT.replace("level: restricted", "categories: phi")), ["MR203 restricted"]),
        ((
            "{id: a, effect: forbid, when: {categories: phi}, models: {hosting: self_hosted}}",
        ), ["MR203 restricted+phi"]),
        ((
            "{id: a, effect: forbid, when: {categories: [phi, secrets]}, models: {weights: open}}",
        ), ["MR203 restricted+phi", "MR203 restricted+secrets"]),
        # two requires that no model meets at once
        ((
            "{id: a, effect: require, when: {categories: legal}, models: {weights: closed}}",
            "{id: b, effect: require, when: {categories: financial}, models: {weights: open}}",
        ), ["MR203 confidential+financial+legal", "MR203 restricted+legal",
            "MR207 confidential+legal"]),
        # some fact lets one through
        ((
            ("{id: a, effect: forbid, when: {categories: phi, facts: {plan: free}}, "
            "models: {hosting: self_hosted}}"),
        ), []),
        # every value of the fact shuts it
        ((
            ("{id: a, effect: forbid, when: {categories: phi, facts: {plan: free}}, "
            "models: {hosting: self_hosted}}"),
            ("{id: b, effect: forbid, when: {categories: phi, facts: {plan: pro}}, "
            "models: {weights: open}}"),
        ), ["MR203 restricted+phi"]),
        # whoever forbids every model means it
        (("{id: a, effect: forbid, when: {categories: phi}, models: all}",), []),
        (("{id: a, effect: forbid, when: {categories: phi}}",), []),
        (("{id: a, effect: forbid, when: {categories: phi, facts: {plan: free}}}",), []),
        ((
            "{id: a, effect: forbid, when: {categories: phi, facts: {plan: free}}}",
            ("{id: b, effect: forbid, when: {categories: phi, facts: {plan: pro}}, "
            "models: {hosting: self_hosted}}"),
        ), ["MR203 restricted+phi"]),
        # what an advisory rule says is no denial
        (("{id: a, effect: forbid, strength: advisory, when: {categories: phi}}",), []),
    ],
)  # fmt: skip
def test_the_least_labels_without_a_model_are_found(
    rules: tuple[str, ...], found: list[str]
) -> None:
    assert codes(*rules) == found


def test_a_label_without_a_model_is_told_how_to_be_mended() -> None:
    found = findings("-")
    assert [part.hint for part in found] == [
        "permit a model for it, or forbid `restricted` with `models: all` if that is meant"
    ]


def test_capabilities_are_looked_at_one_by_one_and_only_where_some_model_serves() -> None:
    catalogue = models(
        f"{HOME}, capabilities: [tools], quality: 1}}",
        f"{HOME.replace('one', 'two')}, capabilities: [tools, vision], quality: 1}}",
        f"{HOME.replace('one', 'three')}, capabilities: [vision], quality: 1}}",
        f"{VENDOR}, capabilities: [tools, vision, audio], quality: 1}}",
    )
    assert codes(models=catalogue) == ["MR203 restricted+audio"]
    both = "{id: a, effect: forbid, when: {categories: phi}, models: {capabilities: tools}}"
    assert codes(both, models=catalogue) == [
        "MR203 restricted+audio",
        "MR203 restricted+phi+tools",
        "MR207 restricted+phi",
    ]
    # A label that nobody serves is not named again for each capability.
    assert codes("-", models=catalogue) == ["MR203 restricted"]
    # An embedding model's capabilities are of no use to a chat.
    embed = f"{HOME.replace('one', 'embed')}, role: embed, capabilities: [audio]}}"
    only = models(f"{HOME}, quality: 1}}", f"{HOME.replace('one', 'two')}, quality: 1}}", embed)
    assert codes(models=only) == []


def test_a_task_that_carries_a_category_serves_no_label_without_it() -> None:
    rules = (
        "{id: a, effect: forbid, when: {task: letter}, models: {hosting: self_hosted}}",
        "{id: b, effect: forbid, when: {categories: phi}, models: {hosting: vendor_api}}",
    )
    # No model serves anything: that is one finding, not one more for each model.
    assert codes(*rules, tasks="{letter: {carries: [phi]}}") == [
        "MR203 restricted+phi",
        "MR210 letter",
    ]
    other = "{letter: {carries: [phi]}, other: {}}"
    assert codes(*rules, tasks=other) == ["MR210 letter", "MR210 other"]


def test_what_a_task_carries_is_no_service_to_labels_without_it() -> None:
    # Letters are served, and they always carry phi: nobody serves a call without.
    rule = "{id: a, effect: require, when: {task: other}, models: {tags: none-has-it}}"
    found = codes(rule, FLOOR, tasks="{letter: {carries: [phi]}, other: {}}")
    assert found == ["MR203 public", "MR209 vendor/one"]
    assert codes(rule, FLOOR, tasks="{letter: {carries: []}, other: {}}") == ["MR205 a"]


def test_a_single_model_has_nowhere_to_fall_back_to_only_if_there_are_others() -> None:
    alone = models(f"{HOME}, quality: 1}}")
    assert codes(models=alone) == []
    two = models(f"{HOME}, quality: 1}}", f"{VENDOR}, quality: 1}}")
    assert codes(models=two) == ["MR207 restricted"]
    wide = "{id: a, effect: permit, when: {level: restricted}, models: all}"
    assert codes("-", wide, models=two) == []
    # One of two for each value of a fact still makes two for the label.
    rules = (
        (
            "{id: a, effect: forbid, when: {level: internal, facts: {plan: free}}, "
            "models: {id: home/one}}"
        ),
        (
            "{id: b, effect: forbid, when: {level: internal, facts: {plan: pro}}, "
            "models: {id: vendor/one}}"
        ),
    )
    assert codes("-", wide.replace("id: a", "id: c"), *rules, models=two) == []


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("{id: a, effect: forbid, models: {hosting: vendor_api}}", ["MR209 vendor/one"]),
        ("{id: a, effect: require, models: {hosting: self_hosted}}", ["MR209 vendor/one"]),
        # a rule for each value of a fact
        ("{id: a, effect: forbid, when: {facts: {plan: [free, pro]}}, models: {id: vendor/one}}",
         ["MR209 vendor/one"]),
        ("{id: a, effect: forbid, when: {facts: {plan: free}}, models: {id: vendor/one}}", []),
        # it may still serve what is public
        ("{id: a, effect: forbid, when: {level: {at_least: internal}}, models: {id: vendor/one}}",
         []),
    ],
)  # fmt: skip
def test_a_model_for_no_request_is_found(rule: str, found: list[str]) -> None:
    assert codes(rule) == found


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("{id: a, effect: forbid, models: {operator: nobody}}", ["MR205 a"]),
        ("{id: a, effect: floor, models: {operator: nobody}, set: {min_quality: 1}}", ["MR205 a"]),
        ("{id: a, effect: obligate, models: {tags: fast}, do: {trace: none}}", ["MR205 a"]),
        ("{id: a, effect: permit, when: {level: restricted}, models: {region: mars}}", ["MR205 a"]),
        ("{id: a, effect: forbid, models: {operator: [nobody, vendor]}}", ["MR209 vendor/one"]),
        # nobody states a licence: unknown binds in a forbid and permits nothing
        ("{id: a, effect: forbid, when: {categories: phi}, models: {licence: mit}}",
         ["MR203 restricted+phi"]),
        ("{id: a, effect: permit, when: {level: restricted}, models: {licence: mit}}", ["MR205 a"]),
    ],
)  # fmt: skip
def test_a_matcher_that_selects_no_model_is_found(rule: str, found: list[str]) -> None:
    assert codes(rule) == found


def test_a_budget_that_meters_no_model_is_found_once() -> None:
    budget = "[{id: b, period: day, limit_usd: 0, models: {operator: nobody}, on_exceed: degrade}]"
    assert codes(budgets=budget) == ["MR205 b"]


@pytest.mark.parametrize(
    ("models", "hint"),
    [
        ("{region: eu-wset}", "region `eu-wset`: did you mean `eu-west`?"),
        ("{operator: vendr}", "operator `vendr`: did you mean `vendor`?"),
        ("{operator: Vendor}", "operator `Vendor`: did you mean `vendor`?"),
        ("{hosting: vendor_api, region: [us-aest]}", "region `us-aest`: did you mean `us-east`?"),
        ("{set: typo}", "operator `vendro`: did you mean `vendor`?"),
        ("{region: us-west}", None),  # a region that exists, elsewhere
        ("{region: eu-west-2}", None),
        ("{operator: somebody}", None),
    ],
)
def test_a_name_that_is_almost_one_of_the_catalogue_is_pointed_out(
    models: str, hint: str | None
) -> None:
    rule = f"{{id: a, effect: forbid, when: {{level: internal}}, models: {models}}}"
    found = findings(rule, sets="{typo: {operator: vendro}}")
    assert [(part.code, part.hint) for part in found] == [("MR205", hint)]


def test_what_resembles_several_names_is_left_alone() -> None:
    catalogue = models(
        f"{HOME}, operator: vendor-a, quality: 1}}", f"{VENDOR}, operator: vendor-b, quality: 1}}"
    )
    rule = "{id: a, effect: forbid, models: {operator: vendor-c}}"
    assert [part.hint for part in findings(rule, models=catalogue) if part.code == "MR205"] == [
        None
    ]


@pytest.mark.parametrize(
    ("retires", "found"),
    [
        ("2026-11-01", ["MR603 vendor/one"]),
        ("2026-11-23", ["MR603 vendor/one"]),
        ("2026-12-23", ["MR603 vendor/one"]),
        ("2026-12-24", []),
    ],
)
def test_a_model_that_retires_is_announced_thirty_days_before(
    retires: str, found: list[str]
) -> None:
    catalogue = models(
        f"{HOME}, quality: 1}}",
        f"{HOME.replace('one', 'two')}, quality: 1}}",
        f'{VENDOR}, quality: 1, retires: "{retires}"}}',
    )
    assert codes(models=catalogue) == found
    message = [part.message for part in findings(models=catalogue)]
    verb = "retired" if retires <= DAY.isoformat() else "retires"
    assert message == ([f"model `vendor/one` {verb} on {retires}"] if found else [])


def test_facts_of_a_model_that_have_expired_are_unknown_to_the_linter_too() -> None:
    catalogue = models(
        f"{HOME}, quality: 1, expires: 2026-11-22}}", f"{HOME.replace('one', 'two')}, quality: 1}}"
    ).replace("2026-11-22", '"2026-11-22"')
    # Nobody knows any more that it is self-hosted, so the permit does not cover it.
    assert codes(models=catalogue) == ["MR207 restricted"]
    assert codes(models=catalogue, at="2026-11-22") == []


@pytest.mark.parametrize(
    ("labels", "defaults", "found"),
    [
        ("{categories: {pii: {at_least: confidential}}}", "{}", ["MR301 default_deny_from"]),
        ("{categories: {pii: {at_least: confidential}}}",
         "{default_deny_from: confidential}", []),
        ("{categories: {pii: {at_least: internal}, phi: {at_least: restricted}}}", "{}", []),
        ("{levels: [public, internal, confidential, restricted]}", "{}", []),
    ],
)  # fmt: skip
def test_the_default_deny_is_within_reach_of_some_category(
    labels: str, defaults: str, found: list[str]
) -> None:
    permit = PERMIT.replace("level: restricted", "level: {at_least: confidential}")
    sections = {"labels": labels} | ({"defaults": defaults} if defaults != "{}" else {})
    assert codes("-", permit, **sections) == found
