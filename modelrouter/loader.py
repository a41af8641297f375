"""Loads a policy folder or file: reads, validates, checks names, and bundles.

Every problem of every document is found in one go. A policy with an error does not load:
there is no partial policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from modelrouter.decision import RuleRef
from modelrouter.errors import PolicyError, Problem
from modelrouter.policy.bundle import Bundle, digest_of
from modelrouter.policy.catalogue import Catalog, ModelEntry
from modelrouter.policy.checks import check_models, check_policy, check_sets
from modelrouter.policy.document import Policy
from modelrouter.policy.findings import Findings, did_you_mean, validate
from modelrouter.policy.matchers import ModelMatcher
from modelrouter.policy.shapes import Shape
from modelrouter.policy.suite import PolicyTest, Properties
from modelrouter.policy.suite_checks import check_properties, check_tests
from modelrouter.policy.vocabulary import Vocabulary, vocabulary_of
from modelrouter.yamlsource import Source, read_file, read_text

ShapeT = TypeVar("ShapeT", bound=Shape)

__all__ = ["inspect", "load", "load_text"]

SUFFIXES = frozenset({".yaml", ".yml"})
FILES_AT_MOST = 200
KINDS = ("Policy", "Catalog", "PolicyTest", "Properties")


def load(path: str | Path) -> Bundle:
    """Return the policy at `path`, a folder with one policy or a policy file.

    Raises:
        PolicyError: With every problem found; nothing is loaded.
    """
    bundle, problems = inspect(path)
    if bundle is None:
        raise PolicyError([part for part in problems if part.severity == "error"])
    return bundle


def load_text(text: str, *, file: str = "policy.yaml") -> Bundle:
    """Return the policy in `text`, which carries its models inline.

    Raises:
        PolicyError: With every problem found.
    """
    reading = Reading(shown=file)
    source = read_text(text, file=file)
    bundle = reading.bundle(source, folder=None)
    if bundle is None:
        raise PolicyError([part for part in reading.findings.ordered() if part.severity == "error"])
    return bundle


def inspect(path: str | Path) -> tuple[Bundle | None, tuple[Problem, ...]]:
    """Return the policy, or None if it does not load, and every problem found."""
    reading = Reading(shown=str(path))
    main = reading.find_policy(Path(path))
    if main is None:
        return None, reading.findings.ordered()
    source, file = main
    bundle = reading.bundle(source, folder=file.parent)
    return bundle, reading.findings.ordered()


@dataclass(slots=True, kw_only=True)
class Reading:
    """One load in progress.

    Attributes:
        shown: The path as the caller gave it.
        findings: Problems so far.
        sources: Documents read, by path; each is read once.
    """

    shown: str
    findings: Findings = field(default_factory=Findings)
    sources: dict[Path, Source] = field(default_factory=dict[Path, Source])

    def read(self, file: Path) -> Source:
        """Return the document in `file`, noting what reading it found."""
        if file not in self.sources:
            self.sources[file] = read_file(file)
        return self.sources[file]

    def note(self, source: Source) -> None:
        """Take over the problems found while reading a document that belongs here."""
        self.findings.problems.extend(source.problems)

    def find_policy(self, path: Path) -> tuple[Source, Path] | None:
        """Return the policy document at `path`, or None after noting why there is none."""
        if not path.is_dir():
            return self.read(path), path
        files = sorted(part for part in path.iterdir() if part.suffix in SUFFIXES)
        policies: list[tuple[Source, Path]] = []
        for file in files[:FILES_AT_MOST]:
            source = self.read(file)
            kind = kind_of(source)
            if kind == "Policy":
                policies.append((source, file))
            elif kind is None:
                self.note_unreadable(source)
        if len(policies) == 1:
            return policies[0]
        if not policies and self.findings.failed:
            return None
        names = ", ".join(file.name for _, file in policies)
        self.findings.problems.append(
            Problem(
                code="MR012",
                file=self.shown,
                message=(
                    f"the folder holds {len(policies)} policies: {names}"
                    if policies
                    else "the folder holds no `kind: Policy`"
                ),
                hint="a policy folder holds exactly one; name the file instead"
                if policies
                else "name a folder or file with one",
            )
        )
        return None

    def note_unreadable(self, source: Source) -> None:
        """Note a document of the folder that cannot be read or says no kind."""
        self.note(source)
        if not any(part.severity == "error" for part in source.problems):
            self.wrong_kind(source, KINDS)

    def wrong_kind(self, source: Source, wanted: tuple[str, ...]) -> None:
        """Note a document of an unknown or unexpected kind."""
        data = source.data
        if not isinstance(data, Mapping):
            self.findings.add(
                source, (), "MR012", "the document is not a mapping", hint="begin with `kind:`"
            )
            return
        kind = data.get("kind")
        expected = " or ".join(f"`{name}`" for name in wanted)
        if kind is None:
            self.findings.add(source, (), "MR012", f"no `kind`; expected {expected}")
            return
        self.findings.add(
            source,
            ("kind",),
            "MR012",
            f"kind `{kind}` where {expected} is expected",
            hint=did_you_mean(str(kind), wanted, listed=False),
        )

    def document(self, source: Source, kind: str, shape: type[ShapeT]) -> ShapeT | None:
        """Return the validated document of one kind, or None after noting why not."""
        self.note(source)
        if any(part.severity == "error" for part in source.problems):
            return None
        if kind_of(source) != kind:
            self.wrong_kind(source, (kind,))
            return None
        return validate(shape, source, self.findings)

    def bundle(self, source: Source, *, folder: Path | None) -> Bundle | None:
        """Return the bundle around a policy document, or None after noting why not."""
        policy = self.document(source, "Policy", Policy)
        if policy is None:
            return None
        catalogs = self.catalogs(policy, source, folder)
        models = policy.models + tuple(
            entry for _, catalog in catalogs.values() for entry in catalog.models
        )
        sets = dict(policy.sets)
        for part, catalog in catalogs.values():
            self.merge_sets(sets, catalog.sets, part)
        if not models and not self.findings.failed:
            self.findings.add(
                source,
                (),
                "MR020",
                "the policy knows no model",
                hint="give `models:` inline or name a catalogue under `catalogs:`",
            )
        words = vocabulary_of(policy, models, sets)
        self.check(policy, source, catalogs, words)
        tests, properties = self.suites(source, folder, words)
        if self.findings.failed:
            return None
        return Bundle(
            path=self.shown,
            policy=policy,
            catalogs={name: catalog for name, (_, catalog) in catalogs.items()},
            models=models,
            sets=sets,
            words=words,
            tests=tests,
            properties=properties,
            places=places_of(policy, source),
            problems=self.findings.ordered(),
            digest=digest_of(
                policy,
                {name: catalog for name, (_, catalog) in catalogs.items()},
                tests,
                properties,
            ),
        )

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
            self.check_across(catalog.models, part, seen)

    def check_across(self, models: tuple[ModelEntry, ...], source: Source, seen: set[str]) -> None:
        """Note models that another document declares too."""
        for place, entry in enumerate(models):
            if entry.id in seen:
                self.findings.add(
                    source,
                    ("models", place, "id"),
                    "MR110",
                    f"model `{entry.id}` is declared in another document too",
                )
        seen.update(entry.id for entry in models)

    def merge_sets(
        self, sets: dict[str, ModelMatcher], more: Mapping[str, ModelMatcher], source: Source
    ) -> None:
        """Add a catalogue's sets, noting names that stand in two documents."""
        for name, matcher in more.items():
            if name in sets:
                self.findings.add(
                    source,
                    ("sets", name),
                    "MR110",
                    f"set `{name}` is declared in another document too",
                    key=True,
                )
            sets[name] = matcher

    def catalogs(
        self, policy: Policy, source: Source, folder: Path | None
    ) -> dict[str, tuple[Source, Catalog]]:
        """Return the catalogues a policy names, in its order."""
        found: dict[str, tuple[Source, Catalog]] = {}
        for place, name in enumerate(policy.catalogs):
            file = inside(folder, name)
            if file is None or name in found:
                self.findings.add(
                    source,
                    ("catalogs", place),
                    "MR020",
                    f"catalogue `{name}` is named twice"
                    if name in found
                    else f"catalogue `{name}` lies outside the policy's folder",
                    hint="a catalogue lies in the policy's own folder",
                )
                continue
            if not file.is_file():
                self.findings.add(
                    source,
                    ("catalogs", place),
                    "MR020",
                    f"catalogue `{name}` does not exist",
                    hint=f"looked in {folder}",
                )
                continue
            part = self.read(file)
            catalog = self.document(part, "Catalog", Catalog)
            if catalog is not None:
                found[name] = (part, catalog)
        return found

    def suites(
        self, source: Source, folder: Path | None, words: Vocabulary
    ) -> tuple[dict[str, PolicyTest], dict[str, Properties]]:
        """Return the tests and properties that belong to the policy."""
        tests: dict[str, PolicyTest] = {}
        properties: dict[str, Properties] = {}
        if folder is None:
            return tests, properties
        main = Path(source.file).name
        for file, part in self.companions(folder, main):
            if kind_of(part) == "PolicyTest":
                suite = self.document(part, "PolicyTest", PolicyTest)
                if suite is not None:
                    check_tests(suite, part, words, self.findings)
                    tests[file.name] = suite
            else:
                claims = self.document(part, "Properties", Properties)
                if claims is not None:
                    check_properties(claims, part, words, self.findings)
                    properties[file.name] = claims
        return tests, properties

    def companions(self, folder: Path, main: str) -> Iterator[tuple[Path, Source]]:
        """Yield the test and property documents of the folder that name the policy."""
        files = sorted(part for part in folder.iterdir() if part.suffix in SUFFIXES)
        for file in files[:FILES_AT_MOST]:
            if file.name == main:
                continue
            source = self.read(file)
            if kind_of(source) in {"PolicyTest", "Properties"} and names(source, main):
                yield file, source


def kind_of(source: Source) -> str | None:
    """Return the `kind` of a document, or None where it has no known one."""
    data = source.data
    kind = data.get("kind") if isinstance(data, Mapping) else None
    return kind if isinstance(kind, str) and kind in KINDS else None


def names(source: Source, main: str) -> bool:
    """Whether a test or property document is about the policy file `main`."""
    data = source.data
    target = data.get("policy") if isinstance(data, Mapping) else None
    return not isinstance(target, str) or Path(target).name == main


def inside(folder: Path | None, name: str) -> Path | None:
    """Return the file `name` of a folder, or None if it would lie outside."""
    if folder is None or Path(name).is_absolute():
        return None
    file = (folder / name).resolve()
    return folder / name if file.is_relative_to(folder.resolve()) else None


def places_of(policy: Policy, source: Source) -> dict[tuple[str, str], RuleRef]:
    """Return where every rule, budget and fact stands."""
    found: dict[tuple[str, str], RuleRef] = {}

    def note(section: str, name: str, line: int) -> None:
        found[section, name] = RuleRef(id=name, file=source.file, line=line)

    for section in ("rules", "budgets", "objectives", "runtime"):
        for place, part in enumerate(getattr(policy, section)):
            note(section, part.id, source.position((section, place))[0])
    for name in policy.facts:
        note("facts", name, source.position(("facts", name), key=True)[0])
    return found
