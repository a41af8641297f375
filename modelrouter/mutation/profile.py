"""What a policy does with every request, as regions: two policies with one profile decide alike.

For each chat model of the catalogue: where the guard and the hard floors leave it, where soft
floors remove it, what it comes with, where budgets meter it and restrict to others. Which
clause is named as the reason is no part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from modelrouter.engine.clauses import Engine, FloorClause, MeterClause, ObligateClause
from modelrouter.engine.obliging import CACHE, LOG, TRACE
from modelrouter.proof.conditions import when_region
from modelrouter.proof.guarding import Guardrails, guardrails_of

if TYPE_CHECKING:
    from modelrouter.policy.matchers import RequestMatcher
    from modelrouter.proof.space import Region, Space

__all__ = ["Profile", "ceilings_of", "profile_of"]

Key = tuple[str, ...]
Profile = Mapping[Key, "Region"]
STRICTEST_FIRST: Mapping[str, tuple[str, ...]] = {"trace": TRACE, "cache": CACHE, "log": LOG}


def ceilings_of(engines: Iterable[Engine]) -> tuple[Decimal, ...]:
    """Return every ceiling of cost that stands in a floor of given policies."""
    found = (floor.bounds.max_cost_usd for engine in engines for floor in engine.floors)
    return tuple(dict.fromkeys(part for part in found if part is not None))


def profile_of(space: Space, engine: Engine, ceilings: tuple[Decimal, ...]) -> Profile:
    """Return what a policy does, over a space that tells its conditions apart.

    Args:
        space: The space.
        engine: The policy.
        ceilings: Ceilings of cost to tell apart, in US dollars.

    Raises:
        TooHardError: A region needs too many boxes.
    """
    guard = guardrails_of(space, engine)
    view = View(space=space, engine=engine, ceilings=ceilings, guard=guard)
    chats = engine.everything & ~engine.table.not_chat
    budgets = [part.budget for part in engine.meters if part.budget.on_exceed == "degrade"]
    lowered = [part.degrade_floor for part in budgets if part.degrade_floor is not None]
    eligible: dict[int, Region] = {}
    standing: dict[int, Region] = {}
    found: dict[Key, Region] = {}
    for place in engine.by_id:
        if not chats >> place & 1:
            continue
        eligible[place] = view.guard.allowed(place)
        standing[place] = view.standing(place, eligible[place])
        model = engine.ids[place]
        found["guard", model] = eligible[place]
        found["candidate", model] = view.candidate(place, standing[place], None)
        lowest = min(lowered, default=None)
        reach = space.join(
            found["candidate", model], view.candidate(place, standing[place], lowest)
        )
        for key, region in (*view.costs(place), *view.obligations(place)):
            known = found.get((*key, model), ())
            found[*key, model] = space.join(known, space.meet(reach, region))
    for clause in engine.meters:
        found |= view.metered(clause, eligible, standing)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One policy over one space."""

    space: Space
    engine: Engine
    ceilings: tuple[Decimal, ...]
    guard: Guardrails

    def requests(self, clause: FloorClause | ObligateClause) -> Region:
        """Return where a floor or an obligation applies; unknown counts."""
        whens: dict[str, RequestMatcher | None] = {
            rule.id: rule.when for rule in self.engine.bundle.policy.rules
        }
        return when_region(self.space, whens[clause.id], unknown=True)

    def standing(self, place: int, eligible: Region) -> Region:
        """Return where a model is neither forbidden nor below a floor that nothing lowers."""
        space, engine = self.space, self.engine
        left = eligible
        if engine.bundle.policy.defaults.unknown_quality == "exclude":
            left = space.less(left, self.tasks_below(None, place))
        for floor in engine.floors:
            bounds = floor.bounds
            if not floor.mask >> place & 1:
                continue
            requests = self.requests(floor)
            if bounds.max_ttft_ms is not None:
                ttft = engine.table.ttft_values[place]
                if ttft is None or ttft > bounds.max_ttft_ms:
                    left = space.less(left, requests)
            if bounds.min_quality is not None and not floor.soft:
                low = self.tasks_below(bounds.min_quality, place)
                left = space.less(left, space.meet(requests, low))
        return left

    def tasks_below(self, wanted: Decimal | None, place: int) -> Region:
        """Return the tasks at which a model's quality is unknown or below what is wanted."""
        bits = 0
        for number, atom in enumerate(self.space.table.by_name["task"].atoms):
            value = self.engine.table.quality[str(atom.value)].values[place]
            if value is None or (wanted is not None and value < wanted):
                bits |= 1 << number
        return (self.space.only("task", bits),) if bits else ()

    def candidate(self, place: int, standing: Region, lowered: Decimal | None) -> Region:
        """Return where a model is a candidate, once a budget has lowered the soft floors."""
        left = standing
        for floor in self.engine.floors:
            value = floor.bounds.min_quality
            if floor.soft and value is not None and floor.mask >> place & 1:
                wanted = value if lowered is None else min(value, lowered)
                low = self.space.meet(self.requests(floor), self.tasks_below(wanted, place))
                left = self.space.less(left, low)
        return left

    def costs(self, place: int) -> Iterator[tuple[Key, Region]]:
        """Yield where a model may cost no more than each ceiling."""
        for floor in self.engine.floors:
            dearest = floor.bounds.max_cost_usd
            if dearest is not None and floor.mask >> place & 1:
                for ceiling in self.ceilings:
                    if dearest <= ceiling:
                        yield ("ceiling", str(ceiling)), self.requests(floor)

    def obligations(self, place: int) -> Iterator[tuple[Key, Region]]:
        """Yield where a model comes with each obligation, or a stricter one."""
        for clause in self.engine.obligates:
            if not clause.mask >> place & 1:
                continue
            requests = self.requests(clause)
            for name, words in STRICTEST_FIRST.items():
                word: str | None = getattr(clause.do, name)
                for weaker in words[words.index(word) :] if word is not None else ():
                    yield (name, weaker), requests
            for name in ("redact", "approval"):
                items: tuple[str, ...] = getattr(clause.do, name)
                for item in items:
                    yield (name, item), requests

    def metered(
        self, clause: MeterClause, eligible: Mapping[int, Region], standing: Mapping[int, Region]
    ) -> dict[Key, Region]:
        """Return where a budget meters each model, and where it restricts to others."""
        space, budget = self.space, clause.budget
        requests = when_region(space, budget.when, unknown=True)
        about = (
            f"{clause.limit} {clause.unit}",
            str(clause.warn_from),
            budget.period,
            budget.on_exceed,
        )
        found: dict[Key, Region] = {}
        speaks: Region = ()
        for place, region in eligible.items():
            if clause.mask >> place & 1:
                here = space.meet(region, requests)
                speaks = space.join(speaks, here)
                found["meter", budget.id, *about, self.engine.ids[place]] = here
        if budget.on_exceed != "degrade":
            return found
        # Of several budgets that lower soft floors the highest holds: what then is left is left
        # by each of them. Whether one lowers at all matters where there are others.
        others = [part.budget.degrade_floor for part in self.engine.meters if part is not clause]
        if budget.degrade_floor is not None and any(part is not None for part in others):
            found["lowers", budget.id] = speaks
        for place, region in standing.items():
            if clause.degrade_to >> place & 1:
                left = self.candidate(place, region, budget.degrade_floor)
                key = ("degraded", budget.id, self.engine.ids[place])
                found[key] = space.meet(left, speaks)
        # Where it restricts to nobody, it still restricts.
        found["degrades", budget.id] = speaks
        return found
