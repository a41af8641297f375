"""Reads the documents of policy folders: the policy, its catalogues, tests and properties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modelrouter.errors import Problem
from modelrouter.folders import (
    FILES_AT_MOST,
    inside,
    is_companion,
    is_folder,
    is_there,
    tidied,
    yaml_files,
)
from modelrouter.policy.catalogue import Catalog
from modelrouter.policy.document import Policy
from modelrouter.policy.findings import Findings, did_you_mean
from modelrouter.policy.kinds import KINDS, document_of, entry_of, kind_of, note_wrong_kind
from modelrouter.policy.suite import PolicyTest, Properties
from modelrouter.policy.suite_checks import check_properties, check_tests
from modelrouter.policy.vocabulary import Vocabulary
from modelrouter.yamlsource import Source, read_file

__all__ = ["Reading", "Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a path is no policy.

    Attributes:
        noted: Whether what is wrong with the documents there has been noted already.
    """

    message: str
    hint: str | None
    code: str = "MR012"
    noted: bool = False


@dataclass(slots=True, kw_only=True)
class Reading:
    """One load in progress.

    Attributes:
        shown: The path as the caller gave it.
        alone: Whether no other folder may be read, as for what was signed.
        findings: Problems so far.
        sources: Documents read, by path; each is read once.
        misnamed: Tests and properties of no policy of their folder, noted once.
        folders: Folders that were listed, or were to be.
        elsewhere: Files that were looked for and are not there, and those of a shadow policy.
    """

    shown: str
    alone: bool = False
    findings: Findings = field(default_factory=Findings)
    sources: dict[Path, Source] = field(default_factory=dict[Path, Source])
    misnamed: set[Path] = field(default_factory=set[Path])
    folders: set[Path] = field(default_factory=set[Path])
    elsewhere: list[Path] = field(default_factory=list[Path])

    def read(self, file: Path) -> Source:
        """Return the document in `file`."""
        if file not in self.sources:
            self.sources[file] = read_file(file, shown_as=str(tidied(file)))
        return self.sources[file]

    def files(self, folder: Path) -> tuple[Path, ...] | Refusal:
        """Return the YAML files of a folder by name, or why not."""
        self.folders.add(folder)
        try:
            found = yaml_files(folder)
        except OSError:
            hint = "check its access rights"
            return Refusal(code="MR000", message="the folder cannot be listed", hint=hint)
        if len(found) > FILES_AT_MOST:
            message = f"the folder holds {len(found)} YAML files, more than {FILES_AT_MOST}"
            hint = "give the policy a folder of its own"
            return Refusal(code="MR001", message=message, hint=hint)
        return found

    def find_policy(self, path: Path) -> tuple[Source, Path] | None:
        """Return the policy document at the caller's path, or None after noting why not."""
        found = self.policy_at(path)
        if isinstance(found, Refusal):
            if not found.noted:
                self.note_folder(found, self.shown)
            return None
        return found

    def note_folder(self, refusal: Refusal, shown: str) -> None:
        """Note a problem of a path itself."""
        problem = Problem(code=refusal.code, file=shown, message=refusal.message, hint=refusal.hint)
        self.findings.problems.append(problem)

    def policy_at(self, path: Path) -> tuple[Source, Path] | Refusal:
        """Return the policy document at `path`, a file or a folder with one, or why not."""
        if not is_folder(path):
            return self.read(path), path
        files = self.files(path)
        if isinstance(files, Refusal):
            return files
        said = len(self.findings.problems)
        policies: list[tuple[Source, Path]] = []
        for file in files:
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
            return Refusal(message=message, hint="a policy folder holds one; name the file instead")
        noted = any(part.severity == "error" for part in self.findings.problems[said:])
        hint = "name a folder or file with one"
        return Refusal(message="the folder holds no `kind: Policy`", hint=hint, noted=noted)

    def note_unknown(self, source: Source) -> None:
        """Note a document of the folder that cannot be read or says no kind."""
        self.findings.problems.extend(source.problems)
        if not any(part.severity == "error" for part in source.problems):
            note_wrong_kind(source, KINDS, self.findings)

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
                if folder is not None:  # the link that leads there may be mended
                    self.elsewhere.append(folder / name)
                hint = "a catalogue lies in the policy's own folder"
                problem = "lies outside the policy's folder", hint
            elif not is_there(file):
                self.elsewhere.append(file)
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
        if isinstance(files, Refusal):
            own = Path(self.shown) in {folder, folder / main}
            self.note_folder(files, self.shown if own else str(tidied(folder)))
            return
        for file in files:
            source = self.read(file)
            if kind_of(source) in {"PolicyTest", "Properties"}:
                target = entry_of(source, "policy")
                name = Path(target).name if isinstance(target, str) else main
                if name == main:
                    yield file, source
                elif name not in {other.name for other in files} and file not in self.misnamed:
                    # A misspelt name would otherwise take the tests out of every run.
                    self.misnamed.add(file)
                    message = f"there is no policy `{name}` in this folder"
                    hint = did_you_mean(name, [main])
                    self.findings.add(source, ("policy",), "MR020", message, hint=hint)
            elif kind_of(source) is None and is_companion(file.name):
                self.note_unknown(source)
