"""What `runtime` keeps of a call: how much, how long, and who shares it, as regions of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.engine.obliging import CACHE, TRACE
from modelrouter.proof.space import Region

if TYPE_CHECKING:
    from modelrouter.comparison.effort import Effort
    from modelrouter.comparison.guarded import Side
    from modelrouter.policy.document import Runtime

__all__ = ["Kept", "Steps", "kept_by_runtime"]

Word = Callable[["Runtime"], "str | None"]
"""What a section of `runtime` says in one respect; None where it does not arise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What `runtime` keeps to in one respect.

    Attributes:
        order: What it can say, the strictest first.
        duty: The obligation that can settle it.
        old: For each word where it or a stricter one governs, in the old policy.
        new: The same in the new policy.
    """

    order: Sequence[str]
    duty: str
    old: list[Region]
    new: list[Region]


Steps = Mapping[str, Kept]
"""What `runtime` keeps to, by what it is about."""


def kept_by_runtime(effort: Effort, before: Side, after: Side) -> Steps:
    """Return what `runtime` keeps to, before and after; it does not depend on the model."""
    found: dict[str, Kept] = {}
    for about, duty, order, word in respects(before, after):
        if len(order) > 1:
            found[about] = Kept(
                order=order,
                duty=duty,
                # What did not arise before cannot be lost: that it arises now is told of `mode`.
                old=kept_steps(effort, before, order, word, absent=-1),
                new=kept_steps(effort, after, order, word, absent=0),
            )
    return found


def respects(before: Side, after: Side) -> Iterator[tuple[str, str, Sequence[str], Word]]:
    """Yield about what `runtime` speaks: name, obligation, what it can say, and what it says."""
    yield "runtime trace", "trace", TRACE, lambda part: part.trace.content
    yield "runtime cache", "cache", CACHE, lambda part: part.cache.mode
    sections = [
        part.cache
        for side in (before, after)
        for part in side.engine.bundle.policy.runtime
        if part.cache.mode != "none"
    ]
    lives = [str(life) for life in sorted({part.ttl_s for part in sections})]
    yield "runtime ttl_s", "cache", lives, lambda part: cached(part, str(part.cache.ttl_s))
    for name in sorted({name for part in sections for name in part.partition}):
        yield f"runtime partition {name}", "cache", ("apart", "together"), apart(name)


def cached(part: Runtime, word: str) -> str | None:
    """Return what a section says of kept answers, or None where it keeps none."""
    return None if part.cache.mode == "none" else word


def apart(name: str) -> Word:
    """Return whether a section keeps answers apart by a fact."""
    return lambda part: cached(part, "apart" if name in part.cache.partition else "together")


def kept_steps(
    effort: Effort, side: Side, order: Sequence[str], word: Word, *, absent: int
) -> list[Region]:
    """Return where `runtime` keeps to each word or a stricter one; the first match governs.

    Args:
        effort: Does the work.
        side: The policy.
        order: What `runtime` can say, the strictest first.
        word: What a section says.
        absent: The place of what stands where it says nothing of the kind.
    """
    found: list[list[int]] = [[] for _ in order]
    left: Region = side.reading.space.all
    for part in side.engine.bundle.policy.runtime:
        said = word(part)
        calls = side.reading.when(part.when, unknown=False)
        governed = effort.meet(left, calls)
        left = effort.less(left, calls)
        first = range(len(order))[absent] if said is None else order.index(said)
        for place in range(first, len(order)):
            found[place] += governed
    # Without a section nothing is kept.
    ungoverned = 0 if order in (TRACE, CACHE) else range(len(order))[absent]
    return [
        (*boxes, *left) if place >= ungoverned else tuple(boxes)
        for place, boxes in enumerate(found)
    ]
