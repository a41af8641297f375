"""How one policy reads the points of a joint space: its conditions, and what it refuses.

Names that a policy does not declare are read as follows. A category, fact or capability that
it does not know is left out: a caller of that policy cannot state it. A level, a task or a
value of a fact that it does not know is refused, as a call that states it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.comparison.joint import LABELLED, UNLABELLED, Joint, carries_of, stand_in_of
from modelrouter.engine.request_matching import Index, level_condition
from modelrouter.proof.coherence import NO, UNKNOWN, YES
from modelrouter.proof.conditions import (
    Judge,
    Members,
    fact_judge,
    narrowed,
    sifted,
    size_and_task,
    subject,
)
from modelrouter.proof.fields import ABSENT

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Fact
    from modelrouter.policy.matchers import LevelMatch, RequestMatcher, SetMatch
    from modelrouter.proof.space import Region, Space

__all__ = ["Reading"]

ONLY_NO = 1 << NO
NOT_YES = 1 << NO | 1 << UNKNOWN
ONLY_YES = 1 << YES
PERHAPS = 1 << UNKNOWN | 1 << YES


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One policy over a joint space.

    Attributes:
        joint: The space.
        bundle: The policy.
    """

    joint: Joint
    bundle: Bundle

    @property
    def space(self) -> Space:
        """The space."""
        return self.joint.space

    def when(self, matcher: RequestMatcher | None, *, unknown: bool) -> Region:
        """Return the calls for which a condition holds; without one, all.

        Args:
            matcher: The condition.
            unknown: Whether a call counts for which the condition is unknown.
        """
        space = self.space
        if matcher is None:
            return space.all
        if matcher.budget is not None:  # advisory rules and objectives alone read budgets
            return ()
        box = size_and_task(space, matcher)
        for name, wanted in (matcher.facts or {}).items():
            judge = defaulted(fact_judge(wanted), self.bundle.policy.facts[name])
            box &= sifted(space, f"fact:{name}", judge, unknown=unknown)
        region: Region = (box,) if space.filled(box) else ()
        if matcher.level is not None:
            region = space.meet(region, self.levels(accepted_levels(self.bundle, matcher.level)))
        if matcher.categories is not None:
            region = self.categories(region, matcher.categories, unknown=unknown)
        if matcher.needs is not None:
            region = narrowed(space, region, matcher.needs, Members("need:", 1, 2))
        return region

    def below(self, rank: int) -> Region:
        """Return the calls whose closed level is below one, by the policy's own order."""
        return self.levels(frozenset(range(rank)))

    def levels(self, accepted: frozenset[int]) -> Region:
        """Return the calls whose closed level is one of some."""
        space = self.space
        if not self.joint.stated:
            return (space.only("level", sum(1 << place for place in accepted)),)
        found: list[int] = []
        for low in sorted(accepted):
            if low - 1 in accepted:
                continue
            high = next(place for place in range(low, len(self.bundle.scheme.levels) + 1)
                        if place + 1 not in accepted)  # fmt: skip
            within = self.at_most(high)
            found += space.less((within,), (self.at_most(low - 1),)) if low else (within,)
        return tuple(found)

    def at_most(self, rank: int) -> int:
        """Return the box of the stated labels that close to no more than a level."""
        space, scheme = self.space, self.bundle.scheme
        box = space.only("level", self.level_bits(rank))
        for name in scheme.categories:
            if scheme.rank[scheme.label(categories=[name]).level] > rank:
                box &= space.only(f"category:{name}", ONLY_NO)
        tasks = 0
        for place, atom in enumerate(space.table.by_name["task"].atoms):
            carried = carries_of(self.bundle, str(atom.value))
            if scheme.rank[scheme.label(categories=carried).level] <= rank:
                tasks |= 1 << place
        box &= space.only("task", tasks)
        stand_in = stand_in_of(self.bundle)
        stands_for = scheme.rank.get(stand_in, len(scheme.levels) - 1)
        return box & space.only("label", 1 << LABELLED) if stands_for > rank else box

    def level_bits(self, rank: int) -> int:
        """Return the stated levels that are no higher than one; none stated is the lowest."""
        ranks = self.bundle.scheme.rank
        return sum(
            1 << place
            for place, atom in enumerate(self.space.table.by_name["level"].atoms)
            if atom.value is ABSENT or ranks.get(str(atom.value), rank + 1) <= rank
        )

    def categories(self, region: Region, match: SetMatch, *, unknown: bool) -> Region:
        """Return the part of a region in which a condition on categories holds."""
        space = self.space
        if not self.joint.stated:
            maybe = 1 << UNKNOWN if unknown else 0
            members = Members("category:", ONLY_NO | maybe, ONLY_YES | maybe)
            return narrowed(space, region, match, members)
        for name in match.all or ():
            region = space.meet(region, self.carried(name, perhaps=unknown))
        for name in match.none or ():
            region = space.meet(region, (self.lacking(name, perhaps=unknown),))
        if match.any is not None:
            parts = [self.carried(name, perhaps=unknown) for name in match.any]
            region = space.meet(region, space.join(*parts))
        return region

    def carried(self, name: str, *, perhaps: bool) -> Region:
        """Return the calls that carry a category, for sure or perhaps."""
        space, bits = self.space, PERHAPS if perhaps else ONLY_YES
        if not self.joint.stated:
            return (space.only(f"category:{name}", bits),)
        implying = self.implying(name)
        found = [space.only(f"category:{part}", bits) for part in sorted(implying)]
        tasks = self.tasks_carrying(implying)
        if tasks:
            found.append(space.only("task", tasks))
        if perhaps and self.stands_for_all:
            found.append(space.only("label", 1 << UNLABELLED))
        return tuple(found)

    def lacking(self, name: str, *, perhaps: bool) -> int:
        """Return the box of the stated labels that lack a category, for sure or perhaps."""
        space, implying = self.space, self.implying(name)
        box = space.everything
        for part in implying:
            box &= space.only(f"category:{part}", NOT_YES if perhaps else ONLY_NO)
        box &= space.only("task", ~self.tasks_carrying(implying))
        if not perhaps and self.stands_for_all:
            box &= space.only("label", 1 << LABELLED)
        return box

    @property
    def stands_for_all(self) -> bool:
        """Whether a call nobody labelled may carry every category."""
        return stand_in_of(self.bundle) not in self.bundle.scheme.rank

    def implying(self, name: str) -> frozenset[str]:
        """Return the categories that bring one along, itself among them."""
        scheme = self.bundle.scheme
        return frozenset(
            part for part in scheme.categories if name in scheme.implied(frozenset({part}))
        )

    def tasks_carrying(self, names: frozenset[str]) -> int:
        """Return the bits of the tasks that carry one of some categories."""
        atoms = self.space.table.by_name["task"].atoms
        return sum(
            1 << place
            for place, atom in enumerate(atoms)
            if carries_of(self.bundle, str(atom.value)) & names
        )

    def refused(self) -> Region:
        """Return the calls that the policy does not read, or that lack a required fact."""
        space, bundle = self.space, self.bundle
        found = [
            self.unread("task", bundle.words.tasks),
            self.unread("level", bundle.scheme.levels),
        ]
        for name, fact in bundle.policy.facts.items():
            atoms = space.table.by_name[f"fact:{name}"].atoms
            bits = sum(1 << place for place, atom in enumerate(atoms) if not fits(atom.value, fact))
            found.append(space.only(f"fact:{name}", bits))
        if self.joint.stated:
            found.append(nothing_stated(space))
        return tuple(box for box in found if space.filled(box))

    def unread(self, name: str, known: Iterable[str]) -> int:
        """Return the box of the values of a field that the policy does not declare."""
        names = frozenset(known)
        atoms = self.space.table.by_name[name].atoms
        return self.space.only(
            name,
            sum(
                1 << place
                for place, atom in enumerate(atoms)
                if atom.value is not ABSENT and atom.value not in names
            ),
        )


def nothing_stated(space: Space) -> int:
    """Return the box of labels that state neither level nor category: no call has one."""
    level = space.table.by_name["level"]
    if level.atoms[0].value is not ABSENT:
        return 0
    box = space.only("label", 1 << LABELLED) & space.only("level", 1)
    for name in space.coherence.categories:
        box &= space.only(f"category:{name}", ONLY_NO)
    return box


def accepted_levels(bundle: Bundle, match: LevelMatch) -> frozenset[int]:
    """Return the places of the levels that a condition accepts."""
    ranks: Mapping[str, int] = bundle.scheme.rank
    holds = level_condition(match, Index(levels=ranks, categories={}, facts={}))
    return frozenset(place for place in ranks.values() if holds(subject(level=place)))


def defaulted(judge: Judge, fact: Fact) -> Judge:
    """Return a judge that reads a fact's default where the fact is missing."""
    return lambda value: judge(
        fact.default if value is ABSENT and fact.default is not None else value
    )


def fits(value: object, fact: Fact) -> bool:
    """Whether a policy reads a value of a fact."""
    if value is ABSENT:
        return not fact.required
    wanted = {"bool": bool, "int": int}.get(fact.type, str)
    if type(value) is not wanted:
        return False
    return fact.type != "enum" or value in (fact.values or ())
