"""The claims without which a policy does not load."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelrouter.engine.compiled import compile_bundle
from modelrouter.proof.proving import Claims

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["unproved"]


def unproved(bundle: Bundle, at: datetime.date) -> Iterator[tuple[str, str, str]]:
    """Yield id, message and hint of each invariant of a policy that is not proved.

    Args:
        bundle: The policy.
        at: The day: expired facts, lapsed permits and retired models count as of it.
    """
    if not bundle.policy.invariants:
        return
    claims = Claims(compile_bundle(bundle, at))
    for claim in bundle.policy.invariants:
        proof = claims.prove(claim)
        if not proof.holds:
            remedy = proof.remedy(bundle.path)
            yield claim.id, f"invariant `{claim.id}` {proof.failure}", remedy
