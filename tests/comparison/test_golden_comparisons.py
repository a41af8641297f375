"""What is printed for changes of the shipped hospital policy, in full.

`REWRITE=1 pytest tests/comparison/test_golden_comparisons.py` writes the expected files anew.
"""

# ruff: noqa: E501 - pieces of a policy stand as they are

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelrouter.cli.diff_markdown import markdown_of
from modelrouter.cli.diff_text import lines_of
from modelrouter.comparison.comparing import compare
from tests.comparison.policies import TODAY, hospital

GOLDEN = Path(__file__).parents[1] / "golden" / "comparisons"
CHANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "nothing": (),
    "phi_may_leave": (
        ("when: {categories: {any: [phi]}}\n    models: {set: outside}\n    reason: No business-associate agreement covers any vendor.",
         "when: {categories: {any: [phi]}, facts: {purpose: research}}\n    models: {set: outside}\n    reason: The vendor signed."),
        ("when: {categories: {any: [phi]}}\n    models: {weights: closed}",
         "when: {categories: {any: [phi]}, facts: {purpose: research}}\n    models: {weights: closed}"),
        ("models: {hosting: self_hosted, region: eu-west}", "models: {region: [eu-west, eu-central]}"),
    ),
    "retention_forgotten": (
        ("  - id: no-retention-above-internal\n    effect: require\n    when: {level: {at_least: confidential}}\n    models: {retention_days: {at_most: 0}}\n", ""),
        ("models: {region: [eu-west, eu-central]}", "models: {region: [eu-west, eu-central, us-east]}"),
    ),
    "unlabelled_is_internal": (("unlabelled: top ", "unlabelled: internal "),),
    "pii_is_internal": (("pii:     {at_least: confidential}", "pii:     {at_least: internal}"),),
    "obligations_dropped": (
        ("do: {redact: [pii]}", "do: {log: decision}"),
        ("do: {trace: none, cache: none, log: decision+hash}", "do: {trace: redacted, log: decision+hash}"),
        ("do: {approval: hr}", "do: {log: decision}"),
    ),
    "vendor_moved": (
        ("operator: vendor-a\n    region: eu-central\n    data: {retention_days: 0,", "operator: vendor-c\n    region: eu-central\n    data: {retention_days: 30,"),
        ("agreements: [dpa, scc]", "agreements: [dpa]"),
    ),
    "tightened": (
        ("default_deny_from: restricted", "default_deny_from: confidential"),
        ("set: {min_quality: 0.80}", "set: {min_quality: 0.85}"),
        ("limit_usd: 2000", "limit_usd: 1500"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("form", ["txt", "md"])
def test_a_change_is_told_as_it_was_reviewed(name: str, form: str) -> None:
    old, new = hospital(), hospital(*CHANGES[name])
    found = compare(old, new, at=TODAY)
    lines = lines_of(found, "OLD", "NEW")
    text = markdown_of(found, old, new) if form == "md" else "\n".join(lines)
    path = GOLDEN / f"{name}.{form}"
    if os.environ.get("REWRITE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")
    grows = name not in {"nothing", "tightened", "pii_is_internal"}
    assert found.wider is grows
