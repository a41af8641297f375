"""What every check looks at: a loaded policy, compiled for one day."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.model_matching import ModelFacts, expired, facts_of, match_model
from modelrouter.engine.spending import places
from modelrouter.engine.truth import TRUE, UNKNOWN
from modelrouter.lint.regions import Regions
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.catalogue import ModelEntry
from modelrouter.policy.document import Policy, Rule
from modelrouter.policy.matchers import ModelMatcher

__all__ = ["LintContext", "context_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LintContext:
    """A policy on one day.

    Attributes:
        bundle: The policy with everything that belongs to it.
        at: The day.
        engine: The policy compiled for that day.
        facts: What matchers see of each model on that day.
        regions: What the policy says of requests, as regions.
    """

    bundle: Bundle
    at: datetime.date
    engine: Engine
    facts: tuple[ModelFacts, ...]
    regions: Regions

    @property
    def policy(self) -> Policy:
        """The policy document."""
        return self.bundle.policy

    @property
    def models(self) -> Sequence[ModelEntry]:
        """Every model, in the order of the masks."""
        return self.bundle.models

    @property
    def chats(self) -> int:
        """The models that answer chats and have not retired."""
        return self.serving & ~self.engine.table.not_chat

    @property
    def serving(self) -> int:
        """The models that have not retired."""
        gone = 0
        for removal in self.engine.retired:
            gone |= removal.models
        return self.engine.everything & ~gone

    @property
    def standing(self) -> tuple[Rule, ...]:
        """The rules in the order of the file, but not permits that have lapsed."""
        return tuple(
            rule
            for rule in self.policy.rules
            if rule.effect != "permit" or not expired(rule.expires, self.at)
        )

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """The rules that have an effect on the day, in the order of the file."""
        return tuple(rule for rule in self.standing if rule.strength != "advisory")

    def mask(self, matcher: ModelMatcher | None, *, unknown_matches: bool) -> int:
        """Return the models a matcher covers; None covers all."""
        if matcher is None:
            return self.engine.everything
        accepted = (TRUE, UNKNOWN) if unknown_matches else (TRUE,)
        found = 0
        for place, facts in enumerate(self.facts):
            if match_model(matcher, facts, self.bundle.sets) in accepted:
                found |= 1 << place
        return found

    def affected(self, rule: Rule) -> int:
        """Return the models a rule speaks of: for a require, those that it removes."""
        if rule.effect == "require":
            return self.engine.everything & ~self.mask(rule.models, unknown_matches=False)
        return self.mask(rule.models, unknown_matches=rule.effect != "permit")

    def ids(self, mask: int) -> list[str]:
        """Return the ids of a mask's models, sorted."""
        return sorted(self.models[place].id for place in places(mask))

    @property
    def capable(self) -> Mapping[str, int]:
        """Chat models by capability, sorted by name."""
        table = self.engine.table.capable
        return {name: table[name] & self.chats for name in sorted(table)}


def context_of(bundle: Bundle, at: datetime.date) -> LintContext:
    """Return what the checks look at."""
    engine = compile_bundle(bundle, at)
    return LintContext(
        bundle=bundle,
        at=at,
        engine=engine,
        regions=Regions(engine),
        facts=tuple(facts_of(entry, at) for entry in bundle.models),
    )
