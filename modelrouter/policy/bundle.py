"""A policy with everything that belongs to it, loaded and checked, under one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelrouter.decision import RuleRef
from modelrouter.errors import Problem
from modelrouter.labels import LabelScheme
from modelrouter.policy.catalogue import Catalog, ModelEntry
from modelrouter.policy.document import Budget, Objective, Policy, Rule, Runtime
from modelrouter.policy.layering import Layer
from modelrouter.policy.matchers import ModelMatcher
from modelrouter.policy.positions import NOWHERE, Positions
from modelrouter.policy.shapes import Shape
from modelrouter.policy.suite import PolicyTest, Properties, Property
from modelrouter.policy.vocabulary import Vocabulary, scheme_of
from modelrouter.yamlsource import Source

__all__ = ["Bundle", "digest_below", "digest_of", "places_of", "places_of_tests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that stands in one policy folder, and in the layers above it.

    Attributes:
        path: The folder or file as the caller gave it.
        policy: The policy document, composed with those of the layers above it.
        catalogs: Catalogue documents by the path the policy names them with.
        models: Every model, inline ones first, then catalogue by catalogue.
        sets: Named sets of the policy and its catalogues.
        words: Every declared name.
        tests: Unit tests by file; those of the lowest layer alone.
        properties: Properties by file. What upper layers claim is never sent stands here too,
            by file relative to the lowest layer.
        places: Where rules, budgets and facts stand: `("rules", id)` -> reference; tests by
            the name of their file: `("policy_test.yaml", name)`.
        problems: Warnings and notes; nothing that stops the load.
        digest: SHA-256 of the canonical JSON of all documents, in hexadecimal. Comments
            and layout do not change it. It covers every layer.
        layers: The layers from the top down; one for a policy that extends nothing.
        positions: Where every part stands, to the column.
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
    layers: tuple[Layer, ...] = ()
    shadow: Bundle | None = field(default=None, repr=False)
    positions: Positions = field(default=NOWHERE, repr=False, compare=False)

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

    def owns(self, place: RuleRef) -> bool:
        """Whether a clause stands in the policy itself, not in a layer above it."""
        return len(self.layers) <= 1 or place.file == self.layers[-1].file


def digest_of(
    policy: Policy,
    catalogs: Mapping[str, Catalog],
    tests: Mapping[str, PolicyTest],
    properties: Mapping[str, Properties],
) -> str:
    """Return the digest of the validated documents of one layer: sorted keys, defaults dropped.

    What stands above is not in it, nor where: `digest_below` adds the former.
    """

    def plain(document: Shape) -> object:
        return document.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    return digest_of_json(
        {
            "policy": plain(policy.model_copy(update={"extends": None})),
            "catalogs": {name: plain(part) for name, part in catalogs.items()},
            "tests": {name: plain(part) for name, part in tests.items()},
            "properties": {name: plain(part) for name, part in properties.items()},
        }
    )


def digest_below(above: str, own: str) -> str:
    """Return the digest of a layer below others.

    Args:
        above: Digest of the layer above, which covers those above it.
        own: Digest of the layer's own documents.
    """
    return digest_of_json({"above": above, "own": own})


def digest_of_json(whole: Mapping[str, object]) -> str:
    """Return the SHA-256 of canonical JSON, in hexadecimal."""
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
    for section, name in (("defaults", "default_deny_from"), ("labels", "unlabelled")):
        line, _ = source.position((section, name), key=True)
        found[section, name] = RuleRef(id=name, file=source.file, line=line)
    return found


def places_of_tests(
    tests: Mapping[str, PolicyTest], sources: Mapping[Path, Source], folder: Path | None
) -> dict[tuple[str, str], RuleRef]:
    """Return where every test stands, by the name of its file and its own."""
    found: dict[tuple[str, str], RuleRef] = {}
    for file, suite in tests.items():
        source = sources[Path(file) if folder is None else folder / file]
        for place, case in enumerate(suite.tests):
            line, _ = source.position(("tests", place))
            found[file, case.name] = RuleRef(id=case.name, file=source.file, line=line)
    return found
