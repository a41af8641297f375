"""The last look before a transmission: may this model receive this call by the newest policy?

A policy may be replaced while a call is under way. What the call was decided by then counts
only where the newest policy agrees.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from modelrouter.calls import Call
from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Candidate, Obligations, Reason, RuleRef
from modelrouter.engine.guard import guard
from modelrouter.errors import CallError
from modelrouter.payload import unscannable_labels
from modelrouter.shadowing import told_by
from modelrouter.values import Request

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine

__all__ = ["HandOver", "Overtaken", "Reasons", "Standing", "gate", "no_room", "standing"]

T = TypeVar("T")
Reasons = tuple[Reason, ...]
"""Why a model may not receive a transmission; never empty."""
NOTHING_SPENT: Mapping[str, int] = {}
NEWEST = "the newest policy forbids it"


class Standing(NamedTuple):
    """What a gate judges by.

    Attributes:
        engine: The policy in force.
        closed_from: Place of the lowest level that is closed because it is stale, or None.
    """

    engine: Engine
    closed_from: int | None

    def still(self, call: Call) -> bool:
        """Whether a gate would judge by the same now."""
        now = standing(call)
        return now.engine is self.engine and now.closed_from == self.closed_from


def standing(call: Call) -> Standing:
    """Return the policy in force now, and what is closed."""
    in_force = call.world.in_force
    engine = in_force.engine(call.world.clock.now().date())
    return Standing(engine, in_force.closed_from(engine))


def gate(
    call: Call, candidate: Candidate, by: Standing, spent: Mapping[str, int] = NOTHING_SPENT
) -> Obligations | Reasons:
    """Ask the newest policy whether `candidate` may receive the call, just before it is sent.

    Args:
        call: The call.
        candidate: One of its candidates.
        by: The newest policy.
        spent: What is spent and held of its budgets, if it is not the one the call was decided
            by; nothing for an answer that costs nothing.

    Returns:
        What must be done for this transmission, or why it may not be sent.
    """
    newest, closed_from = by
    if newest is call.engine:
        guarded = guard(call.asked.subject, newest, closed_from)
        place = newest.place[candidate.model]
        if guarded.eligible >> place & 1:
            return candidate.obligations
        return said(part.reason for part in guarded.removals if part.models >> place & 1)
    return changed_gate(call, candidate, by, spent)


def changed_gate(
    call: Call, candidate: Candidate, by: Standing, spent: Mapping[str, int]
) -> Obligations | Reasons:
    """Ask a policy that the call was not decided by: label, guard, budgets, obligations anew."""
    newest, closed_from = by
    place = newest.place.get(candidate.model)
    if place is None:
        return refused("it is no longer in the catalogue")
    if newest.bundle.models[place] != call.engine.bundle.models[call.engine.place[candidate.model]]:
        return refused("its entry in the catalogue has changed")
    if reordered(call.engine.scheme.levels, newest.scheme.levels):
        return refused("it orders the levels anew")
    snapshot = Snapshot(
        engine=newest,
        spent=spent,
        unfulfillable=call.world.unfulfillable,
        closed_from=closed_from,
    )
    try:
        again = decide(carried_over(call, newest), snapshot)
    except CallError as error:
        return refused(f"it does not know what the call names: {told_by(error)}")
    for part in again.candidates:
        if part.model == candidate.model:
            return part.obligations
    return said(part.reason for part in again.removals if part.models >> place & 1)


def carried_over(call: Call, newest: Engine) -> Request:
    """Return the request as the newest policy sees it: what cannot be scanned may weigh more."""
    evidence = (*call.request.evidence, *unscannable_labels(call.payload, newest.bundle))
    return replace(call.request, evidence=tuple(dict.fromkeys(evidence)))


def reordered(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether levels of both policies have changed places: joined labels would lose a part."""
    return [name for name in before if name in after] != [name for name in after if name in before]


def refused(detail: str) -> Reasons:
    """Return the one reason of the gate itself."""
    return (Reason(stage="guard", rule=RuleRef(), detail=f"{NEWEST}: {detail}"),)


def no_room(budget: str, newest: Engine) -> Reasons:
    """Return why the newest policy's budget keeps a model from a transmission."""
    detail = f"{NEWEST}: budget `{budget}` has no room for the worst case of the call"
    return (Reason(stage="budget", rule=newest.bundle.place("budgets", budget), detail=detail),)


def said(reasons: Generator[Reason, None, None]) -> Reasons:
    """Return what the newest policy says, as such."""
    found = tuple(replace(part, detail=f"{NEWEST}: {part.detail}") for part in reasons)
    return found or refused("it takes no part in chats")


class Overtaken(Exception):
    """The policy was replaced after the gate had released a transmission; nothing was sent."""


class HandOver(Awaitable[T], Generic[T]):
    """Hands a transmission over to the provider, if what released it still stands.

    The first step of `work` is taken under the lock that a new policy waits for. So once a
    policy has come into force, nothing is handed over that only the one before had released.
    """

    __slots__ = ("call", "released", "work")

    def __init__(self, call: Call, released: Standing, work: Callable[[], Awaitable[T]]) -> None:
        self.call: Call = call
        self.released: Standing = released
        self.work: Callable[[], Awaitable[T]] = work

    def __await__(self) -> Generator[Any, Any, T]:
        """Take the first step, then go on as `await` does.

        Raises:
            Overtaken: Another policy is in force, or it has become stale; nothing was begun.
        """
        with self.call.world.in_force.handing_over:
            if not self.released.still(self.call):
                raise Overtaken
            steps = self.work().__await__()
            try:
                waits_for = next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
        return (yield from resumed(steps, waits_for))


def resumed(steps: Generator[Any, Any, T], waits_for: object) -> Generator[Any, Any, T]:
    """Go on with a coroutine whose first step was taken elsewhere, as `yield from` does."""
    while True:
        try:
            try:
                sent: object = yield waits_for
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on: it may be a cancellation
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(sent)
        except StopIteration as end:
            result: T = end.value
            return result
