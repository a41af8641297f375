"""A test of a policy as one line of YAML, to paste into a `kind: PolicyTest` file."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from modelrouter.proof.proving import request_json

if TYPE_CHECKING:
    from modelrouter.mutation.judging import Judged
    from modelrouter.policy.suite import Given
    from modelrouter.values import Json

__all__ = ["item_of"]

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*(?:\.[A-Za-z0-9_/-]+)*")
WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""What YAML may read as something else than text."""

LONGEST_NAME = 300


def item_of(part: Judged, at: datetime.date | None) -> str | None:
    """Return the test that would notice a survivor, as an item of `tests:`; None if none is known.

    Args:
        part: The survivor.
        at: The day that the user asked about, for the test to state; None for today.
    """
    witness = part.witness
    if witness is None or witness.expect is None:
        return None
    request = request_json(witness.request)
    request.pop("given", None)
    given = given_text(witness.request.given, at)
    parts = [
        f"name: {quoted(f'notices {part.mutant}'[:LONGEST_NAME])}",
        f"request: {flow(request)}",
        *([f"given: {given}"] if given else []),
        f"expect: {flow(witness.expect.model_dump(mode='json', exclude_none=True))}",
    ]
    return f"- {{{', '.join(parts)}}}"


def given_text(given: Given, at: datetime.date | None) -> str:
    """Return the state of the world; amounts are exact. Empty for the plainest one."""
    parts: list[str] = []
    if given.budgets:
        spent = (f"{text(name)}: {plain_number(amount)}" for name, amount in given.budgets.items())
        parts.append(f"budgets: {{{', '.join(spent)}}}")
    if given.health:
        parts.append(f"health: {flow(dict(given.health))}")
    if at is not None:
        parts.append(f"at: {quoted(at.isoformat())}")
    return f"{{{', '.join(parts)}}}" if parts else ""


def flow(value: Json | Mapping[str, Json]) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{text(key)}: {flow(part)}' for key, part in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(flow(part) for part in value)}]"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return plain_number(Decimal(repr(value)))
    return json.dumps(value)


def plain_number(value: Decimal) -> str:
    """Return a number without an exponent and without zeros that say nothing."""
    digits = f"{value:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def text(value: str) -> str:
    """Return a text, quoted where YAML might read something else."""
    plain = PLAIN.fullmatch(value) is not None and value.casefold() not in WORDS
    return value if plain else quoted(value)


def quoted(value: str) -> str:
    """Return a text in double quotes."""
    return f'"{"".join(escaped(part) for part in value)}"'


def escaped(part: str) -> str:
    """Return a character as it stands in double quotes."""
    if part in '"\\':
        return f"\\{part}"
    return part if part.isprintable() else f"\\U{ord(part):08x}"
