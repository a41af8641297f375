"""The prover against enumeration and z3, on random policies and properties.

`ORACLE_CASES=5000 pytest tests/proof` compares more of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given

from modelrouter.asking import day_of
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.catalogue import ModelEntry
from modelrouter.proof import Proof
from tests import oracle
from tests.oracle import NO, YES
from tests.proof.brute import Space, TooManyStatesError, Universe, guard_allows
from tests.proof.judging import AT, CASES, asked, bundle_of, hosted, kind_of, often, outcome
from tests.proof.properties import Claimed, claims
from tests.proof.smt import Policy
from tests.strategies import Json

COMMON, RARE = 0.3, 0.2


def enumerated(universe: Universe, claim: Json) -> tuple[str, bool] | None:
    """Return what deciding every request gives and whether there is any, or None if too many."""
    if kind_of(claim) == "any":
        return None
    served = "always_served" in claim
    space = Space(universe, claim, served=served)
    try:
        found = space.denied() if served else space.sent(claim["never_sent"])
        empty = next(space.states(), None) is None
    except TooManyStatesError:
        return None
    return "refuted" if found else "proved", empty


def test_prover_enumeration_and_z3_agree() -> None:
    tally: Counter[str] = Counter()

    @often(CASES)
    @given(claims())
    def compare(case: Claimed) -> None:
        policy, catalogue, found = hosted(case[0]), case[1], case[2]
        bundle = bundle_of(policy, catalogue)
        universe, formulas = Universe(policy, catalogue, bundle, AT), Policy(policy, catalogue, AT)
        for claim in found:
            proof, kind = outcome(bundle, claim), kind_of(claim)
            tally[kind] += 1
            tally[f"{kind} {proof.outcome}"] += 1
            assert proof.outcome == ("proved" if formulas.holds(claim) else "refuted"), claim
            truth = enumerated(universe, claim)
            if truth is not None:
                tally["enumerated"] += 1
                assert (proof.outcome, proof.vacuous) == truth, claim
            tally["vacuous"] += proof.vacuous
            if proof.outcome == "refuted":
                replay(policy, catalogue, bundle, claim, proof)

    compare()
    shares = {name: count / tally[name.split()[0]] for name, count in tally.items()}
    print({name: (tally[name], round(share, 2)) for name, share in sorted(shares.items())})
    for kind in ("present", "served", "any"):
        for result in ("proved", "refuted"):
            assert shares[f"{kind} {result}"] > RARE, f"{kind} {result}: {shares}"
    assert tally["vacuous"] < 0.1 * sum(tally[kind] for kind in ("present", "served", "any"))
    assert tally["enumerated"] > 0.9 * (tally["present"] + tally["served"])


def replay(
    policy: Json, catalogue: list[Json], bundle: Bundle, claim: Json, proof: Proof
) -> None:
    """See that a counterexample is a decision that the property says does not exist."""
    assert proof.request is not None, claim
    assert day_of(proof.request.given, AT) == AT
    stated = proof.request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    case = oracle.Case(policy, catalogue, {**stated, "needs": list(proof.request.needs)}, AT)
    if "always_served" in claim:
        assert case.when(claim) == YES, (claim, stated)
        assert asked(bundle, proof.request).outcome == "deny", (claim, stated)
        return
    assert case.when(claim) != NO, (claim, stated)
    name, models = proof.model, {m["id"]: m for m in catalogue}
    if proof.entry is not None:
        name = str(proof.entry["id"])
        models[name] = dict(proof.entry)
        bundle = with_entry(policy, catalogue, bundle, dict(proof.entry))
    assert name is not None
    assert case.covers(claim["never_sent"], models[name]) != NO, (claim, models[name])
    assert name in guard_allows(asked(bundle, proof.request)), (claim, stated, models[name])


def with_entry(policy: Json, catalogue: list[Json], bundle: Bundle, entry: Json) -> Bundle:
    """Return the policy with one more model, or with another one of that id."""
    ids = [model["id"] for model in catalogue]
    if entry["id"] not in ids:
        return bundle_of(policy, [*catalogue, entry])
    models = list(bundle.models)
    models[ids.index(entry["id"])] = ModelEntry.model_validate(entry)
    return replace(bundle, models=tuple(models))
