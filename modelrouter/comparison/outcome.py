"""What a comparison of two policies comes to, as values."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from modelrouter.comparison.changes import Change
    from modelrouter.policy.suite import AskedRequest

__all__ = ["Comparison", "Difference", "Extent", "Later", "Less", "Presence"]

Presence = Literal["both", "added", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """One part of a region.

    Attributes:
        text: The calls in it, for people.
        unlabelled: Whether calls that nobody labelled are in it.
        request: One of its calls as `modelrouter explain` reads it, in the words of the policy
            that allows it; None where no caller can state one.
    """

    text: str
    unlabelled: bool
    request: AskedRequest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Less:
    """Calls of which less is asked than before, for people.

    Attributes:
        about: `trace`, `cache`, `log`, `redact`, `approval`, or what `runtime` says of its own:
            `runtime trace`, `runtime cache`, `runtime ttl_s`, `runtime partition FACT`.
        old: What was asked.
        new: What is asked now; None is nothing.
        texts: The calls.
        more: How many smaller parts of the region are left out.
    """

    about: str
    old: str
    new: str | None
    texts: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a model may receive now and could not before, and the reverse.

    Attributes:
        model: Its id.
        presence: Which policies know it: both, only the new one, only the old one.
        allowed: Calls that are newly allowed.
        more_allowed: How many smaller parts of that region are left out.
        forbidden: Calls that are newly forbidden.
        more_forbidden: How many smaller parts of that region are left out.
        less: Calls of which less is asked.
        not_comparable: Why the question has no exact answer, or None.
    """

    model: str
    presence: Presence
    allowed: tuple[Extent, ...] = ()
    more_allowed: int = 0
    forbidden: tuple[Extent, ...] = ()
    more_forbidden: int = 0
    less: tuple[Less, ...] = ()
    not_comparable: str | None = None

    @property
    def differs(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.allowed or self.forbidden or self.less or self.not_comparable)

    @property
    def wider(self) -> bool:
        """Whether exposure grows, or may grow."""
        return bool(self.allowed or self.less or self.not_comparable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """What grows from a later day on, because something lapses that day in one policy only.

    Attributes:
        day: The first day.
        differences: Every model for which exposure grows on that day as it did not before.
    """

    day: datetime.date
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that differs between two policies.

    Attributes:
        at: The day for which both were taken.
        stated_labels: Whether regions speak of labels as stated, because the policies close
            them differently.
        differences: Every model for which the guard or the obligations differ.
        changes: Every part of the policies that differs.
        not_comparable: Why something that concerns every model has no exact answer, or None.
        later: What grows on later days than `at`.
    """

    at: datetime.date
    stated_labels: bool
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    not_comparable: str | None = None
    later: tuple[Later, ...] = ()

    @property
    def wider(self) -> bool:
        """Whether exposure grows, or may grow, on the day or a later one."""
        return bool(
            any(part.wider for part in self.differences)
            or any(part.wider for part in self.changes)
            or self.not_comparable is not None
            or self.later
        )

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.differences or self.changes or self.not_comparable)
