"""Lets pytest collect the unit tests of policies: `pytest policies/`.

Registered for every pytest run of an environment that has this package, so it stays out of
the way: a file is looked at if its name ends in `_test.yaml` or `_test.yml`, and is ours if
it says `kind: PolicyTest`; only then is a policy read, or anything imported to read it.

`modelrouter_policies = false` in pytest's configuration turns it off, and so does
`-p no:modelrouter`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import os

    from modelrouter.engine.clauses import Engine
    from modelrouter.errors import Problem
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policytest import Outcome, Trial

__all__ = ["PolicyTestFailed", "PolicyTestFile", "PolicyTestItem"]

SETTING = "modelrouter_policies"
SUFFIXES = ("_test.yaml", "_test.yml")
LARGEST = 1_048_576
OURS = re.compile(rb"""kind["']?\s*:\s*["']?PolicyTest\b""")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that turns collection off."""
    parser.addini(
        SETTING, "collect the unit tests of modelrouter policies", type="bool", default=True
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return the collector of a policy's tests, or None for any other file."""
    if not file_path.name.endswith(SUFFIXES) or not parent.config.getini(SETTING):
        return None
    if not says_policy_test(file_path):
        return None
    return PolicyTestFile.from_parent(parent, path=file_path)


def says_policy_test(file: Path) -> bool:
    """Whether the text of a file names the kind; a file that cannot be read does not."""
    try:
        with file.open("rb") as stream:
            return OURS.search(stream.read(LARGEST + 1)) is not None
    except OSError:
        return False


class PolicyTestFailed(Exception):
    """A policy decides otherwise than a test expects."""

    def __init__(self, outcome: Outcome) -> None:
        place = outcome.trial.place
        head = f"{place.file}:{place.line}: {outcome.summary}"
        super().__init__("\n".join([head, *(f"    {text}" for text in outcome.failures)]))


class PolicyTestFile(pytest.File):
    """One `kind: PolicyTest` file."""

    def collect(self) -> Iterable[pytest.Item]:
        """Load the policy that the file speaks of, and yield its tests."""
        from modelrouter.loader import inspect  # noqa: PLC0415 - pydantic and PyYAML
        from modelrouter.policy.kinds import entry_of, kind_of  # noqa: PLC0415 - as above
        from modelrouter.yamlsource import read_file  # noqa: PLC0415 - as above

        shown = from_here(self.path)
        source = read_file(shown)
        if source.data is None:
            raise refused(source.problems)
        if kind_of(source) != "PolicyTest":
            return  # a comment or a longer text names the kind
        policy = entry_of(source, "policy")
        # As the loader reads it: the name of a file in the same folder.
        name = Path(policy).name if isinstance(policy, str) else ""
        found = inspect(shown.parent / name)
        if found.bundle is None:
            raise refused(found.problems)
        yield from self.items(found.bundle)

    def items(self, bundle: Bundle) -> Iterator[pytest.Item]:
        """Yield the tests of this file."""
        from modelrouter.policytest import engines_of, trials_of  # noqa: PLC0415 - as above

        engine_for = engines_of(bundle, today=datetime.datetime.now(tz=datetime.UTC).date())
        for trial in trials_of(bundle):
            if trial.file == self.path.name:
                yield PolicyTestItem.from_parent(
                    self, name=printable(trial.case.name), trial=trial, engine_for=engine_for
                )


class PolicyTestItem(pytest.Item):
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
            raise PolicyTestFailed(outcome)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        """Return what `modelrouter test` prints: the author of a policy reads no traceback."""
        del style
        if isinstance(excinfo.value, PolicyTestFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return file, line from 0 and name."""
        line = self.trial.place.line
        return self.path, None if line is None else line - 1, self.name


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


def printable(name: str) -> str:
    r"""Return a test's name on one line; what does not print becomes its `\x` escape."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)
