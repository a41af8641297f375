"""Lays out one space for two policies: what either of them can tell apart in a call.

Where both policies close every label alike, the space is one of closed labels, as in proofs.
Otherwise it is one of stated labels: a call states a level and categories, or nobody labelled
it, and each policy closes that by its own rules (`reading`). Either way a point is something
that a caller and the detectors can say, so what closes differently cannot hide a difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.labels import Category, LabelScheme
from modelrouter.policy.matchers import FactMatch
from modelrouter.proof.coherence import NO, UNKNOWN, YES, Coherence
from modelrouter.proof.fields import ABSENT, Atom, Field, text_atoms
from modelrouter.proof.layout import (
    Mentions,
    fact_atoms,
    in_order_of_inclusion,
    mentions_of,
    request_fields,
)
from modelrouter.proof.space import FieldTable, Space

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Fact

__all__ = ["LABELLED", "UNLABELLED", "Joint", "carries_of", "joint_space", "stand_in_of"]

LABELLED, UNLABELLED = 0, 1
"""Atoms of the field `label` in a space of stated labels."""
CERTAINTIES = (
    Atom(value=NO, text="no"),
    Atom(value=UNKNOWN, text="unknown"),
    Atom(value=YES, text="yes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A space for several policies.

    Attributes:
        space: The space.
        stated: Whether labels are as stated; otherwise they are closed.
    """

    space: Space
    stated: bool


def joint_space(bundles: Sequence[Bundle], mentions: Mentions | None = None) -> Joint:
    """Return the space of the calls that policies may read differently.

    Args:
        bundles: The policies; of one alone the space is that of its closed labels.
        mentions: What must be told apart; what the policies mention by default.
    """
    found = mentions_of(bundles) if mentions is None else mentions
    stated = not all(labelled_alike(bundles[0], other) for other in bundles[1:])
    table = FieldTable()
    tasks = sorted({name for bundle in bundles for name in bundle.words.tasks})
    others: list[Field] = []
    if stated:
        words = (Atom(value=False, text="labelled"), Atom(value=True, text="unlabelled"))
        others.append(table.add("label", words))
    scheme = stated_scheme(bundles) if stated else bundles[-1].scheme
    level = table.add("level", [*level_atoms(bundles, scheme)])
    order = sorted(scheme.categories) if stated else in_order_of_inclusion(bundles[-1])
    categories = {name: table.add(f"category:{name}", CERTAINTIES) for name in order}
    task = table.add("task", [Atom(value=name, text=name) for name in tasks])
    declared = dict.fromkeys(name for bundle in bundles for name in bundle.policy.facts)
    others += [
        table.add(f"fact:{name}", joint_fact_atoms(name, bundles, found)) for name in declared
    ]
    others += request_fields(table, found)
    carried = {frozenset[str](): (1 << len(tasks)) - 1} if stated else carried_by(bundles, tasks)
    coherence = Coherence(
        scheme=scheme,
        level=level,
        categories=categories,
        task=task,
        carried=[(carried[names], names) for names in sorted(carried, key=sorted)],
        others=others,
        relevant=sum(part.mask for part in (level, task, *categories.values())),
    )
    return Joint(space=Space(table, coherence), stated=stated)


def stand_in_of(bundle: Bundle) -> str:
    """Return what stands in for a missing label."""
    return "top" if bundle.policy.labels is None else bundle.policy.labels.unlabelled


def carries_of(bundle: Bundle, task: str) -> frozenset[str]:
    """Return the categories that a task brings along."""
    declared = bundle.policy.tasks
    return frozenset(declared[task].carries) if declared and task in declared else frozenset()


def labelled_alike(one: Bundle, other: Bundle) -> bool:
    """Whether two policies close every label alike that both can read."""
    common = one.words.tasks & other.words.tasks
    return (
        one.scheme == other.scheme
        and stand_in_of(one) == stand_in_of(other)
        and all(carries_of(one, name) == carries_of(other, name) for name in common)
    )


def stated_scheme(bundles: Sequence[Bundle]) -> LabelScheme:
    """Return every name that can be stated; what is stated implies nothing yet."""
    levels = dict.fromkeys(name for bundle in reversed(bundles) for name in bundle.scheme.levels)
    names = {name for bundle in bundles for name in bundle.scheme.categories}
    lowest = next(iter(levels))
    return LabelScheme(
        levels=tuple(levels),
        categories={name: Category(at_least=lowest) for name in sorted(names)},
    )


def level_atoms(bundles: Sequence[Bundle], scheme: LabelScheme) -> Iterator[Atom]:
    """Yield the levels; "not stated" before them where the policies' lowest may differ."""
    if any(bundle.scheme.levels != scheme.levels for bundle in bundles):
        yield Atom(value=ABSENT, text="not stated")
    for name in scheme.levels:
        yield Atom(value=name, text=name)


def carried_by(bundles: Sequence[Bundle], tasks: Sequence[str]) -> Mapping[frozenset[str], int]:
    """Return what tasks carry, with the bits of the tasks that carry just that."""
    found: dict[frozenset[str], int] = {}
    for place, name in enumerate(tasks):
        carried = frozenset[str]().union(*(carries_of(bundle, name) for bundle in bundles))
        found[carried] = found.get(carried, 0) | 1 << place
    return found


def joint_fact_atoms(name: str, bundles: Sequence[Bundle], mentions: Mentions) -> Sequence[Atom]:
    """Return the values of a fact that some policy reads; "missing" last where it matters."""
    facts = [bundle.policy.facts[name] for bundle in bundles if name in bundle.policy.facts]
    atoms: list[Atom] = []
    if "string" in {fact.type for fact in facts}:
        values = [value for fact in facts if fact.type == "enum" for value in fact.values or ()]
        matches = [when.facts[name] for when in mentions.whens if when.facts and name in when.facts]
        if values:
            matches.append(FactMatch.model_validate({"=": values}))
        atoms += text_atoms(matches)
        facts_left = [fact for fact in facts if fact.type not in {"string", "enum"}]
    else:
        facts_left = facts
    for kind in dict.fromkeys(fact.type for fact in facts_left):
        alike = [fact for fact in facts_left if fact.type == kind]
        atoms += value_atoms(name, alike, mentions)
    if len(facts) < len(bundles) or not missing_is_settled(facts):
        atoms.append(Atom(value=ABSENT, text="missing"))
    return atoms


def value_atoms(name: str, facts: Sequence[Fact], mentions: Mentions) -> Sequence[Atom]:
    """Return the values of a fact of one type, as far as some policy tells them apart."""
    values = dict.fromkeys(value for fact in facts for value in fact.values or ())
    widest = facts[0].model_copy(
        update={"values": tuple(values) or None, "required": True, "default": None}
    )
    return fact_atoms(name, widest, mentions.whens)


def missing_is_settled(facts: Sequence[Fact]) -> bool:
    """Whether a call without the fact is like one with it, or refused, for every policy alike."""
    return all(fact.required for fact in facts) or (
        facts[0].default is not None
        and all(
            (fact.type, fact.default) == (facts[0].type, facts[0].default) and not fact.required
            for fact in facts
        )
    )
