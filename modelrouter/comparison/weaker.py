"""Where less is asked of a model that receives a call: obligations, and what is kept of it.

Obligations are compared as regions, for each model: the strictest word that applies to a call,
the categories to be redacted, the roles that must approve. `runtime` says on its own what a
trace may hold and whether answers are kept (`keeping`); it is compared where no obligation
settles that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.comparison.keeping import Steps
from modelrouter.engine.obliging import CACHE, LOG, TRACE
from modelrouter.proof.space import Region

if TYPE_CHECKING:
    from modelrouter.comparison.effort import Effort
    from modelrouter.comparison.guarded import Side
    from modelrouter.policy.document import Obligate

__all__ = ["Weaker", "weaker_regions"]

WORDS: Mapping[str, Sequence[str]] = {"trace": TRACE, "cache": CACHE, "log": LOG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weaker:
    """Calls of which less is asked than before.

    Attributes:
        about: `trace`, `cache`, `log`, `redact`, `approval`, or what `runtime` says of its own.
        old: What was asked.
        new: What is asked now; None is nothing.
        region: The calls.
    """

    about: str
    old: str
    new: str | None
    region: Region


def weaker_regions(
    effort: Effort, before: Side, after: Side, model: str, kept: Steps
) -> Iterator[Weaker]:
    """Yield where less is asked of a model, whether or not it receives the calls.

    Args:
        effort: Does the work.
        before: The old policy.
        after: The new policy.
        model: A model of both.
        kept: What `kept_by_runtime` returns.

    Raises:
        TooHardError: A question needs too many boxes.
    """
    asked: dict[str, list[Region]] = {}
    for about, order in WORDS.items():
        old, new = steps_of(before, model, about), steps_of(after, model, about)
        asked[about] = new
        yield from weaker_words(effort, about, order, (old, new))
    for about in ("redact", "approval"):
        yield from dropped_names(effort, about, before, after, model)
    for about, part in kept.items():
        for found in weaker_words(effort, about, part.order, (part.old, part.new)):
            # The word of an obligation settles it, or its strictest one: what is not kept at
            # all is not kept longer either.
            place = part.order.index(found.old) if part.order in WORDS.values() else 0
            region = effort.less(found.region, asked[part.duty][place])
            if region:
                yield Weaker(about=about, old=found.old, new=found.new, region=region)


def steps_of(side: Side, model: str, about: str) -> list[Region]:
    """Return where each word of an obligation, or a stricter one, is asked for."""
    order, place = WORDS[about], side.engine.place[model]
    found: list[Region] = []
    region: Region = ()
    for word in order:
        parts = [
            calls
            for clause, calls in side.obligates
            if clause.mask >> place & 1 and getattr(clause.do, about) == word
        ]
        region = side.reading.space.join(region, *parts)
        found.append(region)
    return found


def weaker_words(
    effort: Effort, about: str, order: Sequence[str], pair: tuple[list[Region], list[Region]]
) -> Iterator[Weaker]:
    """Yield where the word that applies is weaker, by the old word and the new one.

    The weakest word asks for nothing, as no word does.
    """
    old, new = pair
    last = len(order) - 1
    for place in range(last):
        lost = unlike(effort, old[place], new[place])
        lost = effort.less(lost, old[place - 1]) if place and lost else lost
        for other in range(place + 1, last + 1):
            if not lost:
                break
            still = effort.meet(lost, new[other]) if other < last else lost
            lost = effort.less(lost, new[other]) if other < last else ()
            if still:
                stated = order[other] if other < last or about.startswith("runtime") else None
                yield Weaker(about=about, old=order[place], new=stated, region=still)


def unlike(effort: Effort, old: Sequence[int], new: Sequence[int]) -> Region:
    """Return a region without another; boxes of both take no work."""
    both = frozenset(new)
    rest = [box for box in old if box not in both]
    return effort.less(rest, new) if rest else ()


def dropped_names(
    effort: Effort, about: str, before: Side, after: Side, model: str
) -> Iterator[Weaker]:
    """Yield where a category is no longer redacted, or a role need no longer approve."""
    old, new = named_regions(before, model, about), named_regions(after, model, about)
    for name, region in old.items():
        lost = unlike(effort, region, new.get(name, ()))
        if lost and about == "redact":  # what a call does not carry need not be masked
            lost = effort.meet(lost, before.reading.carried(name, perhaps=True))
        if lost:
            yield Weaker(about=about, old=name, new=None, region=lost)


def named_regions(side: Side, model: str, about: str) -> dict[str, Region]:
    """Return where each name of an obligation is asked for."""
    place = side.engine.place[model]
    found: dict[str, Region] = {}
    for clause, calls in side.obligates:
        if clause.mask >> place & 1:
            for name in names_of(clause.do, about):
                found[name] = side.reading.space.join(found.get(name, ()), calls)
    return dict(sorted(found.items()))


def names_of(do: Obligate, about: str) -> Sequence[str]:
    """Return the names that an obligation lists."""
    return do.redact if about == "redact" else do.approval
