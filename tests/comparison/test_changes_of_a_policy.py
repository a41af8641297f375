"""What a reviewer is told of one change to a small policy; expected regions by hand."""

from __future__ import annotations

import pytest

from modelrouter.comparison.comparing import TOO_HARD, compare
from modelrouter.comparison.effort import Effort
from modelrouter.comparison.outcome import Comparison
from modelrouter.loader import load_text
from modelrouter.policy.suite import AskedRequest
from modelrouter.proof.space import TooHardError
from tests.comparison.policies import SMALL, TODAY, about, changed, small, texts

CLOUD, HOME = "cloud/one", "home/one"
EU = ("hosting: vendor_api, region: us", "hosting: vendor_api, region: eu")
PII_RULE = (
    "  - {id: pii-in-the-eu, effect: require, when: {categories: pii}, models: {region: eu}}\n"
)


def test_a_policy_does_not_differ_from_itself() -> None:
    found = compare(small(), small(), at=TODAY)
    assert found.empty
    assert not found.wider


def test_order_layout_and_comments_are_no_difference() -> None:
    head, rules = SMALL.split("rules:\n")
    rules, rest = rules.split("budgets:\n")
    backwards = "".join(f"  - {rule}" for rule in reversed(rules.split("  - ")[1:]))
    text = f"# reviewed\n{head}rules:\n{backwards}budgets:\n{rest}"
    text = text.replace("[care, research]", "[ research,  care ]").replace("  chat:\n", "")
    text = text.replace("  letter: {carries: [pii]}\n", "  letter:\n    carries: pii\n  chat:\n")
    found = compare(small(), load_text(text), at=TODAY)
    assert found.empty


def test_a_dropped_require_opens_what_it_closed_and_no_more() -> None:
    found = changed((PII_RULE, ""))
    # phi is at the vault, which only the house may have; what is left of pii is at `team`.
    assert texts(found, CLOUD) == ["level at most team; with or perhaps with pii"]
    assert about(found, CLOUD).allowed[0].request == AskedRequest.model_validate(
        {"categories": ["pii"], "task": "chat", "facts": {"purpose": "care", "urgent": False}}
    )
    assert [part.model for part in found.differences] == [CLOUD]
    (change,) = found.changes
    assert (change.section, change.id, change.kind) == ("rules", "pii-in-the-eu", "removed")
    assert change.direction == "looser"
    assert found.wider


def test_the_other_way_round_it_is_newly_forbidden_and_no_wider() -> None:
    found = compare(small((PII_RULE, "")), small(), at=TODAY)
    assert [part.text for part in about(found, CLOUD).forbidden] == [
        "level at most team; with or perhaps with pii"
    ]
    assert not found.wider


def test_a_permit_that_covers_unlabelled_calls_says_so() -> None:
    by_category = (
        "when: {level: vault}, models: {hosting: self_hosted}",
        "when: {categories: phi}, models: {hosting: self_hosted}",
    )
    rule = (
        "  - {id: other, effect: permit, when: {level: vault, categories: {none: phi}},"
        " models: {hosting: self_hosted}}\n"
    )
    without = ("rules:\n", f"rules:\n{rule}")
    found = compare(small(by_category, without), small(without), at=TODAY)
    # Both say the same of calls whose label is known. no-phi-research applies to unknown phi, so
    # research stays forbidden.
    extents = about(found, HOME).allowed
    assert [part.text for part in extents] == ["unlabelled; phi unknown; fact purpose care"]
    assert extents[0].unlabelled
    assert extents[0].request == AskedRequest.model_validate(
        {"task": "chat", "facts": {"purpose": "care", "urgent": False}}
    )


def test_a_lower_stand_in_for_missing_labels_opens_unlabelled_calls() -> None:
    found = changed(("unlabelled: top", "unlabelled: open"))
    assert found.stated_labels
    assert texts(found, CLOUD) == [
        "unlabelled; level at most team; without phi; without pii; task chat"
    ]
    # At home, unlabelled research was forbidden for phi might be in it.
    assert texts(found, HOME) == ["unlabelled; without phi; fact purpose research"]


def test_a_lower_level_of_a_category_opens_what_the_level_closed() -> None:
    lower = ("phi: {at_least: vault, includes: [pii]}", "phi: {at_least: team, includes: [pii]}")
    found = compare(small(EU), small(EU, lower), at=TODAY)
    assert texts(found, CLOUD) == [
        "labelled; level at most team; with or perhaps with phi; fact purpose care"
    ]
    assert found.differences[0].allowed[0].unlabelled is False


def test_a_task_that_carries_less_opens_its_calls() -> None:
    found = changed(("letter: {carries: [pii]}", "letter:"))
    assert texts(found, CLOUD) == [
        "labelled; level at most team; without phi; without pii; task letter"
    ]


def test_a_required_fact_made_optional_opens_calls_without_it() -> None:
    found = changed(("source: host, required: true", "source: host"))
    assert texts(found, CLOUD) == ["level at most team; without pii; fact purpose missing"]
    assert texts(found, HOME) == ["without phi; fact purpose missing"]


def test_a_default_that_dodges_a_rule_opens_calls_without_the_fact() -> None:
    strict = ("source: host, required: true", "source: host")
    loose = ("source: host, required: true", "source: host, default: care")
    found = compare(small(strict), small(loose), at=TODAY)
    assert texts(found, HOME) == ["with or perhaps with phi; fact purpose missing; unlabelled too"]


def test_a_dropped_fact_with_its_rule_opens_what_the_rule_closed() -> None:
    found = changed(
        ("  purpose: {type: enum, values: [care, research], source: host, required: true}\n", ""),
        (", facts: {purpose: research}},\n     models: all", "}, models: {hosting: vendor_api}"),
    )
    assert texts(found, HOME) == [
        "fact purpose missing; unlabelled too",
        "with or perhaps with phi; fact purpose research or missing; unlabelled too",
    ]


def test_a_dropped_category_is_read_as_if_nobody_could_state_it() -> None:
    found = changed(
        ("    phi: {at_least: vault, includes: [pii]}\n", ""),
        ("categories: phi, facts", "categories: pii, facts"),
        EU,
    )
    # A call with phi was at the vault; now the word means nothing, and `pii` is not with it.
    assert any("with or perhaps with phi" in text for text in texts(found, CLOUD))


def test_a_new_task_is_newly_allowed_wherever_the_guard_lets_it_pass() -> None:
    found = changed(("  chat:\n", "  chat:\n  code:\n"))
    assert texts(found, CLOUD) == ["level at most team; without pii; task code"]
    assert found.wider


def test_a_new_model_is_newly_allowed_wherever_the_guard_lets_it_pass() -> None:
    new = "models:\n  - {id: cloud/two, weights: closed, hosting: vendor_api, region: eu}\n"
    found = changed(("models:\n", new))
    part = about(found, "cloud/two")
    assert part.presence == "added"
    assert [extent.text for extent in part.allowed] == ["level at most team"]


def test_a_removed_model_is_newly_forbidden() -> None:
    one = small()
    found = compare(
        small(("models:\n", "models:\n  - {id: x, weights: open, hosting: vendor_api}\n")),
        one,
        at=TODAY,
    )
    assert about(found, "x").presence == "removed"
    assert not found.wider


# -- obligations and runtime ---------------------------------------------------


def less(found: Comparison, model: str) -> list[tuple[str, str, str | None, tuple[str, ...]]]:
    part = about(found, model)
    return [(one.about, one.old, one.new, one.texts) for one in part.less]


def test_a_dropped_redaction_counts_where_the_model_receives_the_category() -> None:
    found = compare(small(EU), small(EU, ("do: {redact: [pii]}", "do: {cache: none}")), at=TODAY)
    assert less(found, CLOUD) == [
        ("redact", "pii", None, ("level at most team; with or perhaps with pii",))
    ]
    assert found.wider
    # A model that never receives the category is not concerned.
    assert changed(("do: {redact: [pii]}", "do: {cache: none}")).differences == ()


def test_a_weaker_word_counts_with_the_word_that_now_applies() -> None:
    found = changed(("do: {trace: none, approval: [hr]}", "do: {trace: redacted, approval: [hr]}"))
    assert [one[:3] for one in less(found, HOME)][:1] == [("trace", "none", "redacted")]
    # runtime keeps to `hash` itself, which is weaker than the `none` that was asked for
    assert ("runtime trace", "none", "hash") not in [one[:3] for one in less(found, HOME)]
    stricter = compare(
        small(("trace: none, approval", "trace: redacted, approval")), small(), at=TODAY
    )
    assert not stricter.wider


def test_a_dropped_approval_counts() -> None:
    found = changed(("trace: none, approval: [hr]", "trace: none"))
    assert [one[:3] for one in less(found, HOME)] == [("approval", "hr", None)]


def test_an_obligation_that_another_one_replaces_is_not_weaker() -> None:
    one = "  - {id: one, effect: obligate, when: {level: vault}, do: {trace: none}}\n"
    old = one.replace("id: one", "id: quiet").replace("trace: none", "trace: none, approval: [hr]")
    two = one.replace("id: one", "id: two").replace("level: vault", "level: {at_least: vault}")
    split = (old, one + two.replace("trace: none", "approval: [hr]"))
    found = changed(split)
    assert not found.differences
    assert not found.wider
    assert {part.kind for part in found.changes} == {"added", "removed"}


def test_runtime_that_keeps_more_counts_where_no_obligation_settles_it() -> None:
    found = changed(("trace: {content: hash}", "trace: {content: content}"))
    (one,) = less(found, HOME)
    assert one[:3] == ("runtime trace", "hash", "content")
    assert one[3] == ("level at most team",)  # at the vault `quiet` asks for `none`
    assert changed(("cache: {mode: none}", "cache: {mode: exact}")).wider


KEEPS = ("cache: {mode: none}", "cache: {mode: exact, ttl_s: 60, partition: [purpose]}")


@pytest.mark.parametrize(
    ("new", "found"),
    [
        ("ttl_s: 61, partition: [purpose]", ("runtime ttl_s", "60", "61")),
        ("partition: [purpose]", ("runtime ttl_s", "60", "3600")),
        ("ttl_s: 60", ("runtime partition purpose", "apart", "together")),
        ("ttl_s: 60, partition: [task]", ("runtime partition purpose", "apart", "together")),
        ("ttl_s: 59, partition: [purpose, task]", None),
    ],
)
def test_answers_that_are_kept_longer_or_shared_by_more_count(
    new: str, found: tuple[str, str, str] | None
) -> None:
    never = ("trace: none, approval", "trace: none, cache: none, approval")
    after = ("cache: {mode: none}", f"cache: {{mode: exact, {new}}}")
    compared = compare(small(KEEPS, never), small(after, never), at=TODAY)
    assert compared.wider == (found is not None)
    if found is not None:
        (one,) = less(compared, HOME)
        assert one[:3] == found
        assert one[3] == ("level at most team",)  # at the vault nothing is kept at all


def test_where_nothing_was_kept_or_is_kept_now_only_the_mode_tells() -> None:
    (one,) = [part for part in less(changed(KEEPS), CLOUD) if part[0].startswith("runtime")]
    assert one[:3] == ("runtime cache", "none", "exact")
    assert not compare(small(KEEPS), small(), at=TODAY).wider
    # A section of its own for some calls: of the others nothing differs.
    letters = (
        "  - {id: letters, when: {task: letter}, trace: {content: hash},"
        " cache: {mode: exact, ttl_s: 90, partition: [purpose]}}\n"
    )
    split = ("runtime:\n", f"runtime:\n{letters}")
    (one,) = less(compare(small(KEEPS), small(split, KEEPS), at=TODAY), HOME)
    assert one[:3] == ("runtime ttl_s", "60", "90")
    assert all("task letter" in text for text in one[3])


# -- the catalogue -------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("operator: acme", "operator: zenith", "another operator"),
        ("region: us", "region: asia", "another region"),
        ("agreements: [dpa]", "agreements: []", "an agreement is missing"),
        ("retention_days: 0", "retention_days: 30", "kept longer"),
        ("retention_days: 0, ", "", "kept longer"),
        ("trains_on_data: false", "trains_on_data: true", "trained on"),
        ("model: openai/one", "model: groq/one", "calls go to `https://api.groq.com:443`"),
        ("10.0.0.1:8000", "10.0.0.2:8000", "calls go to `http://10.0.0.2:8000`"),
        ("10.0.0.1:8000", "10.0.0.1:9000", "calls go to `http://10.0.0.1:9000`"),
        ("hosting: self_hosted, reg", "hosting: private_cloud, reg", "less under control"),
    ],
)  # fmt: skip
def test_data_that_go_elsewhere_or_fare_worse_count_as_wider(
    old: str, new: str, reason: str
) -> None:
    found = changed((old, new))
    (change,) = [part for part in found.changes if part.section == "models"]
    assert change.wider is not None
    assert reason in change.wider
    assert found.wider


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("agreements: [dpa]", "agreements: [dpa, scc]"),
        ("trains_on_data: false", "trains_on_data: false, attested_by: audit"),
        ("quality: 0.9", "quality: 0.5"),
        ("model: openai/one", "model: openai/two"),
        ("http://10.0.0.1:8000/v1", "http://10.0.0.1:8000/v2"),
    ],
)
def test_other_facts_of_a_model_are_told_and_count_for_nothing(old: str, new: str) -> None:
    found = changed((old, new))
    assert [part.section for part in found.changes] == ["models"]
    assert found.changes[0].fields
    assert not found.wider


def test_a_model_brought_home_is_no_wider() -> None:
    abroad = ("hosting: self_hosted, region: eu", "hosting: private_cloud, region: eu")
    permit = ("models: {hosting: self_hosted}}", "models: {region: eu}}")
    assert not compare(small(abroad, permit), small(permit), at=TODAY).wider


# -- clauses that are judged by their fields ------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("min_quality: 0.7", "min_quality: 0.6", "loosened"),
        ("min_quality: 0.7", "min_quality: 0.8", "tightened"),
        ("min_quality: 0.7", "max_ttft_ms: 500", "changed"),
        ("min_quality: 0.7", "min_quality: 0.7, max_ttft_ms: 500", "tightened"),
        ("limit_usd: 10", "limit_usd: 11", "loosened"),
        ("limit_usd: 10", "limit_usd: 9.5", "tightened"),
        ("limit_usd: 10", "limit_usd: 10, on_exceed: warn", "loosened"),
        ("limit_usd: 10", "limit_calls: 10", "changed"),
        ("period: month", "period: day", "changed"),
    ],
)
def test_floors_and_budgets_are_judged_and_are_no_exposure(old: str, new: str, kind: str) -> None:
    found = changed((old, new))
    assert [part.kind for part in found.changes] == [kind]
    assert not found.wider


def test_an_advisory_rule_that_becomes_hard_is_tightened() -> None:
    advisory = ("set: {min_quality: 0.7}", "set: {min_quality: 0.7}, strength: advisory")
    (change,) = compare(small(advisory), small(), at=TODAY).changes
    assert change.kind == "tightened"
    (permit,) = changed(
        ("models: {hosting: self_hosted}}", "models: {hosting: self_hosted}, strength: advisory}")
    ).changes
    assert permit.kind == "tightened"


# -- what cannot be compared ----------------------------------------------------


def test_detected_labels_in_place_of_missing_ones_are_not_comparable() -> None:
    found = changed(("unlabelled: top", "unlabelled: detected"))
    assert next(part.wider for part in found.changes if part.section == "labels")
    assert found.wider
    back = compare(small(("unlabelled: top", "unlabelled: detected")), small(), at=TODAY)
    assert not back.wider


def test_content_that_nothing_can_read_labelled_lower_is_not_comparable() -> None:
    image = ("rules:\n", "classifiers: {unscannable: {image: declared}}\nrules:\n")
    team = ("rules:\n", "classifiers: {unscannable: {image: team}}\nrules:\n")
    assert changed(image).wider
    assert changed(team).wider
    assert compare(small(team), small(image), at=TODAY).wider
    assert not compare(small(image), small(team), at=TODAY).wider
    assert not compare(small(image), small(), at=TODAY).wider


@pytest.mark.parametrize(
    ("source", "other", "wider"),
    [
        ("host", "caller", True),
        ("auth", "caller", True),
        ("classifier", "host", True),
        ("caller", "auth", False),
        ("host", "auth", False),
    ],
)
def test_a_fact_from_a_source_that_is_trusted_less_is_not_comparable(
    source: str, other: str, *, wider: bool
) -> None:
    old, new = (
        small(("urgent: {type: bool, source: host}", f"urgent: {{type: bool, source: {name}}}"))
        for name in (source, other)
    )
    found = compare(old, new, at=TODAY)
    assert found.wider is wider
    assert len(found.changes) == 1


def test_what_takes_too_long_counts_as_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: Effort, steps: int) -> None:
        raise TooHardError

    monkeypatch.setattr(Effort, "spend", exhausted)
    found = changed((PII_RULE, ""))
    assert {part.not_comparable for part in found.differences} == {TOO_HARD}
    assert found.not_comparable is not None
    assert found.wider


def test_a_new_lowest_level_opens_calls_that_state_it_and_no_others() -> None:
    forbid = "{id: x, effect: forbid, when: {level: {at_least: open}}, models: {id: cloud/one}}"
    rule = ("rules:\n", f"rules:\n  - {forbid}\n")
    lower = ("levels: [open, team, vault]", "levels: [below, open, team, vault]")
    found = compare(small(rule), small(rule, lower), at=TODAY)
    # A label states a level or a category: there is no call that is `below` without saying so.
    assert texts(found, CLOUD) == ["labelled; level below; without phi; without pii; task chat"]
