"""Checks of the names in tests and properties."""

from __future__ import annotations

from collections.abc import Sequence

from modelrouter.policy.findings import Findings, Path
from modelrouter.policy.suite import (
    AskedRequest,
    Expected,
    Given,
    PolicyTest,
    Properties,
    Property,
)
from modelrouter.policy.vocabulary import References, Vocabulary
from modelrouter.yamlsource import Source

__all__ = ["check_claims", "check_properties", "check_tests"]


def check_tests(suite: PolicyTest, source: Source, words: Vocabulary, findings: Findings) -> None:
    """Note every unknown name in a test document."""
    see = References(source=source, findings=findings, words=words)
    for name, request in suite.requests.items():
        check_request(("requests", name), request, see)
    seen: set[str] = set()
    for place, case in enumerate(suite.tests):
        here: Path = ("tests", place)
        if case.name in seen:
            message = f"duplicate test `{case.name}`"
            hint = "every test has a name of its own"
            findings.add(source, (*here, "name"), "MR110", message, hint=hint)
        seen.add(case.name)
        if case.request.named is not None:
            see.known(
                (*here, "request"),
                case.request.named,
                code="MR108",
                noun="request",
                among=suite.requests,
            )
        else:
            check_request((*here, "request"), case.request, see)
        check_given((*here, "given"), case.given, see)
        check_expected((*here, "expect"), case.expect, see)


def check_request(path: Path, request: AskedRequest, see: References) -> None:
    """Check the names in one request."""
    see.level((*path, "level"), request.level)
    see.categories((*path, "categories"), request.categories)
    if request.task is not None:
        see.known((*path, "task"), request.task, code="MR103", noun="task", among=see.words.tasks)
    see.each(
        (*path, "needs"),
        request.needs,
        code="MR104",
        noun="capability",
        among=see.words.capabilities,
    )
    for name, value in request.facts.items():
        here: Path = (*path, "facts", name)
        if see.known(here, name, code="MR105", noun="fact", among=see.words.facts, key=True):
            see.fact_value(here, name, value)
    check_given((*path, "given"), request.given, see)


def check_given(path: Path, given: Given, see: References) -> None:
    """Check the names in the state a test assumes."""
    for name in given.budgets:
        see.known(
            (*path, "budgets", name),
            name,
            code="MR108",
            noun="budget",
            among=see.words.budgets,
            key=True,
        )
    for name in given.health:
        see.known(
            (*path, "health", name),
            name,
            code="MR102",
            noun="model",
            among=see.words.models,
            key=True,
        )


def check_expected(path: Path, expected: Expected, see: References) -> None:
    """Check the names in what a test expects."""
    models = see.words.models
    if expected.model is not None:
        see.known((*path, "model"), expected.model, code="MR102", noun="model", among=models)
    for key in ("models_in_order", "never"):
        see.each(
            (*path, key), getattr(expected, key) or (), code="MR102", noun="model", among=models
        )
    see.each(
        (*path, "rules"),
        expected.rules or (),
        code="MR108",
        noun="rule or budget",
        among=see.words.rules | see.words.budgets,
    )
    if not expected.model_fields_set:
        hint = "for example `expect: {decision: deny}`"
        see.findings.add(see.source, path, "MR020", "the test expects nothing", hint=hint)


def check_properties(
    claims: Properties, source: Source, words: Vocabulary, findings: Findings
) -> None:
    """Note every unknown name and empty claim in a property document."""
    see = References(source=source, findings=findings, words=words)
    check_claims("properties", claims.properties, see)


def check_claims(section: str, claims: Sequence[Property], see: References) -> None:
    """Note every unknown name and empty claim in a list of claims."""
    source, findings = see.source, see.findings
    seen: set[str] = set()
    for place, claim in enumerate(claims):
        here: Path = (section, place)
        if claim.id in seen:
            message = f"duplicate id `{claim.id}` in `{section}`"
            hint = "every id stands once in its section"
            findings.add(source, (*here, "id"), "MR110", message, hint=hint)
        seen.add(claim.id)
        see.when((*here, "when"), claim.when)
        see.models((*here, "never_sent"), claim.never_sent)
        if (claim.never_sent is None) == (claim.always_served is None):
            findings.add(
                source,
                here,
                "MR020",
                f"property `{claim.id}` has exactly one of `never_sent` and `always_served`",
                hint="make two properties of it, or leave one key out"
                if claim.never_sent
                else "say what it claims",
            )
        if claim.over == "any" and claim.never_sent is None:
            findings.add(
                source,
                (*here, "over"),
                "MR020",
                "`over: any` goes only with `never_sent`",
                hint="leave `over` out: a model nobody knows cannot be promised to serve",
            )
