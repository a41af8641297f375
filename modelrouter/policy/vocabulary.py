"""The names a policy declares, and checks that what refers to them exists."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from modelrouter.labels import Category, LabelScheme
from modelrouter.policy.catalogue import ModelEntry
from modelrouter.policy.document import Fact, Labels, Policy
from modelrouter.policy.findings import (
    PROBLEMS_WITH_HINT,
    Findings,
    Path,
    did_you_mean,
    shortened,
)
from modelrouter.policy.impossible import impossible_parts
from modelrouter.policy.matchers import FactMatch, ModelMatcher, RequestMatcher, SetMatch
from modelrouter.values import FactValue
from modelrouter.yamlsource import Source

__all__ = ["CAPABILITIES", "STANDARD_LABELS", "References", "Vocabulary", "vocabulary_of"]

CAPABILITIES = frozenset({"tools", "json_schema", "vision", "audio", "file"})
"""Capabilities a call can be seen to need; a catalogue may name others."""

STANDARD_LABELS = LabelScheme(
    levels=("public", "internal", "confidential", "restricted"),
    categories={
        "pii": Category(at_least="confidential"),
        "financial": Category(at_least="confidential"),
        "legal": Category(at_least="confidential"),
        "source_code": Category(at_least="internal"),
        "phi": Category(at_least="restricted", includes=frozenset({"pii"})),
        "pci": Category(at_least="restricted"),
        "secrets": Category(at_least="restricted"),
        "export_controlled": Category(at_least="restricted"),
    },
)
"""What `labels: standard` means; it never changes within an apiVersion."""


FACT_HINTS = {
    "bool": "write true or false, without quotes",
    "int": "write a whole number, without quotes",
    "string": "put it in quotes",
    "enum": "write one of the fact's `values`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Every name a policy declares, by kind."""

    levels: tuple[str, ...]
    categories: frozenset[str]
    tasks: frozenset[str]
    facts: Mapping[str, Fact]
    models: frozenset[str]
    chats: frozenset[str]
    sets: Mapping[str, ModelMatcher]
    capabilities: frozenset[str]
    budgets: frozenset[str]
    rules: frozenset[str]


def vocabulary_of(
    policy: Policy, models: Iterable[ModelEntry], sets: Mapping[str, ModelMatcher]
) -> Vocabulary:
    """Return the names of a policy and its catalogues."""
    entries = tuple(models)
    labels = policy.labels
    levels = STANDARD_LABELS.levels
    categories = frozenset(STANDARD_LABELS.categories)
    if labels is not None and not labels.standard:
        levels = labels.levels or levels
        categories = frozenset(labels.categories)
    return Vocabulary(
        levels=levels,
        categories=categories,
        tasks=task_names(policy, entries),
        facts=policy.facts,
        models=frozenset(entry.id for entry in entries),
        chats=frozenset(entry.id for entry in entries if entry.role == "chat"),
        sets=sets,
        capabilities=CAPABILITIES.union(*(entry.capabilities for entry in entries)),
        budgets=frozenset(budget.id for budget in policy.budgets),
        rules=frozenset(rule.id for rule in policy.rules),
    )


def task_names(policy: Policy, models: Iterable[ModelEntry]) -> frozenset[str]:
    """Return the declared tasks, or the catalogue's quality keys and `other`."""
    if policy.tasks is not None:
        return frozenset(policy.tasks)
    keys = {name for entry in models for name in entry.quality}
    return frozenset(keys - {"*"} | {"other"})


def scheme_of(labels: Labels | None) -> LabelScheme:
    """Return the label algebra of a policy whose names have been checked."""
    if labels is None or labels.standard:
        return STANDARD_LABELS
    levels = labels.levels or STANDARD_LABELS.levels
    return LabelScheme(
        levels=levels,
        categories={
            name: Category(at_least=shape.at_least or levels[0], includes=frozenset(shape.includes))
            for name, shape in labels.categories.items()
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Checks the references of one document against the vocabulary."""

    source: Source
    findings: Findings
    words: Vocabulary

    def known(
        self,
        path: Path,
        name: str,
        *,
        code: str,
        noun: str,
        among: Collection[str],
        key: bool = False,
    ) -> bool:
        """Note an unknown name; return whether it is known."""
        if name in among:
            return True
        hinted = len(self.findings.problems) < PROBLEMS_WITH_HINT
        self.findings.add(
            self.source,
            path,
            code,
            f"unknown {noun} `{shortened(name)}`",
            hint=did_you_mean(name, among) if hinted else None,
            key=key,
        )
        return False

    def each(
        self, path: Path, names: Iterable[str], *, code: str, noun: str, among: Collection[str]
    ) -> None:
        """Check a list of names, or a scalar that stands for one."""
        for place, name in enumerate(names):
            self.known((*path, place), name, code=code, noun=noun, among=among)

    def in_sets(
        self, path: Path, match: SetMatch | None, *, code: str, noun: str, among: Collection[str]
    ) -> None:
        """Check the three lists of a set matcher."""
        if match is not None:
            for part in ("any", "all", "none"):
                self.each(
                    (*path, part), getattr(match, part) or (), code=code, noun=noun, among=among
                )

    def level(self, path: Path, name: str | None) -> None:
        """Check a level."""
        if name is not None:
            self.known(path, name, code="MR101", noun="level", among=self.words.levels)

    def categories(self, path: Path, names: Iterable[str]) -> None:
        """Check a list of categories."""
        self.each(path, names, code="MR101", noun="category", among=self.words.categories)

    def models(self, path: Path, matcher: ModelMatcher | None) -> None:
        """Check every name in a condition on models."""
        if matcher is None:
            return
        self.possible(path, matcher)
        ids = matcher.id.equals or () if matcher.id is not None else ()
        sets = matcher.set.equals if matcher.set is not None else ()
        models, named = self.words.models, self.words.sets
        self.each((*path, "id"), ids, code="MR102", noun="model", among=models)
        self.each((*path, "set"), sets, code="MR107", noun="model set", among=named)
        self.in_sets(
            (*path, "capabilities"),
            matcher.capabilities,
            code="MR104",
            noun="capability",
            among=self.words.capabilities,
        )
        self.models((*path, "not"), matcher.negated)

    def possible(self, path: Path, matcher: RequestMatcher | ModelMatcher) -> None:
        """Note every condition that can never match."""
        rank = {name: place for place, name in enumerate(self.words.levels)}
        for part, why in impossible_parts(matcher, rank):
            hint = "mend the condition; a rule that never applies protects nothing"
            self.findings.add(self.source, (*path, *part), "MR202", why, hint=hint)

    def when(self, path: Path, matcher: RequestMatcher | None, *, budgets: bool = False) -> None:
        """Check every name in a condition on the call."""
        if matcher is None:
            return
        self.possible(path, matcher)
        if matcher.level is not None:
            self.each(
                (*path, "level"),
                matcher.level.equals or (),
                code="MR101",
                noun="level",
                among=self.words.levels,
            )
            for bound in (matcher.level.at_least, matcher.level.at_most):
                self.level((*path, "level"), bound)
        self.in_sets(
            (*path, "categories"),
            matcher.categories,
            code="MR101",
            noun="category",
            among=self.words.categories,
        )
        if matcher.task is not None:
            self.each(
                (*path, "task"),
                matcher.task.equals or (),
                code="MR103",
                noun="task",
                among=self.words.tasks,
            )
        self.in_sets(
            (*path, "needs"),
            matcher.needs,
            code="MR104",
            noun="capability",
            among=self.words.capabilities,
        )
        for name, match in (matcher.facts or {}).items():
            self.fact((*path, "facts", name), name, match)
        for name in matcher.budget or {}:
            here = (*path, "budget", name)
            if not budgets:
                self.findings.add(
                    self.source,
                    here[:-1],
                    "MR020",
                    "`budget` is read only in objectives and advisory rules",
                    hint="limits belong under `budgets:`",
                    key=True,
                )
            self.known(here, name, code="MR108", noun="budget", among=self.words.budgets, key=True)

    def fact(self, path: Path, name: str, match: FactMatch) -> None:
        """Check a fact's name and that the condition fits its type."""
        if not self.known(path, name, code="MR105", noun="fact", among=self.words.facts):
            return
        fact = self.words.facts[name]
        if match.prefix is not None and fact.type != "string":
            self.findings.add(
                self.source,
                path,
                "MR020",
                f"`prefix` does not fit fact `{name}` of type {fact.type}",
                hint="list the values it may have",
            )
        bounds = (match.at_least, match.at_most, match.above, match.below)
        if fact.type != "int" and any(bound is not None for bound in bounds):
            self.findings.add(
                self.source,
                path,
                "MR020",
                f"bounds do not fit fact `{name}` of type {fact.type}",
                hint="list the values it may have, or declare it `type: int`",
            )
        for place, value in enumerate(match.equals or ()):
            self.fact_value((*path, place), name, value)

    def fact_value(self, path: Path, name: str, value: FactValue) -> bool:
        """Check that a value fits its fact; return whether it does."""
        fact = self.words.facts[name]
        if fact.type == "enum" and isinstance(value, str):
            return self.known(
                path, value, code="MR106", noun=f"value of fact `{name}`", among=fact.values or ()
            )
        fits = {
            "bool": isinstance(value, bool),
            "int": isinstance(value, int) and not isinstance(value, bool),
        }.get(fact.type, isinstance(value, str))
        if not fits:
            self.findings.add(
                self.source,
                path,
                "MR106",
                f"{json.dumps(value)} is not a value of fact `{name}` of type {fact.type}",
                hint=FACT_HINTS[fact.type],
            )
        return fits
