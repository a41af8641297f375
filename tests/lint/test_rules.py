"""Rules that change nothing, that can never match, and that rest on the wrong facts."""

from __future__ import annotations

import pytest

from tests.lint.snippets import codes, findings

PII = "{id: pii, effect: forbid, when: {categories: pii}, models: {hosting: vendor_api}}"
CLOSED = "{id: closed, effect: forbid, when: {categories: phi}, models: {weights: closed}}"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        # phi brings pii along
        ((PII, PII.replace("pii", "phi")), ["MR201 phi"]),
        ((PII.replace("pii", "phi"), PII), ["MR201 phi"]),
        # of twins the first stays, so that all that is found can be removed together
        ((PII.replace("id: pii", "id: twin"), PII), ["MR201 pii"]),
        # a call with phi is at least restricted
        (
            (PII.replace("categories: pii", "level: {at_least: confidential}"),
             CLOSED.replace("weights: closed", "hosting: vendor_api")),
            ["MR201 closed"],
        ),
        # two halves cover a whole, also for a call whose fact is unknown
        (
            (PII.replace("id: pii", "id: free").replace("pii}", "pii, facts: {plan: free}}"),
             PII.replace("id: pii", "id: pro").replace("pii}", "pii, facts: {plan: pro}}"),
             PII),
            ["MR201 pii"],
        ),
        # a require takes away what a forbid does
        (
            ("{id: here, effect: require, models: {region: eu-west}}",
             "{id: away, effect: forbid, models: {region: us-east}}"),
            ["MR201 away", "MR209 vendor/one"],
        ),
        # what others cover today only: another closed model might run in the house
        ((PII, CLOSED), ["MR211 closed"]),
        # not covered by anything
        ((PII.replace("pii", "phi"), PII.replace("vendor_api", "private_cloud")), ["MR205 pii"]),
        ((PII,), []),
    ],
)  # fmt: skip
def test_a_rule_changes_nothing_if_others_cover_it_for_any_model(
    rules: tuple[str, ...], found: list[str]
) -> None:
    assert codes(*rules) == found


@pytest.mark.parametrize(
    ("wide", "narrow", "found"),
    [
        ("", "", ["MR201 narrow"]),
        ("", ", expires: 2026-12-01", ["MR201 narrow"]),
        (", expires: 2026-12-02", ", expires: 2026-12-01", ["MR201 narrow"]),
        (", expires: 2026-12-01", ", expires: 2026-12-01", ["MR201 narrow"]),
        # From the second on, only the narrow one permits.
        (", expires: 2026-12-01", ", expires: 2026-12-02", []),
        (", expires: 2026-12-01", "", []),
    ],
)
def test_a_permit_that_lapses_covers_none_that_lasts_longer(
    wide: str, narrow: str, found: list[str]
) -> None:
    permit = "effect: permit, models: {hosting: self_hosted}, when: {level: restricted"
    rules = (
        f"{{id: wide, {permit}}}{wide}}}",
        f"{{id: narrow, {permit}, categories: phi}}{narrow}}}",
    )
    assert codes("-", *rules) == found


def test_a_shadowed_rule_changes_no_candidate_though_a_denial_may_be_called_otherwise() -> None:
    """Both forbid the same; the one that speaks of `phi` is unsure of a call without a label."""
    sure = "{id: sure, effect: forbid, when: {level: restricted}, models: all}"
    also = "{id: also, effect: forbid, when: {level: restricted, categories: phi}, models: all}"
    (found,) = [part for part in findings("-", sure, also) if part.code == "MR201"]
    assert found.about == "also"
    assert "removing it changes no candidate and no obligation" in found.message


def test_an_absent_attribute_is_part_of_any_model() -> None:
    # Who requires a region refuses a model without one; who forbids the others takes it as well.
    require = "{id: here, effect: require, when: {categories: pii}, models: {region: eu-west}}"
    forbid = "{id: away, effect: forbid, when: {categories: pii}, models: {not: {region: eu-west}}}"
    assert codes(require, forbid) == ["MR201 away"]
    listed = "{id: away, effect: forbid, when: {categories: pii}, models: {region: us-east}}"
    assert codes(listed, require) == ["MR201 away"]


def test_the_hint_names_whoever_takes_something_away_until_nothing_is_left() -> None:
    found = findings(
        "{id: b, effect: forbid, when: {categories: secrets}, models: {hosting: vendor_api}}",
        "{id: a, effect: forbid, when: {categories: phi}, models: {hosting: vendor_api}}",
        "{id: c, effect: forbid, when: {categories: pci}, models: {hosting: vendor_api}}",
        "{id: all, effect: forbid, when: {categories: {any: [phi, secrets]}}, "
        "models: {hosting: vendor_api}}",
    )
    assert [(part.about, part.hint) for part in found] == [("all", "already covered by a, b")]
    assert found[0].message == (
        "rule `all` changes nothing: removing it changes no candidate and no obligation "
        "for any model"
    )


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("set: {min_quality: 0.7}", "set: {min_quality: 0.6}", ["MR201 other"]),
        ("set: {min_quality: 0.7}", "set: {min_quality: 0.7}", ["MR201 other"]),
        ("set: {min_quality: 0.6}", "set: {min_quality: 0.7}", ["MR201 one"]),
        # soft does not cover hard, hard covers soft
        ("set: {min_quality: 0.7}, strength: soft", "set: {min_quality: 0.6}", []),
        ("set: {min_quality: 0.7}", "set: {min_quality: 0.6}, strength: soft", ["MR201 other"]),
        (
            "set: {min_quality: 0.7}, strength: soft",
            "set: {min_quality: 0.6}, strength: soft",
            ["MR201 other"],
        ),
        # every bound must be covered; latency and cost cannot be soft
        ("set: {min_quality: 0.7}", "set: {min_quality: 0.6, max_ttft_ms: 900}", []),
        (
            "set: {min_quality: 0.7, max_ttft_ms: 900}, strength: soft",
            "set: {max_ttft_ms: 1000}",
            ["MR201 other"],
        ),
        ("set: {max_cost_usd: 1}", "set: {max_cost_usd: 2}", ["MR201 other"]),
        ("set: {max_cost_usd: 2}", "set: {max_cost_usd: 1}", ["MR201 one"]),
    ],
)
def test_a_floor_is_covered_by_one_at_least_as_strict(
    one: str, other: str, found: list[str]
) -> None:
    assert (
        codes(f"{{id: one, effect: floor, {one}}}", f"{{id: other, effect: floor, {other}}}")
        == found
    )


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("{trace: none}", "{trace: hash}", ["MR201 other"]),
        ("{trace: redacted}", "{trace: hash}", ["MR201 one"]),
        ("{log: decision+hash}", "{log: decision}", ["MR201 other"]),
        ("{cache: none}", "{cache: exact}", ["MR201 other"]),
        ("{redact: [pii, phi]}", "{redact: [pii]}", ["MR201 other"]),
        ("{redact: [pii]}", "{redact: [pii, phi]}", ["MR201 one"]),
        ("{approval: [hr]}", "{approval: [clinician]}", []),
        ("{trace: none}", "{trace: none, cache: none}", ["MR201 one"]),
        ("{trace: none}", "{cache: none}", []),
    ],
)
def test_an_obligation_is_covered_by_one_at_least_as_strict(
    one: str, other: str, found: list[str]
) -> None:
    assert (
        codes(f"{{id: one, effect: obligate, do: {one}}}",
              f"{{id: other, effect: obligate, do: {other}}}")
        == found
    )  # fmt: skip


def test_two_obligations_together_cover_a_third() -> None:
    assert codes(
        "{id: a, effect: obligate, do: {redact: [pii]}}",
        "{id: b, effect: obligate, do: {redact: [phi]}}",
        "{id: both, effect: obligate, when: {categories: pii}, do: {redact: [pii, phi]}}",
    ) == ["MR201 both"]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("{id: a, effect: permit, when: {level: restricted}, models: {region: eu-west}}",
         ["MR211 a", "MR211 inside"]),
        ("{id: a, effect: permit, when: {categories: phi}, models: {hosting: self_hosted}}",
         ["MR201 a"]),
        (("{id: a, effect: permit, when: {level: {at_least: internal}}, "
         "models: {hosting: self_hosted, region: eu-west}}"), ["MR201 a"]),
        ("{id: a, effect: permit, when: {level: restricted}, models: {weights: closed}}", []),
        # inert, and nothing else
        ("{id: a, effect: permit, when: {level: internal}, models: all}", ["MR212 a"]),
        (("{id: a, effect: permit, when: {level: {at_most: confidential}}, "
         "models: {hosting: self_hosted}}"), ["MR212 a"]),
        ("{id: a, effect: permit, when: {categories: pii}, models: {weights: closed}}", []),
    ],
)  # fmt: skip
def test_a_permit_counts_where_a_permit_is_needed(rule: str, found: list[str]) -> None:
    assert codes(rule) == found


def test_the_absence_of_a_permit_covers_nothing() -> None:
    rule = "{id: a, effect: forbid, when: {level: restricted}, models: {hosting: vendor_api}}"
    assert codes(rule) == []


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ("{level: {at_most: internal}, categories: phi}",
         "category `phi` is always at least `restricted`"),
        ("{level: public, categories: {all: [pii]}}",
         "category `pii` is always at least `confidential`"),
        ("{categories: {all: [phi], none: [pii]}}", "category `phi` always brings `pii`"),
        ("{level: internal, categories: {any: [pii, phi]}}",
         "these categories are always at least `confidential`"),
        ("{task: letter, categories: {none: [phi]}}", "task `letter` always carries `phi`"),
        ("{task: letter, level: internal}", "task `letter` always carries `phi`"),
    ],
)  # fmt: skip
def test_a_condition_on_an_impossible_label_can_never_match(when: str, hint: str) -> None:
    rule = f"{{id: a, effect: forbid, when: {when}, models: {{hosting: vendor_api}}}}"
    found = findings(rule, tasks="{letter: {carries: [phi]}, other: {}}")
    assert [(part.code, part.about, part.hint) for part in found if part.code != "MR210"] == [
        ("MR202", "a", hint)
    ]


@pytest.mark.parametrize(
    ("task", "hint"),
    [
        ("", "its level and its categories exclude each other"),
        (", task: chat", "its task, level and categories exclude each other"),
    ],
)
def test_a_contradiction_of_several_parts_is_said_to_be_one(task: str, hint: str) -> None:
    labels = """
        categories:
          card: {at_least: restricted}
          draft: {at_least: internal, includes: note}
          note: {at_least: internal}
    """
    when = f"{{level: internal, categories: {{any: [card, draft], none: note}}{task}}}"
    rule = f"{{id: a, effect: forbid, when: {when}, models: {{weights: closed}}}}"
    found = findings(rule, labels=labels, tasks="[chat]")
    assert [(part.code, part.hint) for part in found if part.code != "MR210"] == [("MR202", hint)]


def test_conditions_of_every_section_are_looked_at() -> None:
    when = "when: {level: public, categories: phi}"
    found = codes(
        budgets=f"[{{id: b, {when}, period: day, limit_usd: 5}}]",
        objectives=f"[{{id: o, {when}, order: [{{minimise: cost}}]}}]",
        runtime=f"[{{id: r, {when}}}]",
    )
    assert found == ["MR202 b", "MR202 o", "MR202 r"]


def test_what_the_loader_finds_impossible_is_found_once() -> None:
    rule = (
        "{id: a, effect: forbid, when: {tokens: {above: 9, below: 5}}, models: {weights: closed}}"
    )
    assert codes(rule) == ["MR202 a"]
    models = "{id: a, effect: forbid, models: {retention_days: {above: 9, below: 5}}}"
    assert codes(models) == ["MR202 a"]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("{id: a, effect: permit, when: {level: restricted, facts: {urgent: true}}, models: all}",
         ["MR302 a"]),
        ("{id: a, effect: forbid, when: {facts: {urgent: false}}, models: {weights: closed}}",
         ["MR302 a"]),
        ("{id: a, effect: require, when: {facts: {urgent: false}}, models: {weights: open}}",
         ["MR302 a"]),
        ("{id: a, effect: floor, when: {facts: {urgent: true}}, set: {min_quality: 0.5}}",
         ["MR302 a"]),
        ("{id: a, effect: obligate, when: {facts: {urgent: true}}, do: {trace: none}}",
         ["MR302 a"]),
        # nobody escapes what every value meets
        (("{id: a, effect: forbid, when: {facts: {urgent: [true, false]}}, "
          "models: {weights: closed}}"),
         ["MR209 vendor/one"]),
        # a fact that the host states
        ("{id: a, effect: permit, when: {level: restricted, facts: {plan: pro}}, models: all}", []),
        # no effect, no way round it
        ("{id: a, effect: forbid, strength: advisory, when: {facts: {urgent: true}}}", []),
    ],
)  # fmt: skip
def test_a_rule_does_not_rest_on_what_the_caller_says(rule: str, found: list[str]) -> None:
    assert codes(rule) == found


FACT = "{mode: {type: enum, values: [open, strict], source: host, default: DEFAULT}}"


@pytest.mark.parametrize(
    ("rule", "default", "found"),
    [
        ("effect: forbid, when: {facts: {mode: strict}}, models: {weights: closed}",
         "open", ["MR305 mode"]),
        ("effect: forbid, when: {facts: {mode: strict}}, models: {weights: closed}", "strict", []),
        ("effect: require, when: {facts: {mode: strict}}, models: {weights: open}",
         "open", ["MR305 mode"]),
        ("effect: floor, when: {facts: {mode: strict}}, set: {min_quality: 0.5}",
         "open", ["MR305 mode"]),
        ("effect: obligate, when: {facts: {mode: strict}}, do: {trace: none}",
         "open", ["MR305 mode"]),
        ("effect: permit, when: {level: restricted, facts: {mode: open}}, models: all",
         "open", ["MR305 mode"]),
        ("effect: permit, when: {level: restricted, facts: {mode: strict}}, models: all",
         "open", []),
        # both values meet it
        ("effect: floor, when: {facts: {mode: [open, strict]}}, set: {min_quality: 0.5}",
         "open", []),
    ],
)  # fmt: skip
def test_a_default_does_not_escape_what_another_value_would_meet(
    rule: str, default: str, found: list[str]
) -> None:
    assert codes(f"{{id: a, {rule}}}", facts=FACT.replace("DEFAULT", default)) == found


def test_what_another_rule_does_at_the_default_is_no_escape() -> None:
    fact = FACT.replace("DEFAULT", "open")
    strict = "{id: a, effect: floor, when: {facts: {mode: strict}}, set: {min_quality: 0.5}}"
    usual = "{id: b, effect: floor, when: {facts: {mode: open}}, set: {min_quality: 0.6}}"
    assert codes(strict, usual, facts=fact) == []
    assert codes(strict, usual.replace("0.6", "0.4"), facts=fact) == ["MR305 mode"]


FORBID = "effect: forbid, when: {facts: {n: MATCH}}, models: {weights: closed}"
PERMIT_ALL = "effect: permit, when: {level: restricted, facts: {n: MATCH}}, models: all"


@pytest.mark.parametrize(
    ("fact", "match", "forbidden", "permitted"),
    [
        ("{type: int, default: 5}", "{at_least: 5}", False, True),
        ("{type: int, default: 4}", "{at_least: 5}", True, False),
        ("{type: int, default: 7}", "{at_least: 5}", False, True),
        ("{type: string, default: eu-1}", "{prefix: eu-}", False, True),
        ("{type: string, default: eu}", "{prefix: eu-}", True, False),
        ("{type: bool, default: true}", "true", False, True),
        ("{type: bool, default: false}", "true", True, False),
        ("{type: bool, default: false}", "[true, false]", False, False),
    ],
)
def test_defaults_of_every_type_are_compared_with_every_other_value(
    fact: str, match: str, *, forbidden: bool, permitted: bool
) -> None:
    facts = f"{{n: {fact.replace('{type', '{source: auth, type')}}}"
    for rule, loosened in ((FORBID, forbidden), (PERMIT_ALL, permitted)):
        found = codes(f"{{id: a, {rule.replace('MATCH', match)}}}", facts=facts)
        assert ("MR305 n" in found) is loosened, (rule, found)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("effect: forbid, models: {id: vendor/one}, expires: '2026-11-22'",
         ["MR209 vendor/one", "MR502 a"]),
        ("effect: floor, set: {min_quality: 0.5}, expires: '2026-11-22'", ["MR502 a"]),
        ("effect: floor, set: {min_quality: 0.5}, expires: '2026-11-23'", []),
        # a permit that has lapsed is nothing but that
        (("effect: permit, when: {level: internal}, models: {operator: nobody}, "
         "expires: '2026-11-22'"), ["MR502 a"]),
        (("effect: permit, when: {level: restricted, facts: {urgent: true}}, models: all, "
         "expires: '2026-11-22'"), ["MR502 a"]),
    ],
)  # fmt: skip
def test_a_rule_does_not_outlive_its_last_day_unnoticed(rule: str, found: list[str]) -> None:
    assert codes(f"{{id: a, {rule}}}") == found


def test_nothing_else_is_said_of_a_lapsed_permit() -> None:
    when = "when: {level: internal, categories: phi}"
    assert codes(f"{{id: a, effect: permit, {when}, models: all, expires: '2026-11-22'}}") == [
        "MR502 a"
    ]


def test_the_day_decides() -> None:
    rule = "{id: a, effect: floor, set: {min_quality: 0.5}, expires: '2026-12-31'}"
    assert codes(rule, at="2026-12-31") == []
    assert codes(rule, at="2027-01-01") == ["MR502 a"]
