"""Refuses a layer that tries to widen those above it, by regions of requests."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelrouter.engine.compiled import compile_bundle
from modelrouter.policy.findings import Findings
from modelrouter.proof.widening import Widening, lowered_floors, widening_permits

if TYPE_CHECKING:
    from modelrouter.lineage import Draft
    from modelrouter.policy.bundle import Bundle

__all__ = ["check_widening"]


def check_widening(bundle: Bundle, drafts: Sequence[Draft], findings: Findings) -> None:
    """Note every permit and budget of a lower layer that tries to widen one above it.

    Permits and facts count as if none had expired: whether a policy loads must not depend on
    the day. What has expired is judged at every decision.

    Args:
        bundle: The composed policy; nothing is wrong with its names.
        drafts: Its layers from the top down.
        findings: Takes what is found.
    """
    engine = compile_bundle(bundle, datetime.date.min)
    found = {part.permit: part for part in widening_permits(engine)}
    above: frozenset[str] = frozenset()
    for draft in drafts:
        policy = draft.policy
        for place, rule in enumerate(policy.rules):
            if rule.id in found:
                note_permit(found[rule.id], bundle, draft, place, findings)
        for place, budget in enumerate(policy.budgets):
            for floor in lowered_floors(bundle, budget, above):
                value = floor.set.min_quality if floor.set else None
                findings.add(
                    draft.source,
                    ("budgets", place, "degrade_floor"),
                    "MR136",
                    f"budget `{budget.id}` could lower the floor `{floor.id}` of a layer above "
                    f"from {value} to {budget.degrade_floor} ({written(bundle, floor.id)})",
                    hint=f"write {value} or more, or narrow its `when` to other calls",
                    key=True,
                )
        above |= {rule.id for rule in policy.rules}


def note_permit(
    widening: Widening, bundle: Bundle, draft: Draft, place: int, findings: Findings
) -> None:
    """Note a permit that widens, with the line above it that it contradicts."""
    gates = [layer for layer in bundle.layers if layer.deny_from is not None]
    layer = gates[widening.gate]
    upper = f"{layer.file}:{layer.deny_line}"
    if widening.nearest is not None:
        upper = written(bundle, widening.nearest)
    path = ("rules", place)
    if widening.model is None:
        message = (
            f"whether permit `{widening.permit}` widens layer `{layer.name}` is too hard to tell"
        )
        hint = "it cannot: a model must be permitted by every layer; split it to be told"
        findings.add(
            draft.source, path, "MR135", f"{message} ({upper})", hint=hint, severity="warning"
        )
        return
    findings.add(
        draft.source,
        path,
        "MR135",
        f"permit `{widening.permit}` would widen: layer `{layer.name}` does not permit "
        f"`{widening.model}` where {widening.region} ({upper})",
        hint="narrow `when` or `models` to what the layer above permits",
    )


def written(bundle: Bundle, rule: str) -> str:
    """Return `file:line` of a rule."""
    place = bundle.place("rules", rule)
    return f"{place.file}:{place.line}"
