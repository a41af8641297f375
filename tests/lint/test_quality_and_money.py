"""Floors out of reach, evidence missing or misnamed, budgets that do nothing or too much."""

from __future__ import annotations

import datetime

import pytest

from tests.lint.snippets import codes, findings, report

TASKS = "[chat, code]"
FLOOR = "{id: all, effect: floor, set: {min_quality: 0.5}}"


def catalogue(*entries: str) -> str:
    heads = (
        "id: home/one, weights: open, hosting: self_hosted, price: {input: 0.1, output: 0.1}",
        "id: home/two, weights: open, hosting: self_hosted, price: {input: 0.2, output: 0.2}",
        "id: vendor/one, weights: closed, hosting: vendor_api, price: {input: 1, output: 4}",
    )
    return "".join(
        f"\n- {{{head}, max_output: 9000, {more}}}"
        for head, more in zip(heads, entries, strict=False)
    )


QUALITY = catalogue("quality: 0.8", "quality: {chat: 0.7, code: 0.6}", "quality: 0.9")


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (("{id: a, effect: floor, set: {min_quality: 0.9}}",), []),
        (("{id: a, effect: floor, set: {min_quality: 0.91}}",), ["MR204 a"]),
        (("{id: a, effect: floor, set: {min_quality: 0.91}, strength: soft}",), ["MR204 a"]),
        (("{id: a, effect: floor, set: {min_quality: 0.91}, strength: advisory}",),
         ["MR210 chat", "MR210 code"]),
        # the best one is not eligible where the floor holds
        (("{id: a, effect: floor, when: {level: restricted}, set: {min_quality: 0.85}}",),
         ["MR204 a"]),
        (("{id: a, effect: floor, when: {level: restricted}, set: {min_quality: 0.8}}",), []),
        # somebody whom the floor does not bind may serve
        (("{id: a, effect: floor, models: {hosting: self_hosted}, set: {min_quality: 0.9}}",), []),
        ((("{id: a, effect: floor, when: {level: restricted}, models: {hosting: self_hosted}, "
          "set: {min_quality: 0.9}}"),), ["MR204 a"]),
        # nobody is eligible anyway: that is another finding
        (("{id: a, effect: forbid, when: {categories: phi}}",
          "{id: b, effect: floor, when: {categories: phi}, set: {min_quality: 1}}", FLOOR), []),
    ],
)  # fmt: skip
def test_a_floor_is_within_reach_of_an_eligible_model(
    rules: tuple[str, ...], found: list[str]
) -> None:
    assert codes(*rules, models=QUALITY, tasks=TASKS) == found


def test_a_floor_out_of_reach_names_the_task_and_the_best() -> None:
    rule = "{id: a, effect: floor, when: {level: restricted, task: code}, set: {min_quality: 0.85}}"
    found = [part.message for part in findings(rule, FLOOR, models=QUALITY, tasks=TASKS)]
    assert found == ["floor `a`: no eligible model reaches 0.85 on `code` (best 0.8)"]


def test_the_lower_bound_counts_and_an_unknown_one_does_not_pass() -> None:
    evidence = "quality: {chat: {score: 0.9, lower: 0.7}}"
    rule = "{id: a, effect: floor, set: {min_quality: 0.8}}"
    models = catalogue(evidence, evidence)
    assert codes(rule, models=models, tasks="[chat]") == ["MR204 a"]
    by_score = "{compare_quality: score}"
    assert codes(rule, models=models, tasks="[chat]", defaults=by_score) == []
    unknown = catalogue("quality: {chat: {score: 0.9}}", "quality: {chat: {score: 0.9}}")
    found = findings(rule, models=unknown, tasks="[chat]")
    assert [part.message for part in found] == [
        "floor `a`: no eligible model reaches 0.8 on `chat` (no evidence)"
    ]
    # An unmeasured model that no floor binds serves only where the policy ignores that.
    bound = "{id: a, effect: floor, models: {id: home/one}, set: {min_quality: 0.95}}"
    mixed = catalogue("quality: {chat: 0.9}", "description: x")
    assert codes(bound, models=mixed, tasks="[chat]") == ["MR204 a"]
    ignore = "{unknown_quality: ignore}"
    assert codes(bound, models=mixed, tasks="[chat]", defaults=ignore) == []


def test_without_a_list_of_tasks_the_evidence_says_which_there_are() -> None:
    rule = "{id: a, effect: floor, set: {min_quality: 0.8}}"
    models = catalogue("quality: {chat: 0.8}", "quality: {chat: 0.8}")
    assert codes(rule, models=models) == []  # `other` has no evidence, and nobody declared it
    named = "{id: a, effect: floor, when: {task: other}, set: {min_quality: 0.8}}"
    assert codes(named, models=models) == ["MR204 a"]


def test_a_declared_task_has_evidence_and_a_floor() -> None:
    models = catalogue("quality: {chat: 0.8}", "quality: {chat: 0.8}")
    assert codes(models=models, tasks="[chat, code]") == ["MR208 code", "MR210 chat"]
    floor = "{id: a, effect: floor, when: {task: chat}, set: {min_quality: 0.5}}"
    assert codes(floor, models=models, tasks="[chat, code]") == ["MR208 code"]
    # A floor for a task without evidence: the floor is the graver finding.
    assert codes(FLOOR, models=models, tasks="[chat, code]") == ["MR204 all"]
    assert codes(floor, models=models) == []  # nobody declared tasks
    embed = catalogue("quality: {chat: 0.8}", "quality: {chat: 0.8}", "role: embed, quality: 0.9")
    assert codes(floor, models=embed, tasks="[chat, code]") == ["MR208 code"]
    latency = "{id: a, effect: floor, when: {task: chat}, set: {max_ttft_ms: 900}}"
    assert codes(latency, models=models, tasks="[chat]") == ["MR210 chat"]


def test_tasks_of_a_mapping_are_found_at_their_key() -> None:
    text = "{chat: {expected_output: 50}, code: {}}"
    found = findings(tasks=text, models=QUALITY)
    start = len("tasks: {")
    assert [(part.about, part.column) for part in found] == [
        ("chat", start + 1),
        ("code", start + text.index("code")),
    ]


def test_evidence_for_a_task_that_is_almost_declared_is_found_once() -> None:
    models = catalogue("quality: {chat: 0.8, sumary: 0.9}", "quality: {chat: 0.8}")
    floor = "{id: a, effect: floor, when: {task: [chat, summary]}, set: {min_quality: 0.5}}"
    chat = floor.replace(", summary", "")
    assert codes(chat, models=models, tasks="[chat, summary]") == ["MR213 home/one"]
    found = findings(floor, models=models, tasks="[chat, summary]")
    assert [(part.code, part.hint) for part in found] == [
        ("MR204", "model `home/one` has evidence for `sumary`: did you mean `summary`?")
    ]
    # Evidence for both is meant, and so is a task of another policy.
    both = catalogue("quality: {chat: 0.8, chats: 0.9}", "quality: {chat: 0.8, icd: 0.7}")
    assert codes(FLOOR, models=both, tasks="[chat]") == []


BUDGET = "id: b, period: month, on_exceed: degrade"


@pytest.mark.parametrize(
    ("budget", "rules", "found"),
    [
        (f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}", (), []),
        # every model is metered, so nothing is left to degrade to
        (f"{BUDGET}, limit_usd: 9", (), ["MR402 b"]),
        (f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}, degrade_to: {{tags: cheap}}", (),
         ["MR402 b"]),
        # what it degrades to is never eligible where it meters
        (f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}",
         (("{id: a, effect: require, when: {level: {at_most: confidential}}, "
          "models: {weights: closed}}"),), ["MR207 public", "MR402 b"]),
        (f"{BUDGET}, limit_usd: 9, models: {{weights: open}}", (), ["MR404 b"]),
        (f"{BUDGET}, limit_usd: 9, models: {{id: home/two}}, degrade_to: {{id: home/one}}", (), []),
        # dearer than one of those it replaces, cheaper than the other
        (f"{BUDGET}, limit_usd: 9, models: {{id: [home/one, vendor/one]}}", (), []),
        (f"{BUDGET}, limit_tokens: 9000, models: {{weights: open}}", (), []),
        # never metered: what it degrades to does not matter
        (f"{BUDGET}, limit_usd: 9, when: {{level: restricted}}, models: {{weights: closed}}", (),
         ["MR401 b"]),
        ((f"{BUDGET}, limit_usd: 0, when: {{level: restricted}}, models: {{weights: closed}}, "
         "degrade_floor: 0.5"), (), ["MR401 b"]),
        # lowers soft floors, of which there is none in reach
        (f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}, degrade_floor: 0.5", (),
         ["MR403 b"]),
        (f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}, degrade_floor: 0.5",
         ("{id: a, effect: floor, set: {min_quality: 0.7}}",), ["MR403 b"]),
        (f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}, degrade_floor: 0.5",
         ("{id: a, effect: floor, set: {min_quality: 0.7}, strength: soft}",), []),
        (f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}, degrade_floor: 0.7",
         ("{id: a, effect: floor, set: {min_quality: 0.7}, strength: soft}",), ["MR403 b"]),
        ((f"{BUDGET}, limit_usd: 9, models: {{weights: closed}}, degrade_floor: 0.5, "
         "when: {level: public}"),
         (("{id: a, effect: floor, when: {level: internal}, set: {min_quality: 0.7}, "
          "strength: soft}"),), ["MR403 b"]),
        # 1000 tokens in at 0.1 and 500 out at 0.1 cost 0.00015 USD
        ("id: b, period: day, limit_usd: 0.00015", (), []),
        ("id: b, period: day, limit_usd: 0.000149", (), ["MR405 b"]),
        # 1000 in at 1 and 500 out at 4 cost 0.003 USD
        ("id: b, period: day, limit_usd: 0.0029, models: {weights: closed}", (), ["MR405 b"]),
        ("id: b, period: day, limit_usd: 0.003, models: {weights: closed}", (), []),
        ("id: b, period: day, limit_tokens: 1499", (), ["MR405 b"]),
        ("id: b, period: day, limit_tokens: 1500", (), []),
        ("id: b, period: day, limit_calls: 0", (), ["MR405 b"]),
        ("id: b, period: day, limit_calls: 1", (), []),
    ],
)  # fmt: skip
def test_a_budget_limits_something_and_leaves_something(
    budget: str, rules: tuple[str, ...], found: list[str]
) -> None:
    assert codes(*rules, budgets=f"[{{{budget}}}]") == found


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ("", "budget `b` meters every model, so nothing is left to degrade to",
         "give it `models:` or `degrade_to:`"),
        (", models: {weights: [open, closed]}",
         "budget `b` meters every model, so nothing is left to degrade to",
         "give it `models:` or `degrade_to:`"),
        (", degrade_to: {tags: cheap}",
         "budget `b`: no eligible model in degrade_to, so exceeding it denies every call", None),
        # the two in the house are left over, but never eligible
        (", models: {weights: closed}, when: {categories: pii}",
         "budget `b`: no eligible model in degrade_to, so exceeding it denies every call", None),
    ],
)  # fmt: skip
def test_a_budget_that_degrades_to_nothing_says_whether_it_meters_everything(
    more: str, message: str, hint: str | None
) -> None:
    away = "{id: a, effect: forbid, when: {categories: pii}, models: {weights: open}}"
    found = findings(away, budgets=f"[{{{BUDGET}, limit_usd: 9{more}}}]")
    said = [(part.message, part.hint) for part in found if part.code == "MR402"]
    assert said == [(message, hint)]


def test_a_budget_for_embeddings_alone_is_left_alone() -> None:
    models = catalogue("quality: 0.8", "quality: 0.8", "role: embed")
    budget = f"{BUDGET}, limit_usd: 0, models: {{weights: closed}}, degrade_to: {{id: home/one}}"
    assert codes(models=models, budgets=f"[{{{budget}}}]") == []


ORDER = "order: [{minimise: cost}]"


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ([("a", "{level: internal}"), ("b", "{level: [internal, public]}")], []),
        ([("a", "{level: {at_most: internal}}"), ("b", "{level: public}")], ["b"]),
        ([("a", "{}"), ("b", "{}")], ["b"]),
        ([("a", "{facts: {plan: free}}"), ("b", "{facts: {plan: pro}}"), ("c", "{}")], ["c"]),
        # a fact may be missing, and unknown is no match
        ([("a", "{facts: {seat: true}}"), ("b", "{facts: {seat: false}}"), ("c", "{}")], []),
        # phi is always restricted
        ([("a", "{level: restricted}"), ("b", "{categories: phi}"), ("c", "{}")], ["b"]),
    ],
)
def test_what_comes_after_everything_is_never_reached(
    sections: list[tuple[str, str]], found: list[str]
) -> None:
    def written(more: str) -> str:
        parts = [
            f"id: {name}" + (f", when: {when}" if when != "{}" else "") for name, when in sections
        ]
        return "".join(f"\n- {{{part}{more}}}" for part in parts)

    facts = """
        plan: {type: enum, values: [free, pro], source: auth, required: true}
        seat: {type: bool, source: auth}
    """
    expected = [f"MR206 {name}" for name in found]
    assert codes(objectives=written(f", {ORDER}"), facts=facts) == expected
    assert codes(runtime=written(""), facts=facts) == expected


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("{spent_at_least: 0.5}", "{spent_at_least: 0.8}", ["MR206 b"]),
        ("{spent_at_least: 0.5}", "{spent_at_least: 0.5}", ["MR206 b"]),
        ("{spent_at_least: 0.8}", "{spent_at_least: 0.5}", []),
    ],
)
def test_an_objective_for_a_spent_budget_precedes_those_for_one_spent_further(
    first: str, second: str, found: list[str]
) -> None:
    objectives = "".join(
        f"\n- {{id: {name}, when: {{budget: {{m: {share}}}}}, {ORDER}}}"
        for name, share in (("a", first), ("b", second))
    )
    objectives += f"\n- {{id: c, {ORDER}}}"
    budgets = "[{id: m, period: month, limit_usd: 9}]"
    assert codes(objectives=objectives, budgets=budgets) == found


OLD = datetime.date(2026, 11, 23) - datetime.timedelta(days=181)
NEW = datetime.date(2026, 11, 23) - datetime.timedelta(days=180)


@pytest.mark.parametrize(("day", "found"), [(OLD, True), (NEW, False)])
def test_evidence_and_prices_grow_old_after_180_days(day: datetime.date, *, found: bool) -> None:
    evidence = f'quality: {{"*": {{score: 0.9, lower: 0.8, measured: "{day}"}}}}'
    models = catalogue(evidence, "quality: 0.8")
    assert codes(models=models) == (["MR601 home/one"] if found else [])
    priced = models.replace("output: 0.1}", f'output: 0.1, as_of: "{day}"}}')
    assert codes(models=priced) == (["MR601 home/one", "MR602 home/one"] if found else [])


def test_old_evidence_counts_for_tasks_of_the_policy_that_it_still_speaks_of() -> None:
    evidence = 'quality: {chat: 0.9, icd: {score: 0.9, lower: 0.8, measured: "2020-01-01"}}'
    assert codes(FLOOR, models=catalogue(evidence, "quality: 0.8"), tasks="[chat]") == []
    expired = (
        'quality: {"*": 0.9, chat: {score: 0.9, lower: 0.8, measured: "2020-01-01", '
        'expires: "2021-01-01"}}'
    )
    assert codes(FLOOR, models=catalogue(expired, "quality: 0.8"), tasks="[chat]") == []


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ({}, ""),
        ({"budgets": "[{id: b, period: day, limit_usd: 9}]"}, "MR602"),
        ({"budgets": "[{id: b, period: day, limit_usd: 9, models: {weights: open}}]"}, ""),
        ({"budgets": "[{id: b, period: day, limit_calls: 9}]"}, ""),
        # metered only where it is not eligible
        ({"budgets": "[{id: b, period: day, limit_usd: 9, when: {level: restricted}}]"}, ""),
        ({"objectives": f"[{{id: o, {ORDER}}}]"}, "MR602"),
        ({"objectives": "[{id: o, order: [{maximise: quality}]}]"}, ""),
        ({"objectives": f"[{{id: o, when: {{level: restricted}}, {ORDER}}}]"}, ""),
    ],
)
def test_a_price_is_missing_only_where_something_counts_money(
    sections: dict[str, str], found: str
) -> None:
    unpriced = catalogue("quality: 0.8", "quality: 0.8", "quality: 0.9").replace(
        "price: {input: 1, output: 4}, ", ""
    )
    assert codes(models=unpriced, **sections) == ([f"{found} vendor/one"] if found else [])
    lapsed = catalogue("quality: 0.8", "quality: 0.8", "quality: 0.9").replace(
        "output: 4}", 'output: 4, expires: "2026-11-22"}'
    )
    assert codes(models=lapsed, **sections) == ([f"{found} vendor/one"] if found else [])


@pytest.mark.parametrize(
    ("budgets", "found"),
    [
        ("[{id: b, period: day, limit_usd: 9}]", ["MR406 vendor/one"]),
        ("[{id: b, period: day, limit_tokens: 9000}]", ["MR406 vendor/one"]),
        ("[{id: b, period: day, limit_usd: 9, models: {weights: closed}, on_exceed: degrade}]",
         ["MR406 vendor/one"]),
        ("[]", []),
        # what only warns, or counts calls, needs no worst case
        ("[{id: b, period: day, limit_usd: 9, on_exceed: warn}]", []),
        ("[{id: b, period: day, limit_calls: 9}]", []),
        # not metered, or not eligible where it is
        ("[{id: b, period: day, limit_usd: 9, models: {weights: open}}]", []),
        ("[{id: b, period: day, limit_usd: 9, when: {level: restricted}}]", []),
    ],
)  # fmt: skip
def test_a_model_under_a_budget_states_how_much_it_writes(budgets: str, found: list[str]) -> None:
    models = catalogue("quality: 0.8", "quality: 0.8", "quality: 0.9")
    boundless = models.replace("output: 4}, max_output: 9000,", "output: 4},")
    assert codes(models=models, budgets=budgets) == []
    assert codes(models=boundless, budgets=budgets) == found
    embedding = boundless.replace("quality: 0.9", "role: embed")
    assert codes(models=embedding, budgets=budgets) == []


def test_a_missing_price_comes_before_a_missing_output_limit() -> None:
    models = catalogue("quality: 0.8", "quality: 0.8", "quality: 0.9").replace(
        ", price: {input: 1, output: 4}, max_output: 9000", ""
    )
    assert codes(models=models, budgets="[{id: b, period: day, limit_usd: 9}]") == [
        "MR602 vendor/one"
    ]


def test_a_missing_output_limit_is_found_once_for_a_model_and_all_its_budgets() -> None:
    models = catalogue("quality: 0.8", "quality: 0.8", "quality: 0.9").replace(
        "output: 4}, max_output: 9000,", "output: 4},"
    )
    one = "{id: b, period: day, limit_usd: 9}"
    found = findings(models=models, budgets=f"[{one}]")
    assert [(part.message, part.hint) for part in found] == [
        (("a call without `max_tokens` cannot use `vendor/one`: budget `b` cannot hold its "
         "worst case"), "state `max_output`")
    ]  # fmt: skip
    found = findings(models=models, budgets=f"[{one}, {one.replace('id: b', 'id: c')}]")
    assert [part.message for part in found] == [
        (
            "a call without `max_tokens` cannot use `vendor/one`: budgets `b`, `c` cannot hold its "
            "worst case"
        )
    ]


def test_a_ceiling_of_cost_counts_money_too() -> None:
    unpriced = catalogue("quality: 0.8", "quality: 0.8", "quality: 0.9").replace(
        "price: {input: 1, output: 4}, ", ""
    )
    floor = "{id: f, effect: floor, set: {max_cost_usd: 1}}"
    assert codes(floor, models=unpriced) == ["MR602 vendor/one"]
    inside = "{id: f, effect: floor, models: {weights: open}, set: {max_cost_usd: 1}}"
    assert codes(inside, models=unpriced) == []


def test_the_reason_of_a_hard_rule_is_asked_for_on_request() -> None:
    reasoned = "{id: a, effect: floor, set: {min_quality: 0.5}, reason: because}"
    soft = "{id: b, effect: floor, set: {min_quality: 0.6}, strength: soft}"
    advisory = "{id: c, effect: forbid, models: {weights: open}, strength: advisory}"
    assert report(reasoned, soft, advisory).problems == ()
    asked = report(reasoned, soft, advisory, pedantic="yes").problems
    assert [(part.code, part.about, part.severity) for part in asked] == [
        ("MR501", "inside", "warning")
    ]
