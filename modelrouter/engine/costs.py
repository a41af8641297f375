"""The figures of the models on one day: prices, limits, speed and quality, as columns."""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeVar

from modelrouter.engine.model_matching import ModelFacts, expired
from modelrouter.values import pico_of

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.catalogue import Evidence, ModelEntry, Prices

__all__ = ["Basis", "ModelTable", "Rates", "TaskQuality", "Thresholds", "rates_of", "table_of"]

Basis = Literal["measured", "asserted", "uncertified", "none"]
PICO_PER_MILLIONTH = 10**6
"""One US dollar for a million tokens is a million pico-dollars a token."""
NumberT = TypeVar("NumberT", int, Decimal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices of one model in pico-dollars a token, and for each request.

    Attributes:
        worst_input: The dearest way an input token can be charged.
        worst_output: The dearest way an output token can be charged.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    reasoning: int
    request: int
    worst_input: int
    worst_output: int


class Thresholds:
    """Which models lie below a bound, as a mask found by bisection.

    Args:
        values: A figure for each model; None is unknown and lies on neither side.
    """

    __slots__ = ("below", "keys", "unknown")

    def __init__(self, values: Sequence[int | Decimal | None]) -> None:
        known = sorted((value, place) for place, value in enumerate(values) if value is not None)
        self.keys: list[int | Decimal] = [value for value, _ in known]
        self.below: list[int] = [0]
        for _, place in known:
            self.below.append(self.below[-1] | (1 << place))
        self.unknown: int = sum(1 << place for place, value in enumerate(values) if value is None)

    def under(self, bound: int | Decimal) -> int:
        """Return the models whose figure is less than `bound`."""
        return self.below[bisect.bisect_left(self.keys, bound)]

    def over(self, bound: int | Decimal) -> int:
        """Return the models whose figure is more than `bound`."""
        return self.below[-1] & ~self.below[bisect.bisect_right(self.keys, bound)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuality:
    """Quality of every model at one task.

    Attributes:
        values: The value floors compare, or None where it is unknown.
        basis: Where each value comes from.
        thresholds: The same values, for floors.
    """

    values: tuple[Decimal | None, ...]
    basis: tuple[Basis, ...]
    thresholds: Thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """Figures of the models by place in the catalogue.

    Attributes:
        not_chat: Models that do not answer chats.
        capable: Models by capability.
        windows: Context windows in tokens.
        outputs: Limits of output tokens.
        output_limits: The same limits by place.
        rates: Prices, or None for an unpriced model.
        linear: The same as plain figures: input, output, request, worst input, worst output.
        unpriced: Models without a price.
        ttft: p95 time to the first token in milliseconds.
        ttft_values: The same by place.
        retention: Days of retention by place.
        quality: Quality by task.
    """

    not_chat: int
    capable: Mapping[str, int]
    windows: Thresholds
    outputs: Thresholds
    output_limits: tuple[int | None, ...]
    rates: tuple[Rates | None, ...]
    linear: tuple[tuple[int, int, int, int, int] | None, ...]
    unpriced: int
    ttft: Thresholds
    ttft_values: tuple[int | None, ...]
    retention: tuple[int | None, ...]
    quality: Mapping[str, TaskQuality]


def table_of(bundle: Bundle, facts: Sequence[ModelFacts], at: datetime.date) -> ModelTable:
    """Return the figures of the models as they stand on the day `at`."""
    models = bundle.models
    names = {name for part in facts for name in part.capabilities or ()}
    rates = tuple(rates_of(entry.price, at) for entry in models)
    ttft = tuple(
        None if expired(entry.latency.expires, at) else entry.latency.ttft_ms_p95
        for entry in models
    )
    return ModelTable(
        not_chat=sum(1 << place for place, entry in enumerate(models) if entry.role != "chat"),
        capable={
            name: sum(
                1 << place for place, part in enumerate(facts) if name in (part.capabilities or ())
            )
            for name in names
        },
        windows=Thresholds([entry.context_window for entry in models]),
        outputs=Thresholds([entry.max_output for entry in models]),
        output_limits=tuple(entry.max_output for entry in models),
        rates=rates,
        linear=tuple(None if part is None else plain_rates(part) for part in rates),
        unpriced=sum(1 << place for place, part in enumerate(rates) if part is None),
        ttft=Thresholds(ttft),
        ttft_values=ttft,
        retention=tuple(part.retention_days for part in facts),
        quality={
            task: quality_of(task, models, bundle.policy.defaults.compare_quality, at)
            for task in bundle.words.tasks
        },
    )


def plain_rates(rates: Rates) -> tuple[int, int, int, int, int]:
    """Return input, output, request, worst input and worst output."""
    return rates.input, rates.output, rates.request, rates.worst_input, rates.worst_output


def rates_of(prices: Prices | None, at: datetime.date) -> Rates | None:
    """Return the prices in force on the day `at`, or None."""
    if prices is None or expired(prices.expires, at):
        return None

    def pico(price: Decimal | None, otherwise: int) -> int:
        return otherwise if price is None else int(Fraction(price) * PICO_PER_MILLIONTH)

    paid_in, paid_out = pico(prices.input, 0), pico(prices.output, 0)
    cached, written = pico(prices.cached_input, paid_in), pico(prices.cache_write, paid_in)
    reasoning = pico(prices.reasoning, paid_out)
    return Rates(
        input=paid_in,
        output=paid_out,
        cached_input=cached,
        cache_write=written,
        reasoning=reasoning,
        request=0 if prices.request is None else pico_of(prices.request),
        worst_input=max(paid_in, cached, written),
        worst_output=max(paid_out, reasoning),
    )


def quality_of(
    task: str, models: Sequence[ModelEntry], compare: Literal["lower", "score"], at: datetime.date
) -> TaskQuality:
    """Return the quality of every model at one task."""
    found = [judged(entry.quality, task, compare, at) for entry in models]
    values = tuple(value for value, _ in found)
    return TaskQuality(
        values=values, basis=tuple(basis for _, basis in found), thresholds=Thresholds(values)
    )


def judged(
    quality: Mapping[str, Evidence],
    task: str,
    compare: Literal["lower", "score"],
    at: datetime.date,
) -> tuple[Decimal | None, Basis]:
    """Return the value floors compare and where it comes from."""
    own = quality.get(task)
    evidence = own if own is not None else quality.get("*")
    if evidence is None or expired(evidence.expires, at):
        return None, "none"
    if evidence.asserted:
        return evidence.score, "asserted"
    value = evidence.lower if compare == "lower" else evidence.score
    if value is None:
        return None, "none"
    return value, "measured" if own is not None else "uncertified"
