"""The linter against enumeration: every request that a small policy can tell apart, decided.

The linter computes with regions and knows nothing of these lists; the guard of the engine knows
nothing of regions. `LINT_CASES=2000 pytest tests/lint` compares more policies.
"""

from __future__ import annotations

import datetime
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, settings

from modelrouter.asking import day_of, request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.decision import Decision
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.guard import guard
from modelrouter.engine.request_matching import Subject
from modelrouter.errors import CallError, PolicyError
from modelrouter.labels import Label
from modelrouter.lint.linting import examine
from modelrouter.loader import load_text
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.suite import AskedRequest
from tests.strategies import VALUES, Case, cases, to_yaml

Json = dict[str, Any]
TODAY = datetime.date(2026, 11, 23)
CASES = int(os.environ.get("LINT_CASES", "150"))
REQUESTS_AT_MOST = 60_000
TOKENS = (499, 500, 501, 999, 1000, 1001, 1999, 2000, 2001)
SEEN: Counter[str] = Counter()
quick = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)


def engine_of(policy: Json, catalogue: list[Json]) -> Engine:
    return compile_bundle(load_text(to_yaml(policy, catalogue), at=TODAY), TODAY)


def decided(engine: Engine, asked: AskedRequest) -> Decision | None:
    try:
        return decide(request_from(asked, engine), snapshot_from(asked.given, engine))
    except CallError:
        return None


def allowed(engine: Engine, asked: AskedRequest) -> object:
    """Return the candidates of a decision in their order, each with its obligations."""
    found = decided(engine, asked)
    if found is None:
        return None
    return [(part.model, part.obligations) for part in found.candidates]


def without(policy: Json, ids: set[str | None]) -> Json:
    return {**policy, "rules": [part for part in policy.get("rules", ()) if part["id"] not in ids]}


def of_code(bundle: Bundle, code: str, at: datetime.date) -> set[str | None]:
    found = examine(bundle, at)
    return {part.about for part in found.problems if part.code == code}


@quick
@given(cases(), cases())
def test_no_superfluous_rule_changes_a_decision_for_any_model(case: Case, other: Case) -> None:
    policy, catalogue, request = case
    asked = AskedRequest.model_validate(request)
    bundle = load_text(to_yaml(policy, catalogue), at=TODAY)
    day = day_of(asked.given, TODAY)
    superfluous = of_code(bundle, "MR201", day)
    if not superfluous:
        return
    SEEN["MR201"] += len(superfluous)
    for models in (catalogue, other[1]):
        try:
            full = load_text(to_yaml(policy, models), at=TODAY)
            less = load_text(to_yaml(without(policy, superfluous), models), at=TODAY)
        except PolicyError:  # the other catalogue lacks a model or a capability that is named
            continue
        SEEN["catalogues"] += 1
        before = allowed(compile_bundle(full, day), asked)
        assert allowed(compile_bundle(less, day), asked) == before, (superfluous, request)


@quick
@given(cases())
def test_no_redundant_rule_changes_a_decision_today(case: Case) -> None:
    policy, catalogue, request = case
    asked = AskedRequest.model_validate(request)
    day = day_of(asked.given, TODAY)
    policy = with_rules_by_id(policy, engine_of(policy, catalogue))
    bundle = load_text(to_yaml(policy, catalogue), at=TODAY)
    before = allowed(compile_bundle(bundle, day), asked)
    for name in of_code(bundle, "MR211", day):
        SEEN["MR211"] += 1
        less = load_text(to_yaml(without(policy, {name}), catalogue), at=TODAY)
        assert allowed(compile_bundle(less, day), asked) == before, (name, request)


def with_rules_by_id(policy: Json, engine: Engine) -> Json:
    """Add, for each rule that selects models, one that names the same models by id."""
    more: list[Json] = []
    for rule in policy.get("rules", ()):
        mask = next((part.mask for part in engine.forbids if part.id == rule["id"]), 0)
        if rule["effect"] == "forbid" and mask:
            ids = [name for place, name in enumerate(engine.ids) if mask >> place & 1]
            more.append({**rule, "id": f"{rule['id']}-by-id", "models": {"id": ids}})
    return {**policy, "rules": [*policy.get("rules", ()), *more]}


def test_the_random_policies_had_rules_to_remove() -> None:
    assert SEEN["MR201"] > CASES / 15
    assert SEEN["catalogues"] > CASES / 15
    assert SEEN["MR211"] > CASES / 15


def requests(engine: Engine) -> Iterator[tuple[Label, Subject]]:
    """Yield every known request that the rules of a policy can tell apart."""
    bundle, scheme = engine.bundle, engine.scheme
    whens = [rule.when for rule in bundle.policy.rules if rule.when is not None]
    named = {name for when in whens for name in when.facts or {}}
    facts: list[tuple[Any, ...]] = [
        (*VALUES[fact.type], *({"string": ("zz",), "int": (0, 2, 7, 11)}.get(fact.type, ())))
        if name in named
        else (VALUES[fact.type][0],)
        for name, fact in bundle.policy.facts.items()
    ]
    needed = sorted(bundle.words.capabilities) if any(when.needs for when in whens) else []
    needs = [frozenset(part) for size in range(len(needed) + 1)
             for part in itertools.combinations(needed, size)]  # fmt: skip
    tokens = TOKENS if any(when.tokens for when in whens) else (1000,)
    tasks = sorted(bundle.words.tasks)
    labels = labels_by_task(engine, tasks)
    count = sum(map(len, labels.values())) * len(needs) * len(tokens)
    for values in facts:
        count *= len(values)
    assume(count <= REQUESTS_AT_MOST)
    for task in tasks:
        for label in labels[task]:
            for asked, size, stated in itertools.product(needs, tokens, itertools.product(*facts)):
                yield (
                    label,
                    Subject(
                        level=scheme.rank[label.level],
                        known=sum(engine.category_bits[name] for name in label.categories),
                        unknown=0,
                        task=task,
                        needs=asked,
                        tokens=size,
                        facts=stated,
                        spent={},
                    ),
                )


def labels_by_task(engine: Engine, tasks: list[str]) -> dict[str, set[Label]]:
    scheme, declared = engine.scheme, engine.bundle.policy.tasks
    names = sorted(scheme.categories)
    found: dict[str, set[Label]] = {}
    for task in tasks:
        carried = declared[task].carries if declared else ()
        found[task] = {
            scheme.label(level=level, categories={*part, *carried})
            for level in scheme.levels
            for size in range(len(names) + 1)
            for part in itertools.combinations(names, size)
        }
    return found


def least(labels: set[Label], engine: Engine) -> set[Label]:
    rank = engine.scheme.rank
    return {
        one
        for one in labels
        if not any(
            other != one
            and rank[other.level] <= rank[one.level]
            and other.categories <= one.categories
            for other in labels
        )
    }


def named(label: Label, engine: Engine) -> str:
    """Return a label without what its categories imply."""
    scheme = engine.scheme
    kept = {
        name
        for name in label.categories
        if not any(
            name in scheme.implied(frozenset({other})) for other in label.categories - {name}
        )
    }
    return "+".join([label.level, *sorted(kept)])


@quick
@given(cases())
def test_unservable_labels_and_idle_models_are_those_of_the_enumeration(case: Case) -> None:
    policy, catalogue, _ = case
    policy = {name: value for name, value in policy.items() if name != "lint"}
    engine = engine_of(policy, catalogue)
    bundle = engine.bundle
    chats = engine.everything & ~engine.table.not_chat
    for removal in engine.retired:
        chats &= ~removal.models
    wholly = {
        rule.id
        for rule in bundle.policy.rules
        if rule.effect == "forbid" and rule.strength != "advisory"
        if rule.models is None or rule.models.everything
    }
    served: dict[Label, int] = {}
    eligible_at_all = 0
    for label, subject in requests(engine):
        eligible = guard(subject, engine).eligible & chats
        eligible_at_all |= eligible
        denied = any(
            clause.id in wholly and (clause.when is None or clause.when(subject))
            for clause in engine.forbids
        )
        if not denied:
            served[label] = served.get(label, 0) | eligible
    report = examine(bundle, TODAY)
    alone = {label for label, mask in served.items() if not mask}
    expected = {named(label, engine) for label in least(alone, engine)}
    for capability, mask in engine.table.capable.items():
        if mask & chats:
            lacking = {one for one, able in served.items() if able and not able & mask}
            expected |= {f"{named(one, engine)}+{capability}" for one in least(lacking, engine)}
    assert {part.about for part in report.problems if part.code == "MR203"} == expected
    SEEN["MR203"] += bool(expected)
    idle = {
        engine.ids[place]
        for place in range(len(engine.ids))
        if chats & ~eligible_at_all & 1 << place
    }
    said = {part.about for part in report.problems if part.code == "MR209"}
    # A label that no model with a capability serves accounts for the models that have it.
    assert said <= idle
    if not expected:
        assert said == idle
    SEEN["MR209"] += bool(idle)
    if chats.bit_count() > 1:
        single = {
            label for label, mask in served_by_all(engine, chats).items() if mask.bit_count() == 1
        }
        lonely = {named(label, engine) for label in least(single, engine)}
        assert {part.about for part in report.problems if part.code == "MR207"} == lonely
        SEEN["MR207"] += bool(lonely)


def served_by_all(engine: Engine, chats: int) -> dict[Label, int]:
    """Return the models that some request with a label may use, denied ones included."""
    found: dict[Label, int] = {}
    for label, subject in requests(engine):
        found[label] = found.get(label, 0) | guard(subject, engine).eligible & chats
    return found


def test_the_random_policies_had_labels_and_models_to_find() -> None:
    assert SEEN["MR203"] > CASES / 15
    assert SEEN["MR207"] > CASES / 50
    assert SEEN["MR209"] > CASES / 150
