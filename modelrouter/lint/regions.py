"""The regions that checks compare, made when they are first asked for, and with bounded work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from modelrouter.engine.spending import places
from modelrouter.policy.matchers import RequestMatcher
from modelrouter.proof.conditions import known_requests, when_region
from modelrouter.proof.guarding import Guardrails, Question, guardrails_of
from modelrouter.proof.layout import mentions_of, space_of
from modelrouter.proof.space import Region, Space, TooHardError

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.policy.document import Rule

__all__ = ["STEPS_AT_MOST", "Bounded", "Covered", "Regions", "lowest_place"]

STEPS_AT_MOST = 400_000
"""Boxes one check may look at before its question counts as too hard; about half a second."""

FIELDS_AT_MOST = 500
"""Categories, facts, tags and the like that a space may have; a box grows with them."""


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


class Covered(NamedTuple):
    """Rules that others cover.

    Attributes:
        rules: Each with the ids of those that cover it.
        complete: Whether every rule was decided.
    """

    rules: list[tuple[Rule, list[str]]]
    complete: bool


class Regions:
    """What a policy says of requests, as regions."""

    def __init__(self, engine: Engine) -> None:
        self.engine: Engine = engine
        self.questions: dict[int, Question] = {}
        self.covered: Covered | None = None  # filled by `shadows`

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
        if len(bundle.scheme.categories) + len(bundle.policy.facts) > FIELDS_AT_MOST:
            raise TooHardError
        mentions = mentions_of([bundle])
        mentions.whens += [
            RequestMatcher.model_validate({"facts": {name: {"=": [fact.default]}}})
            for name, fact in bundle.policy.facts.items()
            if fact.default is not None
        ]
        space = Bounded(space_of(bundle, mentions, any_model=any_model))
        if len(space.table.fields) > FIELDS_AT_MOST:
            raise TooHardError
        return space

    @cached_property
    def guard(self) -> Guardrails:
        """The guard over the space of requests."""
        return guardrails_of(self.requests, self.engine)

    @cached_property
    def signatures(self) -> tuple[int, ...]:
        """For each model which clauses of the guard speak of it."""
        return tuple(self.guard.signature(place) for place in range(len(self.engine.ids)))

    @cached_property
    def known(self) -> Region:
        """The requests of which everything is known."""
        return known_requests(self.requests)

    def when(self, matcher: RequestMatcher | None, *, unknown: bool) -> Region:
        """Return the requests for which a condition holds; those on budgets count as true."""
        found = when_region(self.requests, matcher, unknown=unknown, spent=True)
        return tuple(box for box in found if self.requests.possible(box))

    def question(self, place: int) -> Question:
        """Return what decides for which known requests the guard leaves a model.

        What is unknown only counts against a model, so a model that no known request may use
        is of no use to a request with unknown parts either.
        """
        signature = self.signatures[place]
        if signature not in self.questions:
            self.questions[signature] = self.guard.question(place, self.known)
        return self.questions[signature]

    def served(self, places_of_models: Sequence[int], within: Region) -> int | None:
        """Return a box of requests for which the guard leaves all these models, or None.

        The box holds no request for which it does not, and at least one of `within`.
        """
        removed: list[int] = []
        for place in places_of_models:
            question = self.question(place)
            within = self.requests.meet(within, question.permitted)
            removed += question.removed
        return self.requests.leftover(within, removed)

    def eligible_within(self, mask: int, region: Region) -> int:
        """Return the models of a mask that some request of a region may use."""
        found = 0
        for kind in self.kinds(mask):
            if self.served([lowest_place(kind)], region) is not None:
                found |= kind
        return found

    def any_eligible(self, mask: int, region: Region) -> bool:
        """Whether some request of a region may use some model of a mask."""
        return any(
            self.served([lowest_place(kind)], region) is not None for kind in self.kinds(mask)
        )

    def kinds(self, mask: int) -> list[int]:
        """Return the models of a mask, those together that the guard does not tell apart."""
        found: dict[int, int] = {}
        for place in places(mask):
            signature = self.signatures[place]
            found[signature] = found.get(signature, 0) | 1 << place
        return [*found.values()]

    def restart(self) -> None:
        """Let the next check begin with all the work it may do."""
        for space in (self.__dict__.get("requests"), self.__dict__.get("universe")):
            if isinstance(space, Bounded):
                space.steps = 0


def lowest_place(mask: int) -> int:
    """Return the place of a mask's first model."""
    return (mask & -mask).bit_length() - 1
