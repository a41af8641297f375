"""What a rule asks, part by part, and which other rule asks at least as much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from modelrouter.engine.obliging import CACHE, LOG, TRACE

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.policy.document import Floors, Obligate, Rule

__all__ = ["Demand", "demands_of", "satisfies"]


class Demand(NamedTuple):
    """One thing that a rule asks.

    Attributes:
        kind: What it is about; only demands of one kind compare.
        strictness: Grows with what is asked.
        soft: Whether a spent budget may lower it.
    """

    kind: str
    strictness: Decimal = Decimal(0)
    soft: bool = False


def satisfies(other: Demand, own: Demand) -> bool:
    """Whether a model that meets `other` meets `own`, whatever is spent."""
    return (
        other.kind == own.kind
        and other.strictness >= own.strictness
        and (own.soft or not other.soft)
    )


def demands_of(rule: Rule, engine: Engine) -> tuple[Demand, ...]:
    """Return what a rule asks. Forbids and requires both take models away."""
    if rule.effect in {"forbid", "require"}:
        return (Demand("guard"),)
    if rule.effect == "permit":
        gates = enumerate(engine.gates)
        # What lapses sooner stands in for nothing that lasts.
        lasts = Decimal("Infinity") if rule.expires is None else Decimal(rule.expires.toordinal())
        return tuple(
            Demand(f"permit {place}", lasts)
            for place, gate in gates
            if any(clause.id == rule.id for clause in gate.permits)
        )
    if rule.set is not None:
        return tuple(floor_demands(rule.set, soft=rule.strength == "soft"))
    return () if rule.do is None else tuple(obligate_demands(rule.do))


def floor_demands(bounds: Floors, *, soft: bool) -> Iterator[Demand]:
    """Yield what a floor asks; only its bound of quality can be soft."""
    if bounds.min_quality is not None:
        yield Demand("min_quality", bounds.min_quality, soft)
    if bounds.max_ttft_ms is not None:
        yield Demand("max_ttft_ms", -Decimal(bounds.max_ttft_ms))
    if bounds.max_cost_usd is not None:
        yield Demand("max_cost_usd", bounds.max_cost_usd.copy_negate())


def obligate_demands(do: Obligate) -> Iterator[Demand]:
    """Yield what an obligation asks."""
    scalars: tuple[tuple[str, str | None, Sequence[str]], ...] = (
        ("trace", do.trace, TRACE),
        ("cache", do.cache, CACHE),
        ("log", do.log, LOG),
    )
    for name, word, strictest_first in scalars:
        if word is not None:
            yield Demand(name, Decimal(-strictest_first.index(word)))
    for name, members in (("redact", do.redact), ("approval", do.approval)):
        for member in members:
            yield Demand(f"{name} {member}")
