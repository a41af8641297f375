"""Habits of this code base as laws. Each failure lists every place that breaks one."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "modelrouter"
LONGEST_MODULE = 300

Function = ast.FunctionDef | ast.AsyncFunctionDef

# `file:Class` -> the options it does without, and why. An entry that is no longer needed fails.
EXEMPT_DATACLASSES: dict[str, set[str]] = {
    "modelrouter/attempts.py:Attempt": {"frozen"},  # is settled once
    "modelrouter/budget.py:Balance": {"frozen"},  # what the ledger counts
    "modelrouter/budget.py:MemoryLedger": {"frozen"},
    "modelrouter/cache.py:ExactCache": {"frozen"},
    "modelrouter/cache.py:Flights": {"frozen"},
    "modelrouter/caching.py:Shelf": {"frozen"},  # remembers what a call has kept
    "modelrouter/calls.py:Call": {"frozen"},  # the state of one call
    "modelrouter/documents.py:Reading": {"frozen"},  # collects while a folder is read
    "modelrouter/following.py:Follower": {"frozen"},  # has a thread, and what it found last
    "modelrouter/in_force.py:InForce": {"frozen"},  # the one reference that a reload replaces
    "modelrouter/policy/findings.py:Findings": {"frozen"},  # collects every problem of a load
    "modelrouter/relay.py:Outcome": {"frozen"},  # where a stream leaves its reply
    "modelrouter/relay.py:Relay": {"frozen"},  # an answer as far as it has come
    "modelrouter/retry.py:Plan": {"frozen"},  # counts attempts
    "modelrouter/ports.py:Key": {"kw_only"},  # one field; a key is passed, never configured
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its path from the root."""
    return {
        name_of(path): ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def files_of_the_repository() -> dict[str, str]:
    """Every text file that is tracked, or would be by `git add .`, with its text."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git repository")
    found: dict[str, str] = {}
    for name in filter(None, done.stdout.decode().split("\0")):
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
            continue  # deleted but not yet staged, a submodule, a binary file
    return found


def lines_with(pattern: re.Pattern[str], texts: Iterable[tuple[str, str]]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in texts
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def is_public(name: str) -> bool:
    return all(not part.removesuffix(".py").startswith("_") for part in name.split("/"))


def decorators(node: Function | ast.ClassDef) -> dict[str, ast.expr]:
    """Return the decorators by their last name: `dataclasses.dataclass(...)` is `dataclass`."""
    found: dict[str, ast.expr] = {}
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        found[ast.unparse(target).rpartition(".")[2]] = decorator
    return found


def dataclasses() -> Iterator[tuple[str, set[str]]]:
    """Yield `file:Class` and the options among the three that are not set to True."""
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and "dataclass" in decorators(node):
                decorator = decorators(node)["dataclass"]
                keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                on = {word.arg for word in keywords if ast.unparse(word.value) == "True"}
                yield f"{name}:{node.name}", {"frozen", "kw_only", "slots"} - on


def exported(tree: ast.Module) -> list[str] | None:
    """Return the names in `__all__`, or None if the module has no literal one."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            return [str(item) for item in ast.literal_eval(node.value)] if node.value else None
    return None


def place_in_all(name: str) -> tuple[int, str]:
    """Return the sort key of ruff's RUF022: CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


def undocumented(node: ast.Module | ast.ClassDef, where: str) -> Iterator[str]:
    """Yield the public functions, classes and methods below `node` without a docstring."""
    for child in node.body:
        if not isinstance(child, Function | ast.ClassDef) or child.name.startswith("_"):
            continue
        # The implementation of an overload and the getter of a property carry the docstring.
        if not {"overload", "setter", "deleter"} & decorators(child).keys():
            if ast.get_docstring(child) is None:
                yield f"{where}:{child.lineno}: {child.name}"
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child, where)


def test_the_package_is_found() -> None:
    assert "modelrouter/errors.py" in modules()


def test_no_module_is_longer_than_one_can_hold_in_the_head() -> None:
    lengths = {
        name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in modules()
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_dataclasses_are_frozen_slotted_and_keyword_only() -> None:
    missing = {name: options for name, options in dataclasses() if options}
    assert missing == EXEMPT_DATACLASSES


def test_every_public_module_says_what_it_exports() -> None:
    silent = [name for name, tree in modules().items() if is_public(name) and not exported(tree)]
    assert silent == []


def test_exports_are_sorted() -> None:
    unsorted = [
        name
        for name, tree in modules().items()
        if (names := exported(tree)) and names != sorted(set(names), key=place_in_all)
    ]
    assert unsorted == []


def test_only_the_command_line_and_the_demo_print() -> None:
    prints = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        if not re.match(r"modelrouter/(cli|demo)[/.]", name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert prints == []


def test_nothing_is_left_for_later() -> None:
    texts = [(name, (ROOT / name).read_text(encoding="utf-8")) for name in modules()]
    assert lines_with(re.compile(r"\b(TODO|FIXME|XXX)\b"), texts) == []


def test_everything_public_has_a_docstring() -> None:
    without = [name for name, tree in modules().items() if ast.get_docstring(tree) is None]
    for name, tree in modules().items():
        without += undocumented(tree, name)
    assert without == []


def test_tests_use_fakes_and_not_patches() -> None:
    # The character classes keep this file from matching itself.
    pattern = re.compile(r"mock\.patc[h]|import .*\bpatc[h]\b|\bmocke[r]\b")
    texts = [(name, text) for name, text in files_of_the_repository().items() if "tests/" in name]
    python = [(name, text) for name, text in texts if name.endswith(".py")]
    assert lines_with(pattern, python) == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    # A slash in front, none of which stands here: an absolute path, not part of a longer one.
    tops = ("home", "opt", "root", "Users", "work", "tmp/w")
    pattern = re.compile(r"(?<![\w.~}-])/(?:" + "|".join(tops) + r")/\w")
    assert lines_with(pattern, files_of_the_repository().items()) == []


def test_the_lock_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert lines_with(re.compile(r"://|file:| @ "), [("requirements.lock", lock)]) == []


def test_decision_records_are_numbered_without_gaps() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [path.name.partition("-")[0] for path in records]
    assert numbers == [f"{place:04}" for place in range(1, len(numbers) + 1)]
