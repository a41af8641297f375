"""Capabilities and floors: what a model must be able to do, and how well."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from modelrouter.engine.compiled import Engine, FloorClause
from modelrouter.engine.request_matching import Subject
from modelrouter.engine.sizing import Sizes
from modelrouter.engine.spending import Metered, places
from modelrouter.decision import Reason, Removal, RuleRef
from modelrouter.values import Limits, PICO_PER_USD, Request

__all__ = ["capability_removals", "floor_removals"]

NOBODY = RuleRef()


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


def floor_removals(
    subject: Subject, limits: Limits, sizes: Sizes, metered: Metered, engine: Engine
) -> tuple[list[Removal], list[str], list[str]]:
    """Return the models below a floor, warnings of lowered floors, and the floors that matched."""
    found: list[Removal] = []
    warnings: list[str] = []
    matched: list[str] = []
    quality = engine.table.quality[subject.task].thresholds
    judged = 0
    for clause in engine.floors:
        if clause.when is not None and not clause.when(subject):
            continue
        matched.append(clause.id)
        value = clause.bounds.min_quality
        if value is not None:
            judged |= clause.mask
            lowest = lowered(clause, value, metered.soft_floor)
            if lowest != value:
                warning = f"floor lowered {value}->{lowest}"
                if warning not in warnings:
                    warnings.append(warning)
            if low := (quality.under(lowest) | quality.unknown) & clause.mask:
                found.append(
                    removal("floor", low, f"its quality is not known to reach {lowest}", clause.ref)
                )
        found.extend(speed_and_cost(clause, sizes, engine))
    if limits.min_quality is not None:
        judged = engine.everything
        if low := quality.under(limits.min_quality) | quality.unknown:
            text = f"its quality is not known to reach the call's {limits.min_quality}"
            found.append(removal("floor", low, text))
    if limits.max_ttft_ms is not None and (slow := slower(limits.max_ttft_ms, engine)):
        text = f"its first token is not known to come within {limits.max_ttft_ms} ms"
        found.append(removal("floor", slow, text))
    unmeasured = quality.unknown & ~judged
    if unmeasured and engine.bundle.policy.defaults.unknown_quality == "exclude":
        found.append(removal("floor", unmeasured, f"no evidence of quality at `{subject.task}`"))
    return found, warnings, matched


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
        ceiling = bounds.max_cost_usd * PICO_PER_USD
        dear = 0
        for place in places(clause.mask):
            worst = sizes.worst(place)
            if worst is None or worst > ceiling:
                dear |= 1 << place
        if dear:
            text = f"its worst case is not known to stay within {bounds.max_cost_usd} USD"
            yield removal("floor", dear, text, clause.ref)
