"""Lets pytest collect the unit tests and properties of policies: `pytest policies/`.

Registered for every pytest run of an environment that has this package, so it stays out of
the way. A file is looked at if it is called `*_test.yaml` or `properties.yaml` (or `.yml`),
and parsed if its text names this package's format and one of the two kinds; only then is
anything imported. It is ours if it is one YAML document that says both at its top. What cannot be
read is foreign (a template, several documents, a resource that embeds a policy), unless its own
lines begin like a policy's tests: then its author is told what is wrong with it.

`modelrouter_policies = false` in pytest's configuration turns it off, and so does
`-p no:modelrouter`.
"""

# pyright: reportUnknownMemberType=false
# pytest's nodes are made through signatures without annotations.

from __future__ import annotations

import codecs
import datetime
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelrouter.regular import open_regular

if TYPE_CHECKING:
    import os

    from modelrouter.engine.clauses import Engine
    from modelrouter.errors import Problem
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.suite import Property
    from modelrouter.policytest import Trial
    from modelrouter.proof.proving import Claims

__all__ = ["PolicyTestFailed", "PolicyTestFile", "PolicyTestItem", "PropertyItem"]

SETTING = "modelrouter_policies"
NAMES = re.compile(r".*_test\.ya?ml|properties\.ya?ml")
LARGEST = 1_048_576
KIND = re.compile(rb"""kind["']?\s*:\s*["']?(?:PolicyTest|Properties)\b""")
FORMAT = b"modelrouter/"
# For what cannot be parsed: keys at the very beginning of a line are those of the document.
OWN_FORMAT = re.compile(rb"""^["']?apiVersion["']?[ \t]*:[ \t]*["']?modelrouter/""", re.MULTILINE)
OWN_KIND = re.compile(rb"""^["']?kind["']?[ \t]*:[ \t]*["']?([^\s"'#]*)""", re.MULTILINE)
MARK = re.compile(rb"^---(?=\s|$)", re.MULTILINE)
TEMPLATE = re.compile(rb"\{[{%]")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that turns collection off."""
    parser.addini(
        SETTING,
        "collect the unit tests and properties of modelrouter policies",
        type="bool",
        default=True,
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return the collector of a policy's tests, or None for any other file."""
    if not NAMES.fullmatch(file_path.name) or not parent.config.getini(SETTING):
        return None
    if not says_our_kind(text_of(file_path)):
        return None
    return PolicyTestFile.from_parent(parent, path=file_path)


def text_of(file: Path) -> bytes:
    """Return the text of a file, or nothing if it cannot be read."""
    try:
        with open_regular(file) as stream:
            return stream.read(LARGEST + 1).removeprefix(codecs.BOM_UTF8)
    except OSError:
        return b""


def says_our_kind(text: bytes) -> bool:
    """Whether a text names format and kind anywhere."""
    return FORMAT in text and KIND.search(text) is not None


def seems_ours(text: bytes) -> bool:
    """Whether a text that is no YAML was meant as one document of ours."""
    kinds = OWN_KIND.findall(text)
    ours = len(kinds) == 1 and kinds[0] in {b"PolicyTest", b"Properties"}
    head, *documents = MARK.split(text)
    begun = any(line and not line.startswith(b"#") for line in map(bytes.strip, head.splitlines()))
    single = len(documents) + begun == 1
    return ours and single and bool(OWN_FORMAT.search(text)) and not TEMPLATE.search(text)


class PolicyTestFailed(Exception):
    """A policy decides otherwise than a test expects, or a property is not proved."""


class PolicyTestFile(pytest.File):
    """One `kind: PolicyTest` or `kind: Properties` file."""

    def collect(self) -> Iterable[pytest.Item]:
        """Load the policy that the file speaks of, and yield its tests or properties."""
        from modelrouter.loader import inspect  # noqa: PLC0415 - pydantic and PyYAML
        from modelrouter.policy.kinds import entry_of, kind_of  # noqa: PLC0415 - as above
        from modelrouter.yamlsource import read_file  # noqa: PLC0415 - as above

        shown = from_here(self.path)
        source = read_file(shown)
        if source.data is None:
            if seems_ours(text_of(self.path)):
                raise refused(source.problems)
            return
        kind, version = kind_of(source), entry_of(source, "apiVersion")
        if kind not in {"PolicyTest", "Properties"}:
            return  # a comment or a longer text names the kind
        if not isinstance(version, str) or not version.startswith(FORMAT.decode()):
            return  # a comment or a longer text names the format
        policy = entry_of(source, "policy")
        # As the loader reads it: the name of a file in the same folder.
        name = Path(policy).name if isinstance(policy, str) else ""
        found = inspect(shown.parent / name)
        if found.bundle is None:
            raise refused(found.problems)
        today = datetime.datetime.now(tz=datetime.UTC).date()
        if kind == "PolicyTest":
            yield from self.tests(found.bundle, today)
        else:
            yield from self.properties(found.bundle, today)

    def tests(self, bundle: Bundle, today: datetime.date) -> Iterator[pytest.Item]:
        """Yield the tests of this file."""
        from modelrouter.policytest import engines_of, printable, trials_of  # noqa: PLC0415 - as above

        engine_for = engines_of(bundle, today=today)
        for trial in trials_of(bundle):
            if trial.file == self.path.name:
                yield PolicyTestItem.from_parent(
                    self, name=printable(trial.case.name), trial=trial, engine_for=engine_for
                )

    def properties(self, bundle: Bundle, today: datetime.date) -> Iterator[pytest.Item]:
        """Yield the properties of this file."""
        from modelrouter.engine.compiled import compile_bundle  # noqa: PLC0415 - as above
        from modelrouter.proof.proving import Claims  # noqa: PLC0415 - as above

        claims = Claims(compile_bundle(bundle, today))
        document = bundle.properties.get(self.path.name)
        for claim in () if document is None else document.properties:
            yield PropertyItem.from_parent(self, name=claim.id, claim=claim, claims=claims)


class PolicyItem(pytest.Item):
    """One test or property: its failure reads as on the command line."""

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        """Return what the command line prints: the author of a policy reads no traceback."""
        del style
        if isinstance(excinfo.value, PolicyTestFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))


class PolicyTestItem(PolicyItem):
    """One test of a policy."""

    def __init__(
        self,
        *,
        name: str,
        parent: pytest.Collector,
        trial: Trial,
        engine_for: Callable[[Trial], Engine],
    ) -> None:
        super().__init__(name, parent)
        self.trial = trial
        self.engine_for = engine_for

    def runtest(self) -> None:
        """Decide, and compare."""
        from modelrouter.policytest import run_trial  # noqa: PLC0415 - pydantic and PyYAML

        outcome = run_trial(self.trial, self.engine_for(self.trial))
        if not outcome.passed:
            place = outcome.trial.place
            head = f"{place.file}:{place.line}: {outcome.summary}"
            lines = (f"    {text}" for text in outcome.failures)
            raise PolicyTestFailed("\n".join([head, *lines]))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return file, line from 0 and name."""
        line = self.trial.place.line
        return self.path, None if line is None else line - 1, self.name


class PropertyItem(PolicyItem):
    """One claim about every request."""

    def __init__(
        self, *, name: str, parent: pytest.Collector, claim: Property, claims: Claims
    ) -> None:
        super().__init__(name, parent)
        self.claim = claim
        self.claims = claims

    def runtest(self) -> None:
        """Prove it."""
        proof = self.claims.prove(self.claim)
        if not proof.holds:
            policy = from_here(Path(self.claims.engine.bundle.path))
            lines = [
                f"{from_here(self.path)}: `{self.claim.id}` {proof.failure}",
                proof.remedy(str(policy)),
            ]
            raise PolicyTestFailed("\n    ".join(lines))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return file and name."""
        return self.path, None, self.name


def refused(problems: Iterable[Problem]) -> pytest.Collector.CollectError:
    """Return the error of a policy that does not load: every problem with its place."""
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    return pytest.Collector.CollectError("\n".join(errors))


def from_here(path: Path) -> Path:
    """Return a path as a user would write it, so that problems can be clicked on."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
