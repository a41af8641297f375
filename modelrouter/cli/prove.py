"""Prove what a policy claims: its `invariants:`, and the `kind: Properties` files beside it.

A claim is proved for every request that can exist, not for a sample. A claim that fails comes
with the requests it fails for and one of them to paste into `modelrouter explain`. A claim that
is too hard to decide counts as not proved.

A proof speaks of the policy. It assumes that labels and facts are right, that the facts in the
catalogue are true, and that calls go through the router.

exit codes:
  0  every claim is proved
  1  a claim is not proved, or a policy claims nothing
  2  a policy does not load
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from modelrouter.cli.common import (
    FINDINGS,
    FINE,
    USAGE,
    add_at,
    bundle_or_none,
    note,
    out,
    out_json,
    today,
)
from modelrouter.proof.proving import Proof, prove_all, request_json, request_text

if TYPE_CHECKING:
    from modelrouter.policy.suite import Property
    from modelrouter.values import Json

__all__ = ["add_arguments", "run"]

Claimed = tuple[str, "Property", Proof]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `prove`."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="policy folders or policy files")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each policy")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print failed claims and the summaries alone"
    )
    add_at(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prove the claims of every policy; the worst result is the exit code."""
    worst = FINE
    for path in arguments.paths:
        bundle = bundle_or_none(path, at=today(arguments))
        if bundle is None:
            worst = USAGE
            if arguments.json:
                out_json({"policy": path, "loads": False})
            continue
        begun = time.perf_counter()
        claims = list(prove_all(bundle, at=today(arguments)))
        taken_ms = (time.perf_counter() - begun) * 1000
        if arguments.json:
            report: dict[str, Json] = {
                "policy": path,
                "loads": all(proof.holds for where, _, proof in claims if where == "invariants"),
                "name": bundle.name,
                "policy_digest": bundle.digest,
                "at": today(arguments).isoformat(),
                "claims": [as_json(*claim) for claim in claims],
            }
            out_json(report)
        else:
            show(path, claims, arguments, taken_ms)
        if not claims or not all(proof.holds for _, _, proof in claims):
            worst = max(worst, FINDINGS)
    return worst


def show(path: str, claims: list[Claimed], arguments: argparse.Namespace, taken_ms: float) -> None:
    """Print each claim, what refutes it, and how many are proved."""
    for where, claim, proof in claims:
        if proof.holds and arguments.quiet and not proof.vacuous:
            continue
        out(f"{WORDS[proof.outcome]}  {claim.id}{scope(claim)}")
        if proof.vacuous:
            out("    no request matches its `when`: it says nothing")
        if not proof.holds:
            out(f"    in {where}; {proof.failure}")
            for line in counterexample(path, proof, arguments):
                out(f"    {line}")
    if not claims:
        out(f"{path}: nothing is claimed")
        note("    hint: put claims under `invariants:`, or into a file `properties.yaml`")
        return
    proved = sum(proof.holds for _, _, proof in claims)
    out(f"{path}: {proved} proved, {len(claims) - proved} not proved ({taken_ms:.0f} ms)")


WORDS = {"proved": "proved ", "refuted": "REFUTED", "unknown": "UNKNOWN"}


def scope(claim: Property) -> str:
    """Return for which models a claim is made, where that is a choice."""
    return " (for any model)" if claim.over == "any" else ""


def counterexample(path: str, proof: Proof, arguments: argparse.Namespace) -> list[str]:
    """Return how to see a claim fail."""
    lines: list[str] = []
    if proof.request is not None:
        request = request_text(proof.request).replace("'", "'\\''")
        at = f" --at {arguments.at.isoformat()}" if arguments.at is not None else ""
        lines.append(f"see: modelrouter explain {path} '{request}'{at}")
    if proof.entry is not None:
        lines.append(f"with a model such as {proof.entry_text}")
    return lines


def as_json(where: str, claim: Property, proof: Proof) -> dict[str, Json]:
    """Return a claim as `--json` prints it."""
    request = proof.request
    return {
        "id": claim.id,
        "in": where,
        "over": proof.over,
        "outcome": proof.outcome,
        "vacuous": proof.vacuous,
        "model": proof.model,
        "region": proof.region,
        "request": None if request is None else request_json(request),
        "entry": None if proof.entry is None else dict(proof.entry),
    }
