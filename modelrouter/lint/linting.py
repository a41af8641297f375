"""Runs every check on a loaded policy: no clock, no file, no sampling."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from modelrouter.errors import Problem, Severity
from modelrouter.lint.acceptance import sort_out
from modelrouter.lint.context import LintContext, context_of
from modelrouter.lint.finding import Found
from modelrouter.lint.table import ACCEPTABLE_FROM, CHECKS, PEDANTIC, Check
from modelrouter.policy.bundle import Bundle
from modelrouter.proof.space import TooHardError

__all__ = ["Report", "examine", "lint"]


SECTIONS = ("rules", "budgets", "objectives", "runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the linter has to say of a policy on one day.

    Attributes:
        problems: By file, line and column, without what the owner accepts.
        accepted: What the owner accepts.
    """

    problems: tuple[Problem, ...]
    accepted: tuple[Problem, ...]


def lint(bundle: Bundle, at: datetime.date) -> tuple[Problem, ...]:
    """Return what the linter finds in a policy on the day `at`, by file, line and column.

    What `lint.allow` accepts is left out. An `error` among the findings does not stop a load;
    a host that replaces a running policy should refuse one that has any.
    """
    return examine(bundle, at).problems


def examine(bundle: Bundle, at: datetime.date, *, pedantic: bool = False) -> Report:
    """Return what the linter finds, and what of it the owner accepts.

    Args:
        bundle: The policy.
        at: The day: permits lapse, facts expire, models retire, evidence grows old.
        pedantic: Whether to ask for the reasons of hard rules as well.
    """
    context = context_of(bundle, at)
    found, undecided = run(context)
    ours = [part for part in bundle.problems if part.code >= ACCEPTABLE_FROM]
    ours += [
        problem(part, row.code, row.severity, context)
        for row, part in without_echoes(found, tuple(ours))
    ]
    entries = bundle.policy.lint.allow
    result = sort_out(ours, entries, at=at, undecided=frozenset(undecided))
    about: list[Problem] = [
        *(problem(part, "MR503", "warning", context) for part in result.lapsed),
        *(problem(part, "MR504", "warning", context) for part in result.stale),
        *too_hard(undecided, context),
    ]
    shown = [part for part in result.open if pedantic or part.code not in PEDANTIC]
    return Report(problems=ordered([*shown, *about]), accepted=ordered(result.accepted))


def run(context: LintContext) -> tuple[list[tuple[Check, Found]], list[str]]:
    """Return what every check finds, and the codes of those that gave up."""
    found: list[tuple[Check, Found]] = []
    undecided: list[str] = []
    for row in CHECKS:
        context.regions.restart()
        try:
            for part in row.find(context):
                found.append((row, part))  # noqa: PERF401 - what was found before giving up counts
        except TooHardError:
            undecided.append(row.code)
    return found, undecided


def without_echoes(
    found: Sequence[tuple[Check, Found]], loaded: Sequence[Problem]
) -> Iterator[tuple[Check, Found]]:
    """Yield the findings that no other one, or what the loader noticed, accounts for."""
    spoken = {(section, str(part.about)): {part.code} for part in loaded for section in SECTIONS}
    for row, part in found:
        for about in (part.part, *part.explains):
            spoken.setdefault(about, set()).add(row.code)
    for row, part in found:
        if row.yields_to.isdisjoint(spoken[part.part]):
            yield row, part


def problem(found: Found, code: str, severity: Severity, context: LintContext) -> Problem:
    """Return a finding with its place in a file."""
    section, name = found.part if found.stands is None else found.stands
    file, line, column = context.bundle.positions.at(section, name, *found.at, key=found.key)
    return Problem(
        code=code,
        severity=severity,
        file=file,
        line=line,
        column=column,
        message=found.message,
        hint=found.hint,
        about=found.subject,
    )


def too_hard(undecided: Sequence[str], context: LintContext) -> Iterator[Problem]:
    """Yield the note that some questions would have taken too long (MR299)."""
    if undecided:
        found = Found(
            part=("rules", ""),
            message=f"the policy is too large to decide {', '.join(undecided)}",
            hint="fewer facts in one condition, or fewer categories, make it smaller",
        )
        yield problem(found, "MR299", "info", context)


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return findings by file, line, column and code."""
    return tuple(
        sorted(
            problems,
            key=lambda part: (part.file, part.line, part.column, part.code, part.message),
        )
    )
