"""Which requests have a candidate: the whole decision as regions, for `always_served`.

Budgets are adversaries: each one that lasts longer than a call may be untouched or exhausted,
whichever is worse. Nothing else is uncertain: needs that a claim does not list are none, tokens
and output are those of the unit tests, and obligations are taken as fulfilled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from modelrouter.engine.clauses import Engine, FloorClause, MeterClause
from modelrouter.proof.conditions import when_region
from modelrouter.proof.examples import DEFAULT_OUTPUT
from modelrouter.proof.guarding import Guardrails, guardrails_of
from modelrouter.proof.layout import DEFAULT_TOKENS, Mentions
from modelrouter.values import pico_of

if TYPE_CHECKING:
    from modelrouter.policy.suite import Property
    from modelrouter.proof.space import Region, Space

__all__ = ["add_mentions", "asked_region", "served_regions"]


def add_mentions(mentions: Mentions, engine: Engine) -> None:
    """Add the numbers of tokens at which a model stops fitting, and the budgets."""
    mentions.tokens += [DEFAULT_TOKENS, DEFAULT_TOKENS + 1]
    mentions.budgets += [part.budget.id for part in engine.meters if lasts(part)]
    for place, entry in enumerate(engine.bundle.models):
        if entry.context_window is not None:
            mentions.tokens.append(entry.context_window - DEFAULT_OUTPUT + 1)
        ceilings = [
            pico_of(part.bounds.max_cost_usd)
            for part in engine.floors
            if part.bounds.max_cost_usd is not None
        ]
        ceilings += [part.limit for part in engine.meters if part.unit == "usd"]
        found = [tokens_within(engine, place, ceiling) for ceiling in (*ceilings, 0)]
        mentions.tokens += [most + 1 for most in found if most is not None and most >= 0]
    mentions.tokens += [
        part.limit - DEFAULT_OUTPUT + 1 for part in engine.meters if part.unit == "tokens"
    ]


def lasts(clause: MeterClause) -> bool:
    """Whether a budget can be exhausted by earlier calls."""
    return clause.budget.period != "call" and clause.budget.on_exceed != "warn"


def tokens_within(engine: Engine, place: int, ceiling: int) -> int | None:
    """Return the most input tokens whose worst case stays within a cost, or None for any number.

    -1 means that no number does, or that the model has no price.
    """
    rates = engine.table.linear[place]
    if rates is None:
        return -1
    room = ceiling - DEFAULT_OUTPUT * rates[4] - rates[2]
    if room < 0:
        return -1
    return room // rates[3] if rates[3] else None


def asked_region(space: Space, claim: Property) -> Region:
    """Return the requests that a claim means where it does not speak of needs or tokens."""
    box = space.everything
    needs = None if claim.when is None else claim.when.needs
    listed = () if needs is None else (*(needs.any or ()), *(needs.all or ()), *(needs.none or ()))
    for field in space.table.fields:
        # What only other clauses mention is not needed, or the answer would depend on them.
        if field.name.startswith("need:") and field.name.removeprefix("need:") not in listed:
            box &= space.only(field.name, 1)
    if claim.when is None or claim.when.tokens is None:
        atoms = space.table.by_name["tokens"].atoms
        place = next(number for number, atom in enumerate(atoms) if atom.value == DEFAULT_TOKENS)
        box &= space.only("tokens", 1 << place)
    return (box,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is needed to follow a decision: the policy, and where models pass the first stages.

    Attributes:
        able: For each chat model the requests it is eligible for and able to serve.
        degraded: For each budget that restricts, where it does.
    """

    space: Space
    engine: Engine
    able: dict[int, Region]
    degraded: dict[str, Region]


def served_regions(space: Space, engine: Engine, start: Region) -> Iterator[Region]:
    """Yield, for each chat model, the requests of `start` for which it is a candidate."""
    guard = guardrails_of(space, engine)
    chats = engine.everything & ~engine.table.not_chat
    able = {place: able_region(guard, place, start) for place in engine.by_id if chats >> place & 1}
    serving = Serving(space=space, engine=engine, able=able, degraded={})
    for clause in engine.meters:
        if clause.budget.on_exceed == "degrade":
            over = [exceeded(serving, clause, place) for place in able if clause.mask >> place & 1]
            serving.degraded[clause.budget.id] = space.join(*over)
    for place, region in able.items():
        left = region
        for clause in engine.meters:
            left = space.less(left, metered_out(serving, clause, place))
        for floor in engine.floors:
            left = space.less(left, below_floor(serving, floor, place))
        yield space.less(left, unmeasured(serving, place))


def able_region(guard: Guardrails, place: int, start: Region) -> Region:
    """Return the requests for which a model passes the guard and has the capabilities."""
    space, engine = guard.space, guard.engine
    table, entry = engine.table, engine.bundle.models[place]
    box = space.everything
    for field in space.table.fields:
        name = field.name.removeprefix("need:")
        if name != field.name and not table.capable.get(name, 0) >> place & 1:
            box &= space.only(field.name, 1)
    if entry.context_window is not None:
        box &= tokens_at_most(space, entry.context_window - DEFAULT_OUTPUT)
    if entry.max_output is not None and entry.max_output < DEFAULT_OUTPUT:
        return ()
    return guard.allowed(place, space.meet(start, (box,)))


def tokens_at_most(space: Space, most: int | None) -> int:
    """Return the box of the requests with no more input tokens; None is no bound."""
    if most is None:
        return space.everything
    atoms = space.table.by_name["tokens"].atoms
    fits = [isinstance(atom.value, int) and atom.value <= most for atom in atoms]
    return space.only("tokens", sum(1 << place for place, fit in enumerate(fits) if fit))


def exceeded(serving: Serving, clause: MeterClause, place: int) -> Region:
    """Return where the worst case of a metered model does not fit into a budget."""
    space = serving.space
    region = space.meet(serving.able[place], when_region(space, clause.budget.when, unknown=True))
    fresh = space.less(
        region, (tokens_at_most(space, room_of(serving, clause, place, clause.limit)),)
    )
    if not lasts(clause):
        return fresh
    spent = space.less(region, (tokens_at_most(space, room_of(serving, clause, place, 0)),))
    name = f"budget:{clause.budget.id}"
    return space.join(
        space.meet(fresh, (space.only(name, 1),)), space.meet(spent, (space.only(name, 2),))
    )


def room_of(serving: Serving, clause: MeterClause, place: int, left: int) -> int | None:
    """Return the most input tokens that fit into what is left of a budget, or None for any."""
    if clause.unit == "usd":
        if serving.engine.table.linear[place] is None:
            return None  # without a bound: see `metered_out`
        return tokens_within(serving.engine, place, left)
    if clause.unit == "tokens":
        return left - DEFAULT_OUTPUT
    return None if left >= 1 else -1


def metered_out(serving: Serving, clause: MeterClause, place: int) -> Region:
    """Return where a budget removes a model."""
    space, action = serving.space, clause.budget.on_exceed
    if action == "warn":
        return ()
    removed: Region = ()
    if action == "degrade" and not clause.degrade_to >> place & 1:
        removed = serving.degraded[clause.budget.id]
    if clause.mask >> place & 1:
        removed = space.join(removed, exceeded(serving, clause, place))
        if clause.unit == "usd" and serving.engine.table.linear[place] is None:
            requests = when_region(space, clause.budget.when, unknown=True)
            removed = space.join(removed, requests)
    return removed


def below_floor(serving: Serving, floor: FloorClause, place: int) -> Region:
    """Return where a floor removes a model."""
    engine, space = serving.engine, serving.space
    if not floor.mask >> place & 1:
        return ()
    whens = {rule.id: rule.when for rule in engine.bundle.policy.rules}
    requests = when_region(space, whens[floor.id], unknown=True)
    bounds = floor.bounds
    removed: Region = ()
    if bounds.min_quality is not None:
        removed = too_poor(serving, floor, bounds.min_quality, place)
    if bounds.max_ttft_ms is not None:
        ttft = engine.table.ttft_values[place]
        if ttft is None or ttft > bounds.max_ttft_ms:
            return requests
    if bounds.max_cost_usd is not None:
        most = tokens_within(engine, place, pico_of(bounds.max_cost_usd))
        dear = space.less(space.all, (tokens_at_most(space, most),))
        removed = space.join(removed, dear)
    return space.meet(requests, removed)


def too_poor(serving: Serving, floor: FloorClause, wanted: Decimal, place: int) -> Region:
    """Return where a model's quality does not reach a floor; spent budgets may lower it."""
    engine, space = serving.engine, serving.space
    failing: Region = ()
    for number, atom in enumerate(space.table.by_name["task"].atoms):
        value = engine.table.quality[str(atom.value)].values[place]
        if value is not None and value >= wanted:
            continue
        here: Region = (space.only("task", 1 << number),)
        if value is not None and floor.soft:
            here = space.less(here, lowered_to(serving, value))
        failing = space.join(failing, here)
    return failing


def lowered_to(serving: Serving, value: Decimal) -> Region:
    """Return where spent budgets lower soft floors to `value` or below."""
    space = serving.space
    low: list[Region] = []
    high: list[Region] = []
    for clause in serving.engine.meters:
        bound = clause.budget.degrade_floor
        if clause.budget.on_exceed == "degrade" and bound is not None:
            (low if bound <= value else high).append(serving.degraded[clause.budget.id])
    return space.less(space.join(*low), space.join(*high))


def unmeasured(serving: Serving, place: int) -> Region:
    """Return the tasks a model has no evidence for, where such models are excluded."""
    engine, space = serving.engine, serving.space
    if engine.bundle.policy.defaults.unknown_quality != "exclude":
        return ()
    atoms = space.table.by_name["task"].atoms
    bits = sum(
        1 << number
        for number, atom in enumerate(atoms)
        if engine.table.quality[str(atom.value)].values[place] is None
    )
    return (space.only("task", bits),) if bits else ()
