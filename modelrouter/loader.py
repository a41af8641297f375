"""Loads a policy folder or file: reads, validates, checks names, and bundles.

Every problem of every document is found in one go. A policy with an error does not load:
there is no partial policy.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from modelrouter.errors import PolicyError, Problem
from modelrouter.folders import inside, is_companion, is_folder, is_there, yaml_files
from modelrouter.policy.bundle import Bundle, digest_of, places_of
from modelrouter.policy.catalogue import Catalog
from modelrouter.policy.checks import check_policy
from modelrouter.policy.document import Policy
from modelrouter.policy.findings import Findings, did_you_mean
from modelrouter.policy.kinds import KINDS, document_of, entry_of, kind_of, note_wrong_kind
from modelrouter.policy.model_checks import (
    check_models,
    check_only_here,
    check_set_cycles,
    check_sets,
    merge_sets,
)
from modelrouter.policy.suite import PolicyTest, Properties
from modelrouter.policy.suite_checks import check_properties, check_tests
from modelrouter.policy.vocabulary import Vocabulary, vocabulary_of
from modelrouter.proof.invariants import unproved
from modelrouter.shadow_files import shadow_of
from modelrouter.yamlsource import Source, read_file, read_text

__all__ = ["Inspection", "inspect", "load", "load_text"]

FILES_AT_MOST = 200


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
    """

    bundle: Bundle | None
    problems: tuple[Problem, ...]
    readable: bool


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
    """Return the policy in `text`, which carries its models inline.

    Raises:
        PolicyError: With every problem found.
    """
    reading = Reading(shown=file, at=at or today())
    source = read_text(text, file=file)
    bundle = reading.bundle(source, folder=None)
    if bundle is None:
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
    reading = Reading(shown=str(path), at=at or today(), shadows=shadows)
    main = reading.find_policy(Path(path))
    bundle = None if main is None else reading.bundle(main[0], folder=main[1].parent)
    if main is not None:
        readable = main[0].readable
    else:  # a folder: a document of no known kind could have been the policy
        sources = reading.sources.values()
        readable = any(part.readable and kind_of(part) is None for part in sources)
    return Inspection(bundle=bundle, problems=reading.findings.ordered(), readable=readable)


@dataclass(slots=True, kw_only=True)
class Reading:
    """One load in progress.

    Attributes:
        shown: The path as the caller gave it.
        findings: Problems so far.
        sources: Documents read, by path; each is read once.
        at: The day for which invariants are proved.
        shadows: Whether a shadow policy is read too.
    """

    shown: str
    at: datetime.date
    shadows: bool = True
    findings: Findings = field(default_factory=Findings)
    sources: dict[Path, Source] = field(default_factory=dict[Path, Source])

    def read(self, file: Path) -> Source:
        """Return the document in `file`."""
        if file not in self.sources:
            self.sources[file] = read_file(file)
        return self.sources[file]

    def files(self, folder: Path) -> tuple[Path, ...]:
        """Return the YAML files of a folder by name, or nothing after noting why not."""
        try:
            found = yaml_files(folder)
        except OSError:
            self.note_folder("MR000", "the folder cannot be listed", "check its access rights")
            return ()
        if len(found) > FILES_AT_MOST:
            message = f"the folder holds {len(found)} YAML files, more than {FILES_AT_MOST}"
            self.note_folder("MR001", message, "give the policy a folder of its own")
            return ()
        return found

    def note_folder(self, code: str, message: str, hint: str) -> None:
        """Note a problem of the path itself."""
        problem = Problem(code=code, file=self.shown, message=message, hint=hint)
        self.findings.problems.append(problem)

    def find_policy(self, path: Path) -> tuple[Source, Path] | None:
        """Return the policy document at `path`, or None after noting why there is none."""
        if not is_folder(path):
            return self.read(path), path
        policies: list[tuple[Source, Path]] = []
        for file in self.files(path):
            source = self.read(file)
            kind = kind_of(source)
            if kind == "Policy":
                policies.append((source, file))
            elif kind is None:
                self.note_unknown(source)
        if len(policies) == 1:
            return policies[0]
        if policies:
            names = ", ".join(file.name for _, file in policies)
            message = f"the folder holds {len(policies)} policies: {names}"
            self.note_folder("MR012", message, "a policy folder holds one; name the file instead")
        elif not self.findings.failed:
            message = "the folder holds no `kind: Policy`"
            self.note_folder("MR012", message, "name a folder or file with one")
        return None

    def note_unknown(self, source: Source) -> None:
        """Note a document of the folder that cannot be read or says no kind."""
        self.findings.problems.extend(source.problems)
        if not any(part.severity == "error" for part in source.problems):
            note_wrong_kind(source, KINDS, self.findings)

    def bundle(self, source: Source, *, folder: Path | None) -> Bundle | None:
        """Return the bundle around a policy document, or None after noting why not."""
        policy = document_of(source, "Policy", Policy, self.findings)
        if policy is None:
            return None
        found = self.catalogs(policy, source, folder)
        catalogs = {name: catalog for name, (_, catalog) in found.items()}
        models = policy.models + tuple(
            entry for catalog in catalogs.values() for entry in catalog.models
        )
        if not models and not self.findings.failed:
            hint = "give `models:` inline or name a catalogue under `catalogs:`"
            self.findings.add(source, (), "MR020", "the policy knows no model", hint=hint)
        sets = dict(policy.sets)
        for part, catalog in found.values():
            merge_sets(sets, catalog.sets, part, self.findings)
        words = vocabulary_of(policy, models, sets)
        self.check(policy, source, found, words)
        tests, properties = self.suites(source, folder, words)
        name = policy.shadow if self.shadows else None
        load_shadow = partial(inspect, at=self.at, shadows=False)
        shadow = shadow_of(name, source, folder, self.findings, load_shadow)
        if self.findings.failed:
            return None
        bundle = Bundle(
            path=self.shown,
            policy=policy,
            catalogs=catalogs,
            models=models,
            sets=sets,
            words=words,
            tests=tests,
            properties=properties,
            places=places_of(policy, source),
            problems=self.findings.ordered(),
            digest=digest_of(policy, catalogs, tests, properties),
            shadow=shadow,
        )
        for place, message, hint in unproved(bundle, self.at):
            self.findings.add(source, ("invariants", place, "id"), "MR140", message, hint=hint)
        return None if self.findings.failed else bundle

    def check(
        self,
        policy: Policy,
        source: Source,
        catalogs: Mapping[str, tuple[Source, Catalog]],
        words: Vocabulary,
    ) -> None:
        """Check every name in the policy and its catalogues."""
        check_policy(policy, source, words, self.findings)
        check_models(policy.models, source, words, self.findings)
        check_sets(policy.sets, source, words, self.findings)
        seen = {entry.id for entry in policy.models}
        for part, catalog in catalogs.values():
            check_models(catalog.models, part, words, self.findings)
            check_sets(catalog.sets, part, words, self.findings)
            check_only_here(catalog.models, part, seen, self.findings)
        sets = [(catalog.sets, part) for part, catalog in catalogs.values()]
        check_set_cycles([(policy.sets, source), *sets], words, self.findings)

    def catalogs(
        self, policy: Policy, source: Source, folder: Path | None
    ) -> dict[str, tuple[Source, Catalog]]:
        """Return the catalogues a policy names, in its order."""
        found: dict[str, tuple[Source, Catalog]] = {}
        for place, name in enumerate(policy.catalogs):
            file = inside(folder, name)
            if name in policy.catalogs[:place]:
                problem = "is named twice", "name it once"
            elif file is None:
                hint = "a catalogue lies in the policy's own folder"
                problem = "lies outside the policy's folder", hint
            elif not is_there(file):
                problem = "does not exist", f"looked in {folder}"
            else:
                part = self.read(file)
                catalog = document_of(part, "Catalog", Catalog, self.findings)
                if catalog is not None:
                    found[name] = (part, catalog)
                continue
            message, hint = f"catalogue `{name}` {problem[0]}", problem[1]
            self.findings.add(source, ("catalogs", place), "MR020", message, hint=hint)
        return found

    def suites(
        self, source: Source, folder: Path | None, words: Vocabulary
    ) -> tuple[dict[str, PolicyTest], dict[str, Properties]]:
        """Return the tests and properties that belong to the policy."""
        tests: dict[str, PolicyTest] = {}
        properties: dict[str, Properties] = {}
        if folder is None:
            return tests, properties
        for file, part in self.companions(folder, Path(source.file).name):
            if kind_of(part) == "PolicyTest":
                suite = document_of(part, "PolicyTest", PolicyTest, self.findings)
                if suite is not None:
                    check_tests(suite, part, words, self.findings)
                    tests[file.name] = suite
            else:
                claims = document_of(part, "Properties", Properties, self.findings)
                if claims is not None:
                    check_properties(claims, part, words, self.findings)
                    properties[file.name] = claims
        return tests, properties

    def companions(self, folder: Path, main: str) -> Iterator[tuple[Path, Source]]:
        """Yield the test and property documents of the folder that name the policy."""
        files = self.files(folder)
        for file in files:
            source = self.read(file)
            if kind_of(source) in {"PolicyTest", "Properties"}:
                target = entry_of(source, "policy")
                name = Path(target).name if isinstance(target, str) else main
                if name == main:
                    yield file, source
                elif name not in {other.name for other in files}:
                    # A misspelt name would otherwise take the tests out of every run.
                    message = f"there is no policy `{name}` in this folder"
                    hint = did_you_mean(name, [main])
                    self.findings.add(source, ("policy",), "MR020", message, hint=hint)
            elif kind_of(source) is None and is_companion(file.name):
                self.note_unknown(source)
