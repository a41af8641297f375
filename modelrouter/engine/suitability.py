"""Capabilities and floors: what a model must be able to do, and how well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from modelrouter.decision import Reason, Removal, RuleRef
from modelrouter.engine.clauses import Engine, FloorClause
from modelrouter.engine.costs import Thresholds
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.sizing import Sizes
from modelrouter.engine.spending import Metered, places
from modelrouter.values import Limits, Request, pico_of

__all__ = ["Floored", "capability_removals", "floor_removals"]

NOBODY = RuleRef()
UNMEASURED = "no evidence of quality at `{}`: give it `quality:`, or set `unknown_quality: ignore`"


def removal(stage: str, models: int, detail: str, rule: RuleRef = NOBODY) -> Removal:
    """Return one reason with the models it removes."""
    return Removal(models=models, reason=Reason(stage=stage, rule=rule, detail=detail))


def capability_removals(
    request: Request, sizes: Sizes, engine: Engine, down: frozenset[str]
) -> list[Removal]:
    """Return the models that cannot serve the request at all. Absent limits are not checked."""
    table = engine.table
    found: list[Removal] = []
    if table.not_chat:
        found.append(removal("capability", table.not_chat, "it does not answer chats"))
    for need in sorted(request.needs):
        lacking = engine.everything & ~table.capable.get(need, 0)
        if lacking:
            found.append(removal("capability", lacking, f"it lacks `{need}`"))
    total = sizes.tokens + (sizes.max_output or 0)
    if narrow := table.windows.under(total):
        found.append(removal("capability", narrow, f"its context window is below {total:,} tokens"))
    if sizes.max_output is not None and (short := table.outputs.under(sizes.max_output)):
        found.append(
            removal("capability", short, f"it writes fewer than {sizes.max_output:,} tokens")
        )
    if down:
        silent = sum(1 << engine.place[name] for name in down if name in engine.place)
        if silent:
            found.append(removal("capability", silent, "it is down"))
    chosen = request.limits.models
    if chosen is not None:
        others = engine.everything & ~sum(1 << engine.place[name] for name in chosen)
        if others:
            found.append(removal("capability", others, "the call asks for other models"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Floored:
    """What floors do to a decision.

    Attributes:
        removals: The models below a floor.
        warnings: Floors that a spent budget lowered.
        matched: Ids of the floors that apply.
    """

    removals: tuple[Removal, ...]
    warnings: tuple[str, ...]
    matched: tuple[str, ...]


def floor_removals(
    subject: Subject, limits: Limits, sizes: Sizes, metered: Metered, engine: Engine
) -> Floored:
    """Return what the floors that apply remove; an unknown figure reaches no floor."""
    quality = engine.table.quality[subject.task].thresholds
    matched = [part for part in engine.floors if part.when is None or part.when(subject)]
    found: list[Removal] = []
    warnings: dict[str, None] = {}
    judged = 0
    for clause in matched:
        value = clause.bounds.min_quality
        if value is not None:
            judged |= clause.mask
            lowest = lowered(clause, value, metered.soft_floor)
            if lowest != value:
                warnings[f"floor lowered {value}->{lowest}"] = None
            if low := (quality.under(lowest) | quality.unknown) & clause.mask:
                text = f"its quality is not known to reach {lowest}"
                found.append(removal("floor", low, text, clause.ref))
        found.extend(speed_and_cost(clause, sizes, engine))
    found.extend(call_floors(limits, quality, engine))
    unmeasured = 0 if limits.min_quality is not None else quality.unknown & ~judged
    if unmeasured and engine.bundle.policy.defaults.unknown_quality == "exclude":
        found.append(removal("floor", unmeasured, UNMEASURED.format(subject.task)))
    return Floored(
        removals=tuple(found),
        warnings=tuple(warnings),
        matched=tuple(part.id for part in matched),
    )


def call_floors(limits: Limits, quality: Thresholds, engine: Engine) -> Iterator[Removal]:
    """Yield the models below the call's own floors."""
    if limits.min_quality is not None and (
        low := quality.under(limits.min_quality) | quality.unknown
    ):
        text = f"its quality is not known to reach the call's {limits.min_quality}"
        yield removal("floor", low, text)
    if limits.max_ttft_ms is not None and (slow := slower(limits.max_ttft_ms, engine)):
        text = f"its first token is not known to come within {limits.max_ttft_ms} ms"
        yield removal("floor", slow, text)


def lowered(clause: FloorClause, value: Decimal, soft_floor: Decimal | None) -> Decimal:
    """Return the floor in force: a soft one falls to what the spent budgets allow."""
    if clause.soft and soft_floor is not None:
        return min(value, soft_floor)
    return value


def slower(ceiling: int, engine: Engine) -> int:
    """Return the models whose first token is not known to come in time."""
    return engine.table.ttft.over(ceiling) | engine.table.ttft.unknown


def speed_and_cost(clause: FloorClause, sizes: Sizes, engine: Engine) -> Iterator[Removal]:
    """Yield the models above a floor rule's ceilings of latency and cost."""
    bounds = clause.bounds
    if bounds.max_ttft_ms is not None and (
        slow := slower(bounds.max_ttft_ms, engine) & clause.mask
    ):
        text = f"its first token is not known to come within {bounds.max_ttft_ms} ms"
        yield removal("floor", slow, text, clause.ref)
    if bounds.max_cost_usd is not None:
        ceiling = pico_of(bounds.max_cost_usd)
        dear = 0
        for place in places(clause.mask):
            worst = sizes.worst[place]
            if worst is None or worst > ceiling:
                dear |= 1 << place
        if dear:
            text = f"its worst case is not known to stay within {bounds.max_cost_usd} USD"
            yield removal("floor", dear, text, clause.ref)
