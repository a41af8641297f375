"""Sensitivity labels: an ordered level and a set of categories, and their algebra.

A label never goes down. Joining two takes the higher level and all categories; closing
one adds what its categories imply. A category can also be *unknown*: nobody has said
whether the call carries it. Unknown is not "no": a `forbid` treats it as present, a
`permit` as absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Category", "Label", "LabelScheme"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """How sensitive a call is.

    Attributes:
        level: One of the scheme's levels.
        categories: Categories the call is known to carry.
        unknown: Categories of which nobody has said whether the call carries them;
            disjoint from `categories`.
        because: Why categories are unknown, for people: "no label was given".
    """

    level: str
    categories: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    because: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take any collection of names; a scalar is a mistake that would be read as letters."""
        for part in ("categories", "unknown"):
            names = getattr(self, part)
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                message = f"`{part}` must be a collection of names"
                raise TypeError(message)
            if type(names) is not frozenset:
                object.__setattr__(self, part, frozenset(names))

    def __str__(self) -> str:
        """Return `level+category+category`, unknown categories as `+?`."""
        known = "".join(f"+{name}" for name in sorted(self.categories))
        return f"{self.level}{known}{'+?' if self.unknown else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """What a category implies.

    Attributes:
        at_least: Lowest level of anything that carries it.
        includes: Categories it brings along.
    """

    at_least: str
    includes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScheme:
    """The levels and categories of one policy.

    Attributes:
        levels: Names from the lowest to the highest; at least one.
        categories: Category by name; `includes` is free of cycles.
    """

    levels: tuple[str, ...]
    categories: Mapping[str, Category]
    rank: Mapping[str, int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Index the levels."""
        object.__setattr__(self, "rank", {name: place for place, name in enumerate(self.levels)})

    @property
    def highest(self) -> str:
        """The most sensitive level."""
        return self.levels[-1]

    @property
    def lowest(self) -> str:
        """The least sensitive level."""
        return self.levels[0]

    def top(self, because: str) -> Label:
        """Return the highest level with every category unknown."""
        return Label(level=self.highest, unknown=frozenset(self.categories), because=(because,))

    def label(self, *, level: str | None = None, categories: Iterable[str] = ()) -> Label:
        """Return the closed label that starts at `level`, or at the lowest."""
        return self.close(
            Label(level=self.lowest if level is None else level, categories=frozenset(categories))
        )

    def close(self, label: Label) -> Label:
        """Return `label` with everything its categories imply.

        Closing is monotone and idempotent: the level and the known categories only grow. An
        unknown category raises the level too, and what it includes is at least unknown: the
        call may carry it.
        """
        known = self.implied(label.categories)
        unknown = self.implied(label.unknown)
        level = max(
            (label.level, *(self.categories[name].at_least for name in known | unknown)),
            key=self.rank.__getitem__,
        )
        return Label(
            level=level,
            categories=known,
            unknown=unknown - known,
            because=label.because,
        )

    def implied(self, names: frozenset[str]) -> frozenset[str]:
        """Return categories with everything they include, directly or not."""
        found = set(names)
        waiting = list(names)
        while waiting:
            for part in self.categories[waiting.pop()].includes - found:
                found.add(part)
                waiting.append(part)
        return frozenset(found)

    def join(self, *labels: Label) -> Label:
        """Return the smallest closed label at least as sensitive as each of `labels`."""
        level = max((label.level for label in labels), key=self.rank.__getitem__)
        known = frozenset[str]().union(*(label.categories for label in labels))
        unknown = frozenset[str]().union(*(label.unknown for label in labels))
        reasons = dict.fromkeys(reason for label in labels for reason in label.because)
        return self.close(
            Label(level=level, categories=known, unknown=unknown - known, because=tuple(reasons))
        )
