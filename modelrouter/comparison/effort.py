"""Region arithmetic with a limit on the work, so that every question ends in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modelrouter.proof.space import TooHardError

if TYPE_CHECKING:
    from modelrouter.proof.space import Region, Space

__all__ = ["Effort"]

STEPS_AT_MOST = 200_000
"""Pairs of boxes that one question may look at: about half a second."""
STEPS_AT_LEAST = 5_000
"""Pairs of boxes that any question may look at, however much the others took."""
STEPS_TOGETHER = 1_000_000


class Effort:
    """Does the arithmetic of one question, and gives up when it takes too long.

    Questions that belong together share a purse: once it is empty, only easy ones are answered.
    """

    __slots__ = ("left", "purse", "space")

    def __init__(self, space: Space, *, purse: Effort | None = None) -> None:
        self.space: Space = space
        self.purse: Effort | None = purse
        self.left: int = STEPS_AT_MOST
        if purse is not None:
            self.left = min(STEPS_AT_MOST, max(STEPS_AT_LEAST, purse.left))

    @classmethod
    def together(cls, space: Space) -> Effort:
        """Return the purse of many questions."""
        found = cls(space)
        found.left = STEPS_TOGETHER
        return found

    def spend(self, steps: int) -> None:
        """Count work.

        Raises:
            TooHardError: There has been too much.
        """
        self.left -= steps
        if self.purse is not None:
            self.purse.left -= steps
        if self.left < 0:
            raise TooHardError

    def meet(self, left: Sequence[int], right: Sequence[int]) -> Region:
        """Return the intersection of two regions."""
        self.spend(len(left) * len(right))
        return self.space.meet(left, right)

    def less(self, region: Iterable[int], taken: Sequence[int]) -> Region:
        """Return what is left of a region; the boxes that take whole boxes go first."""
        space = self.space
        left = [box for box in region if space.possible(box)]
        self.spend(len(left) * len(taken))
        left = [box for box in left if not any(box & ~other == 0 for other in taken)]
        for other in taken:
            if not left:
                break
            self.spend(len(left))
            rest: list[int] = []
            for box in left:
                if space.filled(box & other):
                    rest += space.pieces(box, other)
                else:
                    rest.append(box)
            self.spend(len(rest))
            left = rest
        return tuple(left)

    def covers(self, region: Sequence[int], box: int) -> bool:
        """Whether every point of a box that exists lies in a region."""
        near = [other for other in region if self.space.filled(box & other)]
        return not self.less((box,), near)
