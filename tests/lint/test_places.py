"""Every finding points at the text that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelrouter.lint.linting import examine
from modelrouter.loader import load
from modelrouter.policy.positions import NOWHERE
from tests.lint.snippets import DAY, PERMIT, policy, report

NOBODY = "{id: a, effect: forbid, models: {operator: nobody}}"
CHAT = "{id: f, effect: floor, when: {task: chat}, set: {min_quality: 0.5}}"

FLOOR = CHAT.replace("task: chat", "level: internal")


@pytest.mark.parametrize(
    ("code", "rules", "sections", "text"),
    [
        ("MR201", (FLOOR, FLOOR.replace("id: f", "id: g")), {}, "g, effect"),
        ("MR202", ("{id: a, effect: forbid, when: {level: public, categories: pii}}",), {},
         "{level: public"),
        ("MR203", ("-", PERMIT.replace("restricted", "internal")), {}, "- {id: inside"),
        ("MR204", (CHAT.replace("0.5", "1"),), {"tasks": "[chat]"}, "1}}"),
        ("MR205", (NOBODY,), {}, "{operator: nobody"),
        ("MR205", (), {"budgets": "[{id: b, period: day, limit_usd: 9, models: {tags: x}}]"},
         "{tags: x"),
        ("MR207", ("{id: a, effect: require, when: {categories: pii}, models: {id: home/one}}",),
         {}, "- {id: inside"),
        ("MR208", (), {"tasks": "[chat]", "models": "\n- {id: m, weights: open, "
                       "hosting: self_hosted}"}, "chat]"),
        ("MR209", ("{id: a, effect: require, models: {weights: open}}",), {}, "vendor/one"),
        ("MR210", (), {"tasks": "{chat: {expected_output: 9}}"}, "chat: {"),
        ("MR212", (PERMIT.replace("inside", "a").replace("restricted", "public"),), {},
         "a, effect"),
        ("MR213", (CHAT,), {"tasks": "[chat]", "models": '\n- {id: m, weights: open, '
                            'hosting: self_hosted, quality: {chta: 0.8, "*": 0.8}}'}, "chta: 0.8"),
        ("MR301", (), {"labels": "{categories: {pii: {at_least: internal}}}"}, "{pii: {at"),
        ("MR301", (), {"labels": "{categories: {pii: {at_least: internal}}}",
                       "defaults": "{default_deny_from: restricted}"}, "restricted}"),
        ("MR302", (CHAT.replace("task: chat", "facts: {urgent: [true]}"),), {}, "[true]"),
        ("MR305", (CHAT.replace("task: chat", "facts: {eu: true}"),),
         {"facts": "{eu: {type: bool, source: auth, default: false}}"}, "false}}"),
        ("MR402", (), {"budgets": "[{id: b, period: day, limit_usd: 9, on_exceed: degrade}]"},
         "degrade}"),
        ("MR403", (), {"budgets": "[{id: b, period: day, limit_usd: 9, on_exceed: degrade, "
                       "models: {weights: closed}, degrade_floor: 0.5}]"}, "0.5}"),
        ("MR404", (), {"budgets": "[{id: b, period: day, limit_usd: 9, on_exceed: degrade, "
                       "models: {weights: open}, degrade_to: {weights: closed}}]"},
         "{weights: closed"),
        ("MR405", (), {"budgets": "[{id: b, period: day, limit_tokens: 9}]"}, "9}"),
        ("MR406", (), {"budgets": "[{id: b, period: day, limit_tokens: 9000}]",
                       "models": "\n- {quality: 1, weights: open, hosting: self_hosted, id: m}"},
         "m}"),
        ("MR502", (FLOOR.replace("5}}", "5}, expires: '2020-01-01'}"),), {}, "'2020"),
        ("MR601", (), {"models": "\n- {id: m, weights: open, hosting: self_hosted, quality: "
                       "{'*': {score: 0.8, lower: 0.7, measured: '2020-01-01'}}}"}, "'2020"),
        ("MR602", (), {"models": "\n- {id: m, weights: open, hosting: self_hosted, quality: 1, "
                       "price: {input: 1, output: 1, as_of: '2020-01-01'}}"}, "'2020"),
        ("MR603", (), {"models": "\n- {id: m, weights: open, hosting: self_hosted, quality: 1, "
                       "retires: '2026-12-01'}"}, "'2026"),
    ],
)  # fmt: skip
def test_a_finding_points_at_what_it_is_about(
    code: str, rules: tuple[str, ...], sections: dict[str, str], text: str
) -> None:
    found = [part for part in report(*rules, **sections).problems if part.code == code]
    lines = policy(*rules, **sections).splitlines()
    assert [lines[part.line - 1][part.column - 1 :][: len(text)] for part in found] == [text]


def test_a_finding_about_a_model_of_a_catalogue_points_into_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(
        "apiVersion: modelrouter/v1\nkind: Catalog\nmodels:\n"
        "  - {id: home/one, weights: open, hosting: self_hosted, quality: 1}\n"
        "  - {id: home/two, weights: open, hosting: self_hosted, retires: '2026-12-01', "
        "quality: 1}\n"
        "  - {id: vendor/one, weights: closed, hosting: vendor_api, quality: 1}\n"
    )
    (tmp_path / "policy.yaml").write_text(
        "apiVersion: modelrouter/v1\nkind: Policy\ncatalogs: [models.yaml]\nrules:\n"
        "  - {id: a, effect: permit, when: {level: restricted}, models: {weights: open}}\n"
        "  - {id: b, effect: require, models: {weights: open}}\n"
    )
    found = examine(load(tmp_path, at=DAY), DAY).problems
    places = [(part.code, Path(part.file).name, part.line, part.column) for part in found]
    # A model that nobody may use is a matter of the policy: of the catalogues it takes in.
    assert places == [("MR603", "models.yaml", 5, 66), ("MR209", "policy.yaml", 3, 11)]


def test_a_policy_without_the_section_is_pointed_at_as_a_whole() -> None:
    found = report("-").problems
    assert [(part.code, part.line, part.column) for part in found] == [("MR203", 1, 1)]


def test_a_bundle_that_was_read_from_no_file_has_no_place() -> None:
    assert NOWHERE.at("rules", "a", "id") == ("policy", 1, 1)
