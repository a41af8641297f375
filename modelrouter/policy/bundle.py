"""A policy with everything that belongs to it, loaded and checked, under one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelrouter.decision import RuleRef
from modelrouter.errors import Problem
from modelrouter.labels import LabelScheme
from modelrouter.policy.catalogue import Catalog, ModelEntry
from modelrouter.policy.document import Budget, Objective, Policy, Rule, Runtime
from modelrouter.policy.matchers import ModelMatcher
from modelrouter.policy.shapes import Shape
from modelrouter.policy.suite import PolicyTest, Properties, Property
from modelrouter.policy.vocabulary import Vocabulary, scheme_of
from modelrouter.yamlsource import Source

__all__ = ["Bundle", "digest_of", "places_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that stands in one policy folder.

    Attributes:
        path: The folder or file as the caller gave it.
        policy: The policy document.
        catalogs: Catalogue documents by the path the policy names them with.
        models: Every model, inline ones first, then catalogue by catalogue.
        sets: Named sets of the policy and its catalogues.
        words: Every declared name.
        tests: Unit tests by file.
        properties: Properties by file.
        places: Where rules, budgets and facts stand: `("rules", id)` -> reference.
        problems: Warnings and notes; nothing that stops the load.
        digest: SHA-256 of the canonical JSON of all documents, in hexadecimal. Comments
            and layout do not change it. What its shadow consists of does not either.
        shadow: The policy under `shadow`, or None.
    """

    path: str
    policy: Policy
    catalogs: Mapping[str, Catalog]
    models: tuple[ModelEntry, ...]
    sets: Mapping[str, ModelMatcher]
    words: Vocabulary
    tests: Mapping[str, PolicyTest]
    properties: Mapping[str, Properties]
    places: Mapping[tuple[str, str], RuleRef]
    problems: tuple[Problem, ...] = ()
    digest: str = field(default="")
    shadow: Bundle | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The policy's own name."""
        return self.policy.metadata.name

    @property
    def scheme(self) -> LabelScheme:
        """The policy's label algebra."""
        return scheme_of(self.policy.labels)

    def place(self, section: str, name: str) -> RuleRef:
        """Return the reference to a rule, budget or fact."""
        return self.places.get((section, name), RuleRef(id=name))


def digest_of(
    policy: Policy,
    catalogs: Mapping[str, Catalog],
    tests: Mapping[str, PolicyTest],
    properties: Mapping[str, Properties],
) -> str:
    """Return the digest of validated documents: sorted keys, defaults dropped."""

    def plain(document: Shape) -> object:
        return document.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    whole = {
        "policy": plain(policy),
        "catalogs": {name: plain(part) for name, part in catalogs.items()},
        "tests": {name: plain(part) for name, part in tests.items()},
        "properties": {name: plain(part) for name, part in properties.items()},
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def places_of(policy: Policy, source: Source) -> dict[tuple[str, str], RuleRef]:
    """Return where every rule, budget, objective, runtime section and fact stands."""
    found: dict[tuple[str, str], RuleRef] = {}
    sections: tuple[tuple[str, Sequence[Rule | Budget | Objective | Runtime | Property]], ...] = (
        ("rules", policy.rules),
        ("budgets", policy.budgets),
        ("objectives", policy.objectives),
        ("runtime", policy.runtime),
        ("invariants", policy.invariants),
    )
    for section, parts in sections:
        for place, part in enumerate(parts):
            line, _ = source.position((section, place))
            found[section, part.id] = RuleRef(id=part.id, file=source.file, line=line)
    for name in policy.facts:
        line, _ = source.position(("facts", name), key=True)
        found["facts", name] = RuleRef(id=name, file=source.file, line=line)
    return found
