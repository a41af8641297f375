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
