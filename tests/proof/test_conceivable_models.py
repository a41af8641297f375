"""What a conceivable model is: what its entry states, and what expires together."""

from __future__ import annotations

import pytest

from tests.proof.judging import AT, bundle_of, outcome
from tests.proof.smt import Policy
from tests.strategies import Json

HOME: Json = {"id": "a/one", "weights": "open", "hosting": "self_hosted", "quality": 0.8}
ANY_HOSTING = ["self_hosted", "private_cloud", "vendor_api"]
OPEN: Json = {"id": "open", "effect": "permit", "when": {"level": "restricted"}, "models": "all"}
UNSTATED: dict[str, Json] = {
    "hosting": {"not": {"hosting": ANY_HOSTING}},
    "weights": {"not": {"weights": ["open", "closed"]}},
    "tags": {"tags": {"any": ["fast"], "none": ["fast"]}},
    "agreements": {"agreements": {"any": ["dpa"], "none": ["dpa"]}},
    "region": {"not": {"not": {"region": "nowhere"}}, "region": {"prefix": "else"}},
    "retention_days": {"retention_days": {"at_least": 5, "at_most": 4}},
    "trains_on_data": {"not": {"trains_on_data": [True, False]}},
}
"""For each attribute a matcher that is never true, and unknown where nobody states it."""
STATED: dict[str, Json] = {
    "hosting": {"hosting": ANY_HOSTING},
    "weights": {"weights": ["open", "closed"]},
    "tags": {"tags": {"none": ["fast"]}},
    "agreements": {"agreements": {"none": ["dpa"]}},
    "region": {"region": "eu-west"},
    "retention_days": {"retention_days": {"at_least": 0}},
    "trains_on_data": {"trains_on_data": [True, False]},
}
"""For each attribute a matcher that is true only where somebody states it."""
ENTRY, DATA = (
    ("hosting", "weights", "tags", "region"),
    (
        "agreements",
        "retention_days",
        "trains_on_data",
    ),
)
ALONE = {"region", "retention_days", "trains_on_data"}
"""What an entry may leave out; the others are there until they expire with their block."""


@pytest.mark.parametrize("required", STATED)
@pytest.mark.parametrize("absent", UNSTATED)
def test_what_is_always_there_expires_with_all_of_its_block(absent: str, required: str) -> None:
    """A rule asks for one attribute to be stated; the claim speaks of models without another."""
    rule: Json = {"id": "stated", "effect": "require", "models": STATED[required]}
    policy: Json = {"labels": "standard", "rules": [OPEN, rule]}
    claim: Json = {"id": "c", "over": "any", "never_sent": UNSTATED[absent]}
    same_block = any({absent, required} <= set(block) for block in (ENTRY, DATA))
    proved = absent == required or (same_block and absent not in ALONE)
    assert Policy(policy, [HOME], AT).holds(claim) == proved
    assert outcome(bundle_of(policy, [HOME]), claim).holds == proved


@pytest.mark.parametrize("over", ["present", "any"])
@pytest.mark.parametrize("effect", ["permit", "require"])
@pytest.mark.parametrize(
    "matcher", [{"retention_days": 0}, {"not": {"retention_days": 30}}, {"set": ["brief", "west"]}]
)
def test_what_is_unstated_neither_permits_nor_meets_a_requirement(
    matcher: Json, effect: str, over: str
) -> None:
    """The only model does not say how long it keeps data: it may be 30 days."""
    rule: Json = {"id": "short", "effect": effect, "models": matcher}
    sets: Json = {"brief": {"retention_days": 0}, "west": {"id": {"prefix": "west/"}}}
    policy: Json = {
        "labels": "standard",
        "sets": sets,
        "rules": [rule] if effect == "permit" else [OPEN, rule],
    }
    claim: Json = {
        "id": "c",
        "over": over,
        "when": {"level": "restricted"},
        "never_sent": {"retention_days": {"at_least": 5, "at_most": 4}},
    }
    if over == "any" and "set" in matcher:
        claim["never_sent"] = {**claim["never_sent"], "not": {"id": {"prefix": "west/"}}}
    assert Policy(policy, [HOME], AT).holds(claim)
    assert outcome(bundle_of(policy, [HOME]), claim).holds
    stated = {**HOME, "data": {"retention_days": 0}}
    served: Json = {"id": "s", "when": {"level": "restricted"}, "always_served": True}
    assert outcome(bundle_of(policy, [stated]), served).holds
    assert not outcome(bundle_of(policy, [HOME]), served).holds
