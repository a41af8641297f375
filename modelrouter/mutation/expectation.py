"""What a test has to expect so that it notices a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrouter.policy.suite import Expected
from modelrouter.policytest import differences

if TYPE_CHECKING:
    from modelrouter.decision import Decision
    from modelrouter.engine.clauses import Engine

__all__ = ["telling"]


def telling(before: Decision, after: Decision, engine: Engine) -> Expected | None:
    """Return what holds of one decision and not of another, or None if no test can say so.

    Args:
        before: What is to be expected.
        after: What must not pass.
        engine: The policy that decided `after`.
    """
    stated: dict[str, object] = {"decision": "deny", "deny_stage": before.deny_stage}
    if before.allowed:
        stated = {"models_in_order": [part.model for part in before.candidates]}
    if before.warnings:
        stated["warnings"] = [*before.warnings]
    tried = [stated]
    if before.candidates:
        tried.append({**stated, "obligations": before.candidates[0].obligations.as_json()})
    for part in tried:
        expected = Expected.model_validate(part)
        if any(differences(expected, after, engine)):
            return expected
    return None
