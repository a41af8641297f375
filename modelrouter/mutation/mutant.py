"""A policy with one thing changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from modelrouter.decision import RuleRef

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["Mutant", "Section", "changed"]

Section = Literal["rules", "budgets", "defaults", "labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A policy with one thing changed.

    Attributes:
        section: Where the change is: `rules`, `budgets`, `defaults`, `labels`.
        noun: What was changed, as an author calls it.
        place: Its id, file and line.
        words: How it was changed.
        tightens: Whether the policy allows less than before, or asks for more; otherwise it
            allows more, or asks for less. That is the direction of the clause: a budget that
            restricts may also lower soft floors, and a rule may ask for less at a higher level.
        guards: Whether the change concerns which models are eligible.
        bundle: The changed policy. Its digest is that of the original.
    """

    section: Section
    noun: str
    place: RuleRef
    words: str
    tightens: bool
    guards: bool
    bundle: Bundle

    def __str__(self) -> str:
        """Return what was changed and how."""
        name = "" if self.section in {"defaults", "labels"} else f" `{self.place.id}`"
        return f"{self.noun}{name}: {self.words}"


def changed(bundle: Bundle, **update: object) -> Bundle:
    """Return a bundle whose policy is changed; everything stays frozen."""
    return replace(bundle, policy=bundle.policy.model_copy(update=update))
