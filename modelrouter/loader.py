"""Loads a policy folder or file: reads, validates, checks names, and bundles.

Every problem of every document is found in one go. A policy with an error does not load:
there is no partial policy. A policy that extends another is loaded with every layer above it,
and sees one composed policy.
"""

from __future__ import annotations

import datetime
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from modelrouter.documents import Reading
from modelrouter.errors import PolicyError, Problem
from modelrouter.lineage import Draft, lineage
from modelrouter.policy.bundle import (
    Bundle,
    digest_below,
    digest_of,
    places_of,
    places_of_tests,
)
from modelrouter.policy.checks import check_policy
from modelrouter.policy.document import Policy
from modelrouter.policy.findings import Findings
from modelrouter.policy.kinds import kind_of
from modelrouter.policy.layer_checks import check_below
from modelrouter.policy.layering import Part, Stack, claims_above, compose, layers_of, own_words
from modelrouter.policy.matchers import ModelMatcher
from modelrouter.policy.model_checks import (
    check_models,
    check_only_here,
    check_set_cycles,
    check_sets,
    merge_sets,
)
from modelrouter.policy.positions import stacked
from modelrouter.policy.suite import PolicyTest, Properties
from modelrouter.policy.vocabulary import Vocabulary
from modelrouter.proof.invariants import unproved
from modelrouter.shadow_files import shadow_of
from modelrouter.tightening import check_widening
from modelrouter.yamlsource import Source, read_text

__all__ = ["Inspection", "inspect", "load", "load_text"]


def today() -> datetime.date:
    """Return the day in UTC, as routers count days."""
    return datetime.datetime.now(tz=datetime.UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What came of reading a policy.

    Attributes:
        bundle: The policy, or None if it does not load.
        problems: Everything found, by file, line and column.
        readable: Whether there was a policy document to speak of. False if the path does not
            exist or may not be read, if the file is empty, binary or too large, and if the
            folder holds no policy or several. Broken YAML and a misspelt kind are readable.
        files: Every file and folder that was read, or looked for and not found.
        unproved: The policy, if nothing but an invariant keeps it from loading: to look into
            why. Nothing may be decided by it for a call.
    """

    bundle: Bundle | None
    problems: tuple[Problem, ...]
    readable: bool
    files: tuple[Path, ...] = ()
    unproved: Bundle | None = None


def load(path: str | Path, *, at: datetime.date | None = None) -> Bundle:
    """Return the policy at `path`, a folder with one policy or a policy file.

    Args:
        path: The folder or file.
        at: The day for which the policy's invariants are proved; today in UTC by default.

    Raises:
        PolicyError: With every problem found; nothing is loaded.
    """
    found = inspect(path, at=at)
    if found.bundle is None:
        raise PolicyError([part for part in found.problems if part.severity == "error"])
    return found.bundle


def load_text(text: str, *, file: str = "policy.yaml", at: datetime.date | None = None) -> Bundle:
    """Return the policy in `text`, which carries its models inline and extends nothing.

    Raises:
        PolicyError: With every problem found.
    """
    reading = Reading(shown=file)
    bundle = assemble(reading, read_text(text, file=file), None, at=at or today())
    if bundle is None or reading.findings.failed:
        raise PolicyError([part for part in reading.findings.ordered() if part.severity == "error"])
    return bundle


def inspect(
    path: str | Path, *, at: datetime.date | None = None, shadows: bool = True
) -> Inspection:
    """Return the policy at `path`, or why it does not load, with every problem found.

    Args:
        path: A policy file, or a folder with one.
        at: The day for which the policy's invariants are proved; today in UTC by default.
        shadows: Whether the policy under its `shadow` is read too.
    """
    at = at or today()
    reading = Reading(shown=str(path))
    main = reading.find_policy(Path(path))
    bundle = None if main is None else assemble(reading, *main, at=at, shadows=shadows)
    failed = reading.findings.failed
    if main is not None:
        readable = main[0].readable
    else:  # a folder: a document of no known kind could have been the policy
        sources = reading.sources.values()
        readable = any(part.readable and kind_of(part) is None for part in sources)
    return Inspection(
        bundle=None if failed else bundle,
        problems=reading.findings.ordered(),
        readable=readable,
        files=(*reading.sources, *sorted(reading.folders), *reading.elsewhere),
        unproved=bundle if failed else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One layer as far as it was loaded, and the layers down to it as one policy."""

    draft: Draft
    stack: Stack
    tests: Mapping[str, PolicyTest]
    properties: Mapping[str, Properties]


def assemble(
    reading: Reading,
    source: Source,
    file: Path | None,
    *,
    at: datetime.date,
    shadows: bool = True,
) -> Bundle | None:
    """Return the bundle around a policy document, or None after noting why not.

    Where an invariant is not proved, that is noted and the bundle is returned: it has failed.
    """
    drafts = lineage(reading, source, file)
    if drafts is None:
        return None
    layers: list[Loaded] = []
    for draft in drafts:
        layers.append(load_layer(reading, draft, layers[-1].stack if layers else None))
    lowest = layers[-1]
    if not lowest.stack.models and not reading.findings.failed:
        hint = "give `models:` inline or name a catalogue under `catalogs:`"
        reading.findings.add(source, (), "MR020", "the policy knows no model", hint=hint)
    shadow: Bundle | None = None
    if shadows:
        load_shadow = partial(inspect_shadow, reading=reading, at=at)
        draft = lowest.draft
        name = draft.policy.shadow
        if name is not None and draft.folder is not None:
            reading.elsewhere.append(draft.folder / name)  # it may appear later
        shadow = shadow_of(name, source, draft.folder, reading.findings, load_shadow)
    if reading.findings.failed:
        return None
    bundle = replace(bundle_of(reading, layers), shadow=shadow)
    return judged(bundle, layers, at, reading.findings)


def judged(
    bundle: Bundle, layers: list[Loaded], at: datetime.date, findings: Findings
) -> Bundle | None:
    """Return a bundle after noting which invariants fail, or None if a layer widens."""
    if len(layers) > 1:
        check_widening(bundle, [layer.draft for layer in layers], findings)
    if findings.failed:
        return None
    note_unproved(bundle, layers, at, findings)
    return replace(bundle, problems=findings.ordered())


def inspect_shadow(path: Path, *, reading: Reading, at: datetime.date) -> Inspection:
    """Read a shadow policy, and remember its files with those of the policy itself."""
    found = inspect(path, at=at, shadows=False)
    reading.elsewhere += found.files
    return found


def note_unproved(
    bundle: Bundle, layers: list[Loaded], at: datetime.date, findings: Findings
) -> None:
    """Note each invariant of any layer that the composed policy does not keep."""
    places = {
        claim.id: (layer.draft.source, place)
        for layer in layers
        for place, claim in enumerate(layer.draft.policy.invariants)
    }
    for name, message, hint in unproved(bundle, at):
        source, place = places[name]
        findings.add(source, ("invariants", place, "id"), "MR140", message, hint=hint)


def load_layer(reading: Reading, draft: Draft, above: Stack | None) -> Loaded:
    """Return one layer below those loaded before it, after noting what is wrong with it."""
    part = Part(
        policy=draft.policy,
        source=draft.source,
        catalogs=reading.catalogs(draft.policy, draft.source, draft.folder),
    )
    stack = compose(above, part)
    if above is not None:
        check_below(above, part, reading.findings)
    check_names(part, own_words(above, part), stack.words, reading.findings)
    tests, properties = reading.suites(draft.source, draft.folder, stack.words)
    return Loaded(draft=draft, stack=stack, tests=tests, properties=properties)


def bundle_of(reading: Reading, layers: list[Loaded]) -> Bundle:
    """Return layers that have no error, from the top down, as one bundle."""
    lowest = layers[-1]
    digests: list[str] = []
    for layer in layers:
        part = layer.stack.parts[-1]
        catalogs = {name: catalog for name, (_, catalog) in part.catalogs.items()}
        own = digest_of(part.policy, catalogs, layer.tests, layer.properties)
        digests.append(digest_below(digests[-1], own) if digests else own)
    return Bundle(
        path=reading.shown,
        policy=lowest.stack.policy,
        catalogs=lowest.stack.catalogs,
        models=lowest.stack.models,
        sets=lowest.stack.sets,
        words=lowest.stack.words,
        tests=lowest.tests,
        properties=properties_of(layers),
        places={
            name: place
            for part in reversed(
                lowest.stack.parts
            )  # the uppermost declaration is the one in force
            for name, place in places_of(part.policy, part.source).items()
        }
        | places_of_tests(lowest.tests, reading.sources, lowest.draft.folder),
        problems=reading.findings.ordered(),
        digest=digests[-1],
        layers=layers_of(lowest.stack, tuple(digests)),
        positions=stacked(
            [
                (part.policy, part.source, part.catalogs.values())
                for part in (layer.stack.parts[-1] for layer in layers)
            ]
        ),
    )


def properties_of(layers: list[Loaded]) -> dict[str, Properties]:
    """Return what is claimed of the composed policy, by file relative to the lowest layer."""
    found: dict[str, Properties] = {}
    for layer in layers:
        for name, claims in layer.properties.items():
            lasting = claims if layer is layers[-1] else claims_above(claims)
            key = posixpath.normpath(posixpath.join(layer.draft.near, name))
            while key in found:  # two ways through links that look alike
                key = f"./{key}"
            if lasting is not None:
                found[key] = lasting
    return found


def check_names(part: Part, policy: Policy, words: Vocabulary, findings: Findings) -> None:
    """Check every name in a layer's policy and its catalogues."""
    sets: dict[str, ModelMatcher] = dict(part.policy.sets)
    for source, catalog in part.catalogs.values():
        merge_sets(sets, catalog.sets, source, findings)
    check_policy(policy, part.source, words, findings)
    check_models(part.policy.models, part.source, words, findings)
    check_sets(part.policy.sets, part.source, words, findings)
    seen = {entry.id for entry in part.policy.models}
    for source, catalog in part.catalogs.values():
        check_models(catalog.models, source, words, findings)
        check_sets(catalog.sets, source, words, findings)
        check_only_here(catalog.models, source, seen, findings)
    documents = [(sets, source) for source, sets in part.documents_with_sets()]
    check_set_cycles(documents, words, findings)
