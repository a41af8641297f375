"""What the oracles found in the prover, each as small as it can be."""

from __future__ import annotations

import pytest

from modelrouter.errors import CallError
from tests.proof.judging import asked, bundle_of, outcome
from tests.strategies import Json

LABELS: Json = {"labels": "standard"}
OPEN: Json = {"id": "open", "effect": "permit", "when": {"level": "restricted"}, "models": "all"}
HOME: Json = {
    "id": "a/one",
    "weights": "open",
    "hosting": "self_hosted",
    "quality": {"*": 0.8, "code": 0.8},
    "capabilities": ["tools"],
}
AWAY: Json = {
    "id": "b/two",
    "weights": "open",
    "hosting": "vendor_api",
    "quality": {"code": 0.8, "fresh": 0.9},
}


def test_a_need_that_only_another_clause_mentions_is_no_need_of_a_served_call() -> None:
    """The model lacks `vision`, of which the claim does not speak and the second policy does."""
    claim: Json = {"id": "c", "always_served": True, "when": {"needs": {"any": ["tools"]}}}
    floor: Json = {
        "id": "sharp",
        "effect": "floor",
        "when": {"needs": ["vision"]},
        "set": {"min_quality": 0.1},
    }
    assert outcome(bundle_of({**LABELS, "rules": [OPEN]}, [HOME]), claim).holds
    assert outcome(bundle_of({**LABELS, "rules": [OPEN, floor]}, [HOME]), claim).holds


def test_a_need_that_the_claim_names_is_a_need() -> None:
    claim: Json = {
        "id": "c",
        "always_served": True,
        "when": {"needs": {"any": ["tools", "vision"]}},
    }
    found = outcome(bundle_of({**LABELS, "rules": [OPEN]}, [HOME]), claim)
    assert found.outcome == "refuted"
    assert found.request is not None
    assert "vision" in found.request.needs


@pytest.mark.parametrize("over", ["present", "any"])
def test_more_tokens_than_a_request_can_state_are_no_counterexample(over: str) -> None:
    """A request states at most 10**12 tokens, a catalogue as many days."""
    bundle = bundle_of({**LABELS, "rules": [OPEN]}, [HOME])
    claim: Json = {"id": "c", "when": {"tokens": {"above": 10**12}}, "never_sent": "all"}
    found = outcome(bundle, {**claim, "over": over})
    assert (found.outcome, found.vacuous) == ("proved", True)
    most = outcome(bundle, {**claim, "when": {"tokens": {"at_least": 10**12}}, "over": over})
    assert most.request is not None
    assert most.request.tokens == 10**12


def test_a_longer_retention_than_a_catalogue_can_state_is_inconceivable() -> None:
    home_only: Json = {
        "id": "known",
        "effect": "require",
        "models": {"retention_days": {"at_least": 0}},
    }
    bundle = bundle_of({**LABELS, "rules": [OPEN, home_only]}, [HOME])
    claim: Json = {"id": "c", "over": "any", "never_sent": {"retention_days": {"above": 10**12}}}
    assert outcome(bundle, claim).holds


def test_a_model_that_brings_a_task_of_its_own_is_conceivable() -> None:
    rule: Json = {
        "id": "known-tasks-stay",
        "effect": "forbid",
        "when": {"task": ["code", "other"]},
        "models": {"hosting": "vendor_api"},
    }
    policy: Json = {**LABELS, "rules": [rule, OPEN]}
    claim: Json = {"id": "never-away", "never_sent": {"hosting": "vendor_api"}}
    assert not outcome(bundle_of(policy, [HOME, AWAY]), claim).holds
    assert not outcome(bundle_of(policy, [HOME]), {**claim, "over": "any"}).holds


def test_a_counterexample_may_need_a_fact_that_only_a_classifier_can_supply() -> None:
    """The proof does not rely on there being no classifier; `decide` takes no such fact."""
    seats: Json = {"seats": {"type": "int", "source": "classifier"}}
    small: Json = {**OPEN, "when": {"facts": {"seats": {"at_most": 5}}}}
    bundle = bundle_of({**LABELS, "facts": seats, "rules": [small]}, [HOME])
    claim: Json = {"id": "c", "when": {"level": "restricted"}, "never_sent": "all"}
    found = outcome(bundle, claim)
    assert found.outcome == "refuted"
    assert found.request is not None
    with pytest.raises(CallError, match="comes from a classifier"):
        asked(bundle, found.request)
