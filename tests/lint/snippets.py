"""Small policies: a base without findings, in which a test replaces what it is about."""

from __future__ import annotations

import datetime
import textwrap

from modelrouter.errors import Problem
from modelrouter.lint.linting import Report, examine
from modelrouter.loader import load_text

__all__ = ["DAY", "PERMIT", "codes", "findings", "policy", "report"]

DAY = datetime.date(2026, 11, 23)
PERMIT = "{id: inside, effect: permit, when: {level: restricted}, models: {hosting: self_hosted}}"
BASE = {
    "labels": "standard",
    "models": """
        - {id: home/one, weights: open, hosting: self_hosted, operator: acme, region: eu-west,
           data: {retention_days: 0}, price: {input: 0.1, output: 0.1},
           max_output: 4096, quality: {"*": 0.8}}
        - {id: home/two, weights: open, hosting: self_hosted, operator: acme, region: eu-west,
           data: {retention_days: 0}, price: {input: 0.2, output: 0.2},
           max_output: 4096, quality: {"*": 0.7}}
        - {id: vendor/one, weights: closed, hosting: vendor_api, operator: vendor, region: us-east,
           data: {retention_days: 30}, price: {input: 1, output: 4},
           max_output: 4096, quality: {"*": 0.9}}
    """,
    "facts": """
        plan: {type: enum, values: [free, pro], source: auth, required: true}
        urgent: {type: bool, source: caller, required: true}
    """,
}


def policy(*rules: str, **sections: str) -> str:
    """Return the base with a permit, the given rules, and the given sections in its place.

    A rule that begins with `-` takes the place of the permit as well.
    """
    written = [PERMIT, *rules]
    if rules and rules[0] == "-":
        written = [*rules[1:]]
    parts = BASE | sections
    if written:
        parts["rules"] = "".join(f"\n- {rule}" for rule in written)
    text = "apiVersion: modelrouter/v1\nkind: Policy\n"
    for name, value in parts.items():
        body = textwrap.dedent(value).strip("\n")
        text += (
            f"{name}: {body}\n"
            if "\n" not in value
            else f"{name}:\n{textwrap.indent(body, '  ')}\n"
        )
    return text


def report(*rules: str, at: str = "2026-11-23", pedantic: str = "", **sections: str) -> Report:
    """Return everything the linter says of a policy; `pedantic` is any text or none."""
    day = datetime.date.fromisoformat(at)
    bundle = load_text(policy(*rules, **sections), at=day)
    return examine(bundle, day, pedantic=bool(pedantic))


def findings(*rules: str, at: str = "2026-11-23", **sections: str) -> tuple[Problem, ...]:
    return report(*rules, at=at, **sections).problems


def codes(*rules: str, at: str = "2026-11-23", **sections: str) -> list[str]:
    """Return `CODE about` of every finding."""
    return sorted(f"{part.code} {part.about}" for part in findings(*rules, at=at, **sections))
