"""The regions that checks compare, made when they are first asked for, and with bounded work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from modelrouter.engine.spending import places
from modelrouter.policy.matchers import RequestMatcher
from modelrouter.proof.conditions import known_requests, when_region
from modelrouter.proof.guarding import Guardrails, guardrails_of
from modelrouter.proof.layout import mentions_of, space_of
from modelrouter.proof.space import Region, Space, TooHardError

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.policy.document import Rule

__all__ = ["STEPS_AT_MOST", "Bounded", "Regions"]

STEPS_AT_MOST = 400_000
"""Boxes one check may look at before its question counts as too hard; about half a second."""


class Bounded(Space):
    """A space that counts what its regions cost."""

    __slots__ = ("steps",)

    def __init__(self, space: Space) -> None:
        super().__init__(space.table, space.coherence)
        self.steps: int = 0

    def spend(self, steps: int) -> None:
        """Count some work; too much of it ends the question."""
        self.steps += steps
        if self.steps > STEPS_AT_MOST:
            raise TooHardError

    def meet(self, left: Iterable[int], right: Sequence[int]) -> Region:
        """Return the intersection of two regions."""
        boxes = tuple(left)
        self.spend(len(boxes) * len(right))
        return super().meet(boxes, right)

    def less(self, region: Iterable[int], taken: Iterable[int]) -> Region:
        """Return what is left of a region."""
        left = tuple(region)
        for other in taken:
            if not left:
                break
            self.spend(len(left))
            left = super().less(left, (other,))
        return left

    def near(self, box: int, others: Sequence[int]) -> list[int] | None:
        """Return the boxes that touch `box`, or None if one of them holds all of it."""
        self.spend(1 + len(others) // 8)  # about as dear as eight others to look at
        return super().near(box, others)

    def touches(self, region: Region, other: Region) -> bool:
        """Whether two regions have a point that exists in common."""
        self.spend(len(region) * len(other))
        return any(self.possible(one & two) for one in region for two in other)


class Regions:
    """What a policy says of requests, as regions."""

    def __init__(self, engine: Engine) -> None:
        self.engine: Engine = engine
        self.known_eligible: dict[int, Region] = {}
        self.hard: TooHardError | None = None
        self.covered: list[tuple[Rule, list[str]]] | None = None  # filled by `shadows`

    @cached_property
    def requests(self) -> Bounded:
        """The space of requests."""
        return self.made(any_model=False)

    @cached_property
    def universe(self) -> Bounded:
        """The space of requests and conceivable models."""
        return self.made(any_model=True)

    def made(self, *, any_model: bool) -> Bounded:
        """Return a space that tells apart all conditions, and the defaults of facts."""
        bundle = self.engine.bundle
        mentions = mentions_of([bundle])
        mentions.whens += [
            RequestMatcher.model_validate({"facts": {name: {"=": [fact.default]}}})
            for name, fact in bundle.policy.facts.items()
            if fact.default is not None
        ]
        return Bounded(space_of(bundle, mentions, any_model=any_model))

    @cached_property
    def guard(self) -> Guardrails:
        """The guard over the space of requests."""
        return guardrails_of(self.requests, self.engine)

    @cached_property
    def known(self) -> Region:
        """The requests of which everything is known."""
        return known_requests(self.requests)

    def when(self, matcher: RequestMatcher | None, *, unknown: bool) -> Region:
        """Return the requests for which a condition holds; those on budgets count as true."""
        found = when_region(self.requests, matcher, unknown=unknown, spent=True)
        return tuple(box for box in found if self.requests.possible(box))

    def eligible(self, place: int) -> Region:
        """Return the known requests for which the guard leaves a model.

        What is unknown only counts against a model, so a model that no known request may use
        is of no use to a request with unknown parts either.
        """
        signature = self.guard.signature(place)
        if signature not in self.known_eligible:
            if self.hard is not None:
                raise self.hard
            try:
                found = self.guard.allowed(place, self.known)
            except TooHardError as error:
                self.hard = error
                raise
            self.known_eligible[signature] = found
        return self.known_eligible[signature]

    def eligible_within(self, mask: int, region: Region) -> int:
        """Return the models of a mask that some request of a region may use."""
        found = 0
        for place in places(mask):
            if self.requests.touches(self.eligible(place), region):
                found |= 1 << place
        return found

    def join(self, mask: int) -> Region:
        """Return the requests for which the guard leaves one of a mask's models."""
        distinct = {self.guard.signature(place): place for place in places(mask)}
        return self.requests.join(*(self.eligible(place) for place in distinct.values()))

    def restart(self) -> None:
        """Let the next check begin with all the work it may do."""
        for space in (self.__dict__.get("requests"), self.__dict__.get("universe")):
            if isinstance(space, Bounded):
                space.steps = 0
