"""What the tests of proofs share: a drawn policy as a bundle, and what can be said of it."""

from __future__ import annotations

import copy
import datetime
import os

from hypothesis import HealthCheck, settings

from modelrouter.asking import day_of, request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.decision import Decision
from modelrouter.engine.compiled import compile_bundle
from modelrouter.loader import load_text
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.suite import AskedRequest, Property
from modelrouter.proof import Proof, prove
from tests.strategies import Json, to_yaml

__all__ = ["AT", "CASES", "asked", "bundle_of", "claim_of", "hosted", "kind_of", "often", "outcome"]

AT = datetime.date(2026, 11, 23)
CASES = int(os.environ.get("ORACLE_CASES", "300"))


def often(count: int) -> settings:
    """Return the settings of a comparison of so many cases."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )


def hosted(policy: Json) -> Json:
    """Return a policy whose facts can all be supplied.

    A proof lets a classifier's fact have any value; `decide` cannot be given one.
    """
    policy = copy.deepcopy(policy)
    for fact in (policy.get("facts") or {}).values():
        if fact["source"] == "classifier":
            fact["source"] = "host"
    return policy


def bundle_of(policy: Json, catalogue: list[Json]) -> Bundle:
    """Load a drawn policy."""
    return load_text(to_yaml(policy, catalogue))


def claim_of(claim: Json) -> Property:
    """Return a property as the package reads it."""
    return Property.model_validate(claim)


def kind_of(claim: Json) -> str:
    """Return `served`, `present` or `any`."""
    return "served" if "always_served" in claim else str(claim.get("over", "present"))


def outcome(bundle: Bundle, claim: Json) -> Proof:
    """Prove a property on the day of the tests."""
    return prove(bundle, claim_of(claim), at=AT)


def asked(bundle: Bundle, request: AskedRequest) -> Decision:
    """Decide a request as `modelrouter decide` does."""
    engine = compile_bundle(bundle, day_of(request.given, AT))
    return decide(request_from(request, engine), snapshot_from(request.given, engine))
