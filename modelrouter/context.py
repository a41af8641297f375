"""Facts said once: what a request handler knows, every call below it inherits."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from modelrouter.errors import CallError
from modelrouter.labels import Label
from modelrouter.values import FactValue

__all__ = ["Inherited", "inherited", "within"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What surrounds a call.

    Attributes:
        facts: Facts by name.
        sensitivity: Names of levels and categories.
        labels: Labels given as values.
        task: A task, or None.
    """

    facts: Mapping[str, FactValue]
    sensitivity: tuple[str, ...]
    labels: tuple[Label, ...]
    task: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One `with router.context(...)`; it holds its router only weakly."""

    owner: weakref.ref[object]
    said: Inherited


NOTHING = Inherited(facts={}, sensitivity=(), labels=(), task=None)
FRAMES: ContextVar[tuple[Frame, ...]] = ContextVar("modelrouter_context", default=())


def inherited(owner: object) -> Inherited:
    """Return what the surrounding contexts of `owner` have said."""
    for frame in reversed(FRAMES.get()):
        if frame.owner() is owner:
            return frame.said
    return NOTHING


@contextmanager
def within(owner: object, said: Inherited) -> Generator[None]:
    """Let every call of `owner` inside the block inherit `said`, and what was said outside.

    Raises:
        CallError: A fact or the task contradicts what was said outside.
    """
    outer = inherited(owner)
    merged = Inherited(
        facts=merge_facts(outer.facts, said.facts),
        sensitivity=(*outer.sensitivity, *said.sensitivity),
        labels=(*outer.labels, *said.labels),
        task=merge_task(outer.task, said.task),
    )
    frame = Frame(owner=weakref.ref(owner), said=merged)
    token = FRAMES.set((*FRAMES.get(), frame))
    try:
        yield
    finally:
        FRAMES.reset(token)


def merge_facts(
    outer: Mapping[str, FactValue], inner: Mapping[str, FactValue]
) -> dict[str, FactValue]:
    """Return both sets of facts in one.

    Raises:
        CallError: They contradict each other.
    """
    for name, value in inner.items():
        if name in outer and (outer[name] != value or type(outer[name]) is not type(value)):
            raise CallError(
                f"fact `{name}` contradicts the surrounding `router.context(...)`",
                argument="facts",
                hint="say it in one place",
            )
    return {**outer, **inner}


def merge_task(outer: str | None, inner: str | None) -> str | None:
    """Return the task said inside or outside.

    Raises:
        CallError: Both are said and differ.
    """
    if outer is not None and inner is not None and outer != inner:
        raise CallError(
            f"`{inner}` contradicts `{outer}` of the surrounding `router.context(...)`",
            argument="task",
            hint="say it in one place",
        )
    return inner if inner is not None else outer
