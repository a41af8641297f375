"""Layers of policy: composes a policy with the ones above it, by intersection.

Guardrails add up, preferences of the lower layer come first, and a name belongs to the
highest layer that declares it. What a lower layer may not say is found in
`modelrouter.policy.layer_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelrouter.policy.catalogue import Catalog, ModelEntry
from modelrouter.policy.document import Defaults, Policy, Task
from modelrouter.policy.findings import Path
from modelrouter.policy.matchers import ModelMatcher
from modelrouter.policy.shapes import is_list, is_mapping
from modelrouter.policy.suite import Properties
from modelrouter.policy.vocabulary import Vocabulary, scheme_of, vocabulary_of
from modelrouter.yamlsource import Source

__all__ = ["Layer", "Part", "Stack", "claims_above", "compose", "layers_of", "own_words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a loaded policy.

    Attributes:
        name: The name under its `metadata`.
        file: Its policy file, as shown in problems.
        digest: What the digest of this layer is when it is loaded itself.
        deny_from: The level from which its permits alone make a model eligible; None if the
            layer has no default deny of its own.
        deny_line: Line that says so, or 1.
        rules: Ids of its rules.
    """

    name: str
    file: str
    digest: str
    deny_from: str | None
    deny_line: int
    rules: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The documents of one layer that decide, as they were read.

    Attributes:
        catalogs: Catalogues by the path the policy names them with.
    """

    policy: Policy
    source: Source
    catalogs: Mapping[str, tuple[Source, Catalog]]

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        """The layer's own models, inline ones first."""
        catalogued = (entry for _, part in self.catalogs.values() for entry in part.models)
        return (*self.policy.models, *catalogued)

    def documents_with_sets(self) -> Iterator[tuple[Source, Mapping[str, ModelMatcher]]]:
        """Yield each document that may declare sets, with those it declares."""
        yield self.source, self.policy.sets
        for source, catalog in self.catalogs.values():
            yield source, catalog.sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Layers composed into one policy.

    Attributes:
        parts: The layers from the top down.
        policy: One document that says what all of them say together.
        catalogs: The catalogues of the layer that has any.
        words: Every name that the lowest of them may use.
        gates: For each layer the level of its default deny, or None.
    """

    parts: tuple[Part, ...]
    policy: Policy
    catalogs: Mapping[str, Catalog]
    models: tuple[ModelEntry, ...]
    sets: Mapping[str, ModelMatcher]
    words: Vocabulary
    gates: tuple[str | None, ...]

    def place_of(self, path: Path) -> str:
        """Return `file:line` of the key at `path` in the nearest layer that writes it."""
        for part in reversed(self.parts):
            if is_written(part.source.data, path):
                return f"{part.source.file}:{part.source.position(path, key=True)[0]}"
        return f"{self.parts[0].source.file}:1"

    def place_of_id(self, section: str, name: str) -> str:
        """Return `file:line` of a rule, budget, objective or runtime section."""
        for part in self.parts:
            for place, entry in enumerate(getattr(part.policy, section)):
                if entry.id == name:
                    return f"{part.source.file}:{part.source.position((section, place))[0]}"
        return f"{self.parts[0].source.file}:1"

    def place_of_set(self, name: str) -> str:
        """Return `file:line` of a named set."""
        for part in self.parts:
            for source, sets in part.documents_with_sets():
                if name in sets:
                    return f"{source.file}:{source.position(('sets', name), key=True)[0]}"
        return f"{self.parts[0].source.file}:1"


def is_written(data: object, path: Path) -> bool:
    """Whether a document has the key at `path`; a list of names has its names as keys."""
    for segment in path:
        if is_mapping(data) and segment in data:
            data = data[segment]
        elif is_list(data) and segment in data:
            data = None
        elif is_list(data) and isinstance(segment, int) and segment < len(data):
            data = data[segment]
        else:
            return False
    return True


def compose(above: Stack | None, part: Part) -> Stack:
    """Return the layers above and one more below them as one policy.

    Whether the lower one may say what it says is not asked here: where both declare a name,
    the upper declaration holds.
    """
    own = {name: each for _, sets in part.documents_with_sets() for name, each in sets.items()}
    if above is None:
        highest = scheme_of(part.policy.labels).highest
        policy = part.policy.model_copy(update={"extends": None})
        models, sets = part.models, own
        gates: tuple[str | None, ...] = (gate_of(part.policy) or highest,)
        catalogs: Mapping[str, Catalog] = {}
    else:
        policy = merged(above, part)
        models = (*above.models, *part.models)
        sets = {**above.sets, **{name: own[name] for name in own if name not in above.sets}}
        catalogs = above.catalogs
        below = gate_of(part.policy)
        inherited = next(level for level in reversed(above.gates) if level is not None)
        gates = (*above.gates, inherited if below == "" else below)
    return Stack(
        parts=(part,) if above is None else (*above.parts, part),
        policy=policy,
        catalogs={**catalogs, **{name: each for name, (_, each) in part.catalogs.items()}},
        models=models,
        sets=sets,
        words=vocabulary_of(policy, models, sets),
        gates=gates,
    )


def gate_of(policy: Policy) -> str | None:
    """Return the level a layer states for its default deny, "" for that of the layer above.

    None says that the layer has none: it neither states a level nor has a permit.
    """
    stated = policy.defaults.default_deny_from
    permits = any(rule.effect == "permit" and rule.strength != "advisory" for rule in policy.rules)
    return stated or ("" if permits else None)


def merged(above: Stack, part: Part) -> Policy:
    """Return the composed document."""
    upper, lower = above.policy, part.policy
    new = {name: fact for name, fact in lower.facts.items() if name not in upper.facts}
    return upper.model_copy(
        update={
            "metadata": lower.metadata,
            "catalogs": (*upper.catalogs, *lower.catalogs),
            "models": (*upper.models, *lower.models),
            "sets": {**lower.sets, **upper.sets},
            "tasks": tasks_of(above, lower),
            "facts": {**upper.facts, **new},
            "defaults": stricter(upper.defaults, lower.defaults),
            "rules": (*upper.rules, *lower.rules),
            "budgets": (*upper.budgets, *lower.budgets),
            # Preferences: the first that matches decides, and the lower layer knows better.
            "objectives": (*lower.objectives, *upper.objectives),
            "runtime": (*lower.runtime, *upper.runtime),
            # That a call is always served, a lower layer may end; that nothing is sent, never.
            "invariants": (
                *(claim for claim in upper.invariants if claim.never_sent is not None),
                *lower.invariants,
            ),
            "shadow": lower.shadow,
            "lint": lower.lint.model_copy(update={"allow": (*upper.lint.allow, *lower.lint.allow)}),
        }
    )


def tasks_of(above: Stack, lower: Policy) -> dict[str, Task] | None:
    """Return the tasks of both layers; those a catalogue implies stay where one adds to them."""
    if lower.tasks is None:
        return above.policy.tasks
    upper = above.policy.tasks
    if upper is None:
        upper = {name: Task() for name in sorted(above.words.tasks)}
    return {**upper, **{name: task for name, task in lower.tasks.items() if name not in upper}}


def stricter(upper: Defaults, lower: Defaults) -> Defaults:
    """Return the defaults of both: what the lower layer does not state stays as it is."""
    stated = lower.model_fields_set
    return upper.model_copy(
        update={
            "default_deny_from": lower.default_deny_from or upper.default_deny_from,
            "compare_quality": "lower"
            if "compare_quality" in stated and lower.compare_quality == "lower"
            else upper.compare_quality,
            "unknown_quality": "exclude"
            if "unknown_quality" in stated and lower.unknown_quality == "exclude"
            else upper.unknown_quality,
        }
    )


def own_words(above: Stack | None, part: Part) -> Policy:
    """Return a layer's document without what the layers above declare already.

    What they declare has been checked there; what is declared differently here is one
    mistake, and no name in it is looked at.
    """
    if above is None:
        return part.policy
    tasks = part.policy.tasks
    return part.policy.model_copy(
        update={
            "labels": None,
            "facts": {
                name: fact
                for name, fact in part.policy.facts.items()
                if name not in above.policy.facts
            },
            "tasks": tasks
            and {name: task for name, task in tasks.items() if name not in above.words.tasks},
        }
    )


def layers_of(stack: Stack, digests: tuple[str, ...]) -> tuple[Layer, ...]:
    """Return what a bundle keeps of each layer."""
    return tuple(
        Layer(
            name=part.policy.metadata.name,
            file=part.source.file,
            digest=digest,
            deny_from=level,
            deny_line=part.source.position(("defaults", "default_deny_from"), key=True)[0]
            if part.policy.defaults.default_deny_from
            else 1,
            rules=frozenset(rule.id for rule in part.policy.rules),
        )
        for part, digest, level in zip(stack.parts, digests, stack.gates, strict=True)
    )


def claims_above(claims: Properties) -> Properties | None:
    """Return what an upper layer's properties claim of every layer below, or None if nothing.

    That a model is never sent to holds of whatever is tighter. That something is always
    served need not: a lower layer may refuse it.
    """
    lasting = tuple(claim for claim in claims.properties if claim.never_sent is not None)
    return claims.model_copy(update={"properties": lasting}) if lasting else None
