"""Who notices a change of a policy, and what an author is shown where nobody does."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import pytest

from modelrouter.asking import request_from, snapshot_from
from modelrouter.cli.requests import parse_json, validated
from modelrouter.decide import Snapshot, decide
from modelrouter.engine.compiled import compile_bundle
from modelrouter.labels import Label
from modelrouter.loader import load
from modelrouter.mutation.judging import Judged, judge, score_of
from modelrouter.proof.proving import request_text
from modelrouter.values import Request

TODAY = datetime.date(2026, 11, 23)
POLICY = """\
apiVersion: modelrouter/v1
kind: Policy
labels: standard
models:
  - {id: home/one, weights: open, hosting: self_hosted, quality: 0.5, price: {input: 1, output: 1}}
  - {id: away/two, weights: closed, hosting: vendor_api, quality: 0.9,
     price: {input: 2, output: 2}}
rules:
  - {id: stays, effect: forbid, when: {level: {at_least: confidential}},
     models: {hosting: vendor_api}}
  - {id: at-home, effect: permit, when: {level: restricted}, models: {hosting: self_hosted}}
"""
TESTS = """\
apiVersion: modelrouter/v1
kind: PolicyTest
policy: policy.yaml
tests:
"""
CLAIMS = """\
apiVersion: modelrouter/v1
kind: Properties
policy: policy.yaml
properties:
"""


def judged(folder: Path, *tests: str, claims: str = "", policy: str = POLICY) -> dict[str, Judged]:
    (folder / "policy.yaml").write_text(policy)
    if tests:
        (folder / "policy_test.yaml").write_text(TESTS + "".join(f"  - {part}\n" for part in tests))
    if claims:
        (folder / "properties.yaml").write_text(f"{CLAIMS}  - {claims}\n")
    return {str(part.mutant): part for part in judge(load(folder), today=TODAY)}


def outcomes(found: dict[str, Judged]) -> dict[str, str]:
    return {name: part.by or part.outcome for name, part in found.items()}


DROPPED = "forbid `stays`: dropped"
EVERY = [
    "forbid `stays`: dropped",
    "forbid `stays`: `when.level` dropped",
    "forbid `stays`: `when.level.at_least` restricted instead of confidential",
    "forbid `stays`: `when.level.at_least` internal instead of confidential",
    "forbid `stays`: `models.hosting` dropped",
    "permit `at-home`: dropped",
    "permit `at-home`: `when.level` dropped",
    "permit `at-home`: `when.level` `confidential` as well",
    "permit `at-home`: `models.hosting` dropped",
    "default deny: from confidential instead of restricted",
    "unlabelled calls: count as restricted instead of top",
    "unlabelled calls: count as public instead of top",
]


def test_without_tests_everything_that_differs_survives(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert list(found) == EVERY
    equivalent = [name for name, part in found.items() if part.outcome == "equivalent"]
    assert equivalent == [
        # No permit is needed below restricted, and above it nothing else is allowed anyway.
        "permit `at-home`: `when.level` dropped",
        "permit `at-home`: `when.level` `confidential` as well",
        # The forbid holds at restricted whatever the permit says.
        "permit `at-home`: `models.hosting` dropped",
        # What could be anything stays at home, and so does what is restricted.
        "unlabelled calls: count as restricted instead of top",
    ]
    assert {part.outcome for part in found.values()} == {"equivalent", "survived"}


def test_a_test_kills_what_it_notices(tmp_path: Path) -> None:
    found = judged(
        tmp_path,
        "{name: first, request: {level: public}, expect: {decision: route}}",
        "{name: second, request: {level: confidential}, expect: {models_in_order: [home/one]}}",
        "{name: third, request: {level: internal}, expect: {model: away/two}}",  # fails
    )
    assert {name: by for name, by in outcomes(found).items() if by.startswith("test")} == {
        "forbid `stays`: dropped": "test `second`",
        "forbid `stays`: `when.level.at_least` restricted instead of confidential": "test `second`",
        "forbid `stays`: `models.hosting` dropped": "test `second`",
        "default deny: from confidential instead of restricted": "test `second`",
    }


def test_a_claim_kills_what_it_notices(tmp_path: Path) -> None:
    claim = "{id: held, when: {level: {at_least: confidential}}, never_sent: {hosting: vendor_api}}"
    found = outcomes(judged(tmp_path, claims=claim))
    assert [name for name, by in found.items() if by == "claim `held`"] == [
        "forbid `stays`: dropped",
        "forbid `stays`: `when.level.at_least` restricted instead of confidential",
    ]


def test_a_claim_about_service_notices_what_is_tightened(tmp_path: Path) -> None:
    found = outcomes(judged(tmp_path, claims="{id: served, always_served: true}"))
    assert [name for name, by in found.items() if by == "claim `served`"] == [
        "forbid `stays`: `models.hosting` dropped",
        "permit `at-home`: dropped",
        "default deny: from confidential instead of restricted",
    ]


def test_an_invariant_of_the_policy_counts_as_a_claim(tmp_path: Path) -> None:
    claim = "{id: held, when: {level: {at_least: confidential}}, never_sent: {hosting: vendor_api}}"
    found = outcomes(judged(tmp_path, policy=f"{POLICY}invariants:\n  - {claim}\n"))
    assert found[DROPPED] == "claim `held`"


def test_a_claim_that_does_not_hold_kills_nothing(tmp_path: Path) -> None:
    claim = "{id: wrong, when: {level: public}, never_sent: {hosting: vendor_api}}"
    assert "claim `wrong`" not in outcomes(judged(tmp_path, claims=claim)).values()


def test_a_claim_over_any_model_notices_what_the_catalogue_does_not_show(tmp_path: Path) -> None:
    # Nothing in the catalogue keeps data, so the rule changes no decision of today.
    policy = POLICY.replace(
        "rules:\n", "rules:\n  - {id: keep, effect: require, models: {region: eu}}\n"
    )
    policy = policy.replace("id: home/one,", "id: home/one, region: eu,")
    policy = policy.replace("id: away/two,", "id: away/two, region: eu,")
    name = "require `keep`: dropped"
    assert judged(tmp_path, policy=policy)[name].outcome == "equivalent"
    claim = "{id: eu, never_sent: {not: {region: eu}}, over: any}"
    assert judged(tmp_path, policy=policy, claims=claim)[name].by == "claim `eu`"


@pytest.mark.parametrize("shipped", [None, "bank", "hospital", "quickstart", "startup"])
def test_every_survivor_comes_with_a_request_that_shows_it(
    shipped: str | None, tmp_path: Path
) -> None:
    folder = Path(__file__).parents[2] / "policies" / (shipped or "bank")
    for file in folder.glob("*.yaml"):
        if not file.name.endswith("_test.yaml"):
            (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    if shipped is None:
        (tmp_path / "catalog.yaml").unlink()
        (tmp_path / "properties.yaml").unlink()
        (tmp_path / "policy.yaml").write_text(POLICY)
    bundle = load(tmp_path)
    found = [part for part in judge(bundle, today=TODAY) if part.outcome == "survived"]
    assert found
    before = compile_bundle(bundle, TODAY)
    for part in found:
        assert part.witness is not None, str(part.mutant)
        # As an author does: paste the request.
        asked = validated(parse_json(request_text(part.witness.request)))
        decisions = [
            decide(request_from(asked, engine), snapshot_from(asked.given, engine))
            for engine in (before, compile_bundle(part.mutant.bundle, TODAY))
        ]
        seen = [
            (one.deny_stage, one.warnings, [(c.model, c.obligations) for c in one.candidates])
            for one in decisions
        ]
        assert seen[0] != seen[1], str(part.mutant)
        assert part.witness.before != part.witness.after


def test_what_only_shows_when_a_budget_is_spent_is_found(tmp_path: Path) -> None:
    policy = POLICY + (
        "budgets:\n  - {id: day, period: day, limit_calls: 10, on_exceed: degrade,\n"
        "     models: {weights: closed}}\n"
    )
    found = judged(tmp_path, policy=policy)
    dropped = found["budget `day`: dropped"].witness
    assert dropped is not None
    assert dropped.request.given.budgets == {"day": 10}  # at 9 it only warns
    doubled = found["budget `day`: `limit_calls` 20 instead of 10"].witness
    halved = found["budget `day`: `limit_calls` 5 instead of 10"].witness
    assert doubled is not None
    assert doubled.request.given.budgets == {"day": 10}
    assert doubled.before == "home/one (day:100%, day:degraded)"
    assert doubled.after == "home/one, away/two"
    assert halved is not None
    assert halved.request.given.budgets == {"day": 5}


def test_a_score_is_exact() -> None:
    policies = Path(__file__).parents[2] / "policies"
    found = list(judge(load(policies / "quickstart"), today=TODAY))
    names = [part.outcome for part in found]
    score = score_of(found)
    assert score.killed == names.count("killed")
    assert score.equivalent == names.count("equivalent")
    assert len(score.survivors) == names.count("survived")
    kept = [part for part in found if part.outcome != "survived"]
    assert score_of(kept).percent == 100
    assert score_of([]).percent == 100
    one = next(part for part in found if part.outcome == "survived")
    killed = [part for part in found if part.outcome == "killed"]
    # 20 of 21 is 95.238…, not 95.
    assert json.loads(json.dumps(float(score_of([one, *killed[:20]]).percent))) == 2000 / 21


def test_judging_twice_says_the_same(tmp_path: Path) -> None:
    test = "{name: n, request: {level: public}, expect: {model: home/one}}"
    first, second = judged(tmp_path, test), judged(tmp_path, test)
    assert outcomes(first) == outcomes(second)
    assert [part.witness for part in first.values()] == [part.witness for part in second.values()]


def test_where_a_budget_restricts_to_is_no_detail(tmp_path: Path) -> None:
    model = "{id: away/three, weights: closed, hosting: vendor_api, quality: 0.9"
    policy = POLICY.replace("rules:", f"  - {model}, price: {{input: 4, output: 4}}}}\nrules:") + (
        "budgets:\n  - {id: day, period: day, limit_usd: 1, on_exceed: degrade,\n"
        "     models: {weights: closed}, degrade_to: {hosting: self_hosted}}\n"
    )
    found = judged(tmp_path, policy=policy)["budget `day`: `degrade_to.hosting` dropped"]
    assert found.outcome == "survived"
    assert found.witness is not None
    # 1,000 and 500 tokens cost 0.003 USD on the second model and 0.006 on the third: with 0.003
    # left the third is too dear, so the budget restricts, and the second would just do.
    assert found.witness.request.given.budgets == {"day": Decimal("0.997")}
    assert found.witness.before.startswith("home/one (")
    assert found.witness.after.startswith("home/one, away/two (")


HEARD = """\
apiVersion: modelrouter/v1
kind: Policy
labels:
  levels: [public, internal, secret]
  categories: {draft: {}, phi: {at_least: secret}}
  unlabelled: STAND_IN
models:
  - {id: home/one, weights: open, hosting: self_hosted, quality: 0.5}
  - {id: away/two, weights: closed, hosting: vendor_api, quality: 0.9}
rules:
  - {id: all, effect: permit, when: {level: secret}, models: all}
  - {id: drafts, effect: forbid, when: {level: LEVEL, categories: CATEGORY},
     models: {hosting: vendor_api}}
"""


@pytest.mark.parametrize(
    ("stand_in", "level", "category", "other", "outcome"),
    [
        # A call nobody labelled, in which a detector found a draft: internal or public.
        ("internal", "internal", "draft", "public", "survived"),
        # What a detector found of phi is secret, whatever stands in for a label.
        ("internal", "secret", "phi", "public", "equivalent"),
        ("public", "public", "phi", "internal", "equivalent"),
        # Of a secret call nobody says whether it is a draft; with `top` it may be one.
        ("secret", "secret", "phi", "top", "survived"),
        ("secret", "internal", "draft", "top", "equivalent"),
    ],
)
def test_a_stand_in_is_compared_for_what_detectors_may_add_to_it(
    stand_in: str, level: str, category: str, other: str, outcome: str, tmp_path: Path
) -> None:
    policy = HEARD.replace("STAND_IN", stand_in).replace("LEVEL", level)
    found = judged(tmp_path, policy=policy.replace("CATEGORY", category))
    name = f"unlabelled calls: count as {other} instead of {stand_in}"
    assert found[name].outcome == outcome


def test_a_change_that_only_a_detector_can_bring_about_has_no_request_to_show(
    tmp_path: Path,
) -> None:
    policy = HEARD.replace("STAND_IN", "internal").replace("LEVEL", "internal")
    found = judged(tmp_path, policy=policy.replace("CATEGORY", "draft"))
    part = found["unlabelled calls: count as public instead of internal"]
    assert (part.outcome, part.witness) == ("survived", None)
    engines = [compile_bundle(one, TODAY) for one in (load(tmp_path), part.mutant.bundle)]
    heard = Request(evidence=(Label(level="public", categories=frozenset({"draft"})),))
    sent = [
        [one.model for one in decide(heard, Snapshot(engine=engine)).candidates]
        for engine in engines
    ]
    assert sent == [["home/one"], ["away/two", "home/one"]]
