"""The names a policy declares, as far as they can be read while it is being written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from modelrouter.errors import Problem
from modelrouter.folders import inside, is_folder, is_there, yaml_files
from modelrouter.loader import inspect
from modelrouter.policy.catalogue import Catalog
from modelrouter.policy.document import Policy
from modelrouter.policy.findings import Findings
from modelrouter.policy.kinds import document_of, entry_of, kind_of
from modelrouter.policy.shapes import is_mapping
from modelrouter.policy.vocabulary import Vocabulary, vocabulary_of
from modelrouter.yamlsource import Source, read_file

__all__ = ["Names", "NamesRead", "read_names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Every name of a policy and of what stands beside it.

    Attributes:
        policy: The policy's own name.
        words: What the policy and its catalogues declare.
        tasks_listed: Whether the policy lists its tasks; if not, the catalogue's quality
            keys declare them.
        requests: Named requests of all its test files.
    """

    policy: str
    words: Vocabulary
    tasks_listed: bool
    requests: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesRead:
    """What came of reading names.

    Attributes:
        names: The names, or None if some document that declares names cannot be read.
        problems: Why the policy does not load; empty if it does.
    """

    names: Names | None
    problems: tuple[Problem, ...]


def read_names(path: str | os.PathLike[str]) -> NamesRead:
    """Return the names of the policy at `path`, also of one that uses a wrong name somewhere."""
    found = inspect(os.fspath(path))
    if found.bundle is None:
        return NamesRead(names=names_alone(Path(path)), problems=found.problems)
    bundle = found.bundle
    names = Names(
        policy=bundle.name,
        words=bundle.words,
        tasks_listed=bundle.policy.tasks is not None,
        requests=frozenset(name for suite in bundle.tests.values() for name in suite.requests),
    )
    return NamesRead(names=names, problems=())


def names_alone(path: Path) -> Names | None:
    """Return the names of a policy whose documents have the right shape, whatever they refer to."""
    noted = Findings()  # `inspect` has said it all
    try:
        beside = [read_file(file) for file in yaml_files(path if is_folder(path) else path.parent)]
    except OSError:
        return None
    mains = [part for part in beside if kind_of(part) == "Policy"]
    mains = mains if is_folder(path) else [read_file(path)]
    policy = document_of(mains[0], "Policy", Policy, noted) if len(mains) == 1 else None
    if policy is None:
        return None
    models, sets = policy.models, dict(policy.sets)
    for name in policy.catalogs:
        file = inside(Path(mains[0].file).parent, name)
        part = read_file(file) if file is not None and is_there(file) else None
        catalog = None if part is None else document_of(part, "Catalog", Catalog, noted)
        if catalog is None:
            return None
        models += catalog.models
        sets |= catalog.sets
    tests = [part for part in beside if is_for(part, Path(mains[0].file).name)]
    return Names(
        policy=policy.metadata.name,
        words=vocabulary_of(policy, models, sets),
        tasks_listed=policy.tasks is not None,
        requests=frozenset(name for part in tests for name in requests_of(part)),
    )


def is_for(source: Source, main: str) -> bool:
    """Whether a document holds tests of a policy file."""
    target = entry_of(source, "policy")
    return kind_of(source) == "PolicyTest" and isinstance(target, str) and Path(target).name == main


def requests_of(source: Source) -> tuple[str, ...]:
    """Return the named requests of a test document, whatever shape they have."""
    found = entry_of(source, "requests")
    return tuple(str(name) for name in found) if is_mapping(found) else ()
