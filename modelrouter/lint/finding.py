"""What a check finds, before it has a severity and a place in a file."""

from __future__ import annotations

from dataclasses import dataclass

from modelrouter.policy.positions import Part

__all__ = ["Found", "listed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding.

    Attributes:
        part: What it is about: a section and a name in it.
        message: What is wrong, lower case, no final stop.
        hint: What to do about it, or None.
        at: Where to look: keys and indices below the part, or below `stands`.
        key: Whether the key is meant and not its value.
        stands: The part whose text is shown, where it is not the part itself.
        about: The name by which `lint.allow` accepts it; the part's own name by default.
        explains: Parts whose own findings this one accounts for.
    """

    part: Part
    message: str
    hint: str | None = None
    at: tuple[str | int, ...] = ()
    key: bool = False
    stands: Part | None = None
    about: str | None = None
    explains: tuple[Part, ...] = ()

    @property
    def subject(self) -> str:
        """The name by which `lint.allow` accepts it."""
        return self.part[1] if self.about is None else self.about


def listed(names: list[str] | tuple[str, ...], most: int = 12) -> str:
    """Return names as a message shows them, the rest counted."""
    more = len(names) - most
    shown = ", ".join(names[:most])
    return shown if more <= 0 else f"{shown} and {more} more"
