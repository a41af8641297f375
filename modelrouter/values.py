"""The values that go into a decision and come out of an answer.

Everything here is frozen. Money is an integer number of pico-dollars inside (exact at
prices per million tokens with six decimals) and a `Decimal` number of US dollars in
every public property.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from typing import TypeAlias

from modelrouter.labels import Label

__all__ = [
    "NO_LIMITS",
    "PICO_PER_USD",
    "FactValue",
    "Json",
    "Limits",
    "Request",
    "Usage",
    "pico_of",
    "usd",
    "usd_text",
]

FactValue: TypeAlias = str | bool | int
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

EXACT = Context(prec=100)
PICO_PER_USD = 10**12
"""Money is counted in millionths of a millionth of a US dollar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one call asks for beyond the policy; each can only tighten.

    Attributes:
        max_cost_usd: Ceiling of the worst-case cost in US dollars.
        min_quality: Quality floor, 0 to 1.
        max_ttft_ms: Ceiling of the p95 time to the first token in milliseconds.
        models: The only catalogue ids to be considered, or None for all.
    """

    max_cost_usd: Decimal | None = None
    min_quality: Decimal | None = None
    max_ttft_ms: int | None = None
    models: frozenset[str] | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a decision knows of a call. It holds no content.

    Attributes:
        declared: The caller's label, not yet closed; None when nobody labelled the call.
        evidence: Labels from elsewhere that join the declared one: an unscannable part,
            a detection, the thread.
        task: A task of the policy; None stands for `other`.
        needs: Capabilities the answer depends on.
        tokens: Estimated input tokens.
        tokens_at_most: Upper bound of the input tokens, for budgets; None = `tokens`.
        max_output: The call's own limit of output tokens for each choice, or None.
        choices: How many answers are asked for.
        facts: Facts the caller or the host supplied, by name.
        limits: The call's own limits.
        stream: Whether the caller reads the answer piece by piece.
    """

    declared: Label | None = None
    evidence: tuple[Label, ...] = ()
    task: str | None = None
    needs: frozenset[str] = frozenset()
    tokens: int = 1000
    tokens_at_most: int | None = None
    max_output: int | None = None
    choices: int = 1
    facts: Mapping[str, FactValue] = field(default_factory=dict[str, FactValue])
    limits: Limits = NO_LIMITS
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer as the provider reported them.

    Attributes:
        input_tokens: All input tokens, cached ones included.
        output_tokens: All output tokens, reasoning included.
        cached_input_tokens: Part of the input read from the provider's cache.
        cache_write_tokens: Part of the input written to the provider's cache.
        reasoning_tokens: Part of the output that was reasoning.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


def usd(pico: int | None) -> Decimal | None:
    """Return pico-dollars as US dollars, exactly and whatever the host's decimal context is."""
    return None if pico is None else EXACT.scaleb(Decimal(pico), -12)


def usd_text(amount: Decimal) -> str:
    """Return US dollars for people: without an exponent and without zeros at the end."""
    whole, point, rest = f"{amount:f}".partition(".")
    return whole + (point + rest).rstrip("0").rstrip(".")


def pico_of(amount: Decimal) -> int:
    """Return US dollars as pico-dollars, rounded down below a pico-dollar."""
    return int(Fraction(amount) * PICO_PER_USD)
