"""Writes the report that CI systems read: JUnit's XML, as far as they agree on it.

`testsuites` holds a `testsuite` for each file, which holds a `testcase` for each test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelrouter.writing import write_out

__all__ = ["Case", "Suite", "junit_text", "write_junit"]

# What XML 1.0 may not hold, not even escaped; section 2.2, Char.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ESCAPES: Mapping[str, str] = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
# A reader of XML turns these into blanks inside an attribute.
IN_ATTRIBUTES: Mapping[str, str] = {"\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test.

    Attributes:
        name: Whatever its author wrote.
        file: Where it stands, or None.
        line: 1-based, or None.
        seconds: How long it took.
        failures: What was not as expected; the first is the message. Empty when it passed.
        text: More about the failure.
    """

    name: str
    file: str | None = None
    line: int | None = None
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The tests of one file.

    Attributes:
        name: Path of the file, or of the policy where there is no file.
        cases: Its tests.
    """

    name: str
    cases: tuple[Case, ...]


def junit_text(suites: Iterable[Suite]) -> str:
    """Return the report on `suites`."""
    parts = tuple(suites)
    body = [line for part in parts for line in suite_lines(part)]
    head = tag("testsuites", {"name": "modelrouter", **totals(parts)})
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *body, "</testsuites>", ""])


def suite_lines(suite: Suite) -> list[str]:
    """Return the lines of one file's tests."""
    lines = [tag("testsuite", {"name": suite.name, **totals((suite,))})]
    for case in suite.cases:
        about: dict[str, str | int | None] = {
            "classname": suite.name,
            "name": case.name,
            "file": case.file,
            "line": case.line,
            "time": f"{case.seconds:.6f}",
        }
        if not case.failures:
            lines.append(tag("testcase", about, close=True))
            continue
        text = escaped("\n".join(part for part in (case.text, *case.failures) if part))
        failure = tag("failure", {"message": case.failures[0], "type": "failure"})
        lines += [tag("testcase", about), f"{failure}{text}</failure>", "</testcase>"]
    return [*lines, "</testsuite>"]


def totals(suites: tuple[Suite, ...]) -> dict[str, str | int | None]:
    """Return the counts that stand at a suite and at all suites."""
    cases = [case for suite in suites for case in suite.cases]
    return {
        "tests": len(cases),
        "failures": sum(bool(case.failures) for case in cases),
        "errors": 0,
        "skipped": 0,
        "time": f"{sum(case.seconds for case in cases):.6f}",
    }


def tag(name: str, attributes: Mapping[str, str | int | None], *, close: bool = False) -> str:
    """Return a tag with those of its attributes that have a value."""
    said = "".join(
        f' {key}="{escaped(str(value), IN_ATTRIBUTES)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{said}{'/' if close else ''}>"


def escaped(text: str, more: Mapping[str, str] | None = None) -> str:
    r"""Return text as XML may hold it; a control character becomes its `\x` escape."""
    legal = NOT_XML.sub(lambda found: ascii(found[0])[1:-1], text)
    table = {**ESCAPES, **(more or {"\r": "&#13;"})}
    return "".join(table.get(sign, sign) for sign in legal)


def write_junit(file: Path, suites: Iterable[Suite]) -> None:
    """Write the report, as `write_out` does; its folder is made if need be.

    Raises:
        OSError: It cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write_out(file, junit_text(suites).encode("utf-8"))
