"""Checks of models and named sets, within one document and across all of a policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from modelrouter.policy.catalogue import ModelEntry
from modelrouter.policy.endpoints import endpoint_problem
from modelrouter.policy.findings import Findings, Path
from modelrouter.policy.matchers import ModelMatcher
from modelrouter.policy.repeats import check_cycles, check_unique
from modelrouter.policy.vocabulary import References, Vocabulary
from modelrouter.yamlsource import Source

__all__ = ["check_models", "check_only_here", "check_set_cycles", "check_sets", "merge_sets"]


def check_models(
    models: Sequence[ModelEntry], source: Source, words: Vocabulary, findings: Findings
) -> None:
    """Check ids and endpoints of the models of one document."""
    see = References(source=source, findings=findings, words=words)
    check_unique("models", [entry.id for entry in models], see)
    for place, entry in enumerate(models):
        problem = endpoint_problem(entry)
        if problem is not None:
            key, code, message, hint = problem
            path: Path = (
                ("models", place, "endpoint", key) if key else ("models", place, "endpoint")
            )
            findings.add(source, path, code, message, hint=hint)


def check_sets(
    sets: dict[str, ModelMatcher], source: Source, words: Vocabulary, findings: Findings
) -> None:
    """Check what named sets refer to, document by document."""
    see = References(source=source, findings=findings, words=words)
    for name, matcher in sets.items():
        see.models(("sets", name), matcher)


def check_set_cycles(
    documents: Iterable[tuple[Mapping[str, ModelMatcher], Source]],
    words: Vocabulary,
    findings: Findings,
) -> None:
    """Note every set that reaches itself; a cycle through two documents in the first of them."""
    edges = {name: sets_named(matcher) for name, matcher in words.sets.items()}
    for sets, source in documents:
        see = References(source=source, findings=findings, words=words)
        check_cycles(edges, sets, ("sets",), "refers to", see)
        for name in sets:
            edges.pop(name, None)


def sets_named(matcher: ModelMatcher | None) -> tuple[str, ...]:
    """Return the sets a condition refers to, also below `not`."""
    if matcher is None:
        return ()
    own = matcher.set.equals if matcher.set is not None else ()
    return (*own, *sets_named(matcher.negated))


def check_only_here(
    models: Sequence[ModelEntry], source: Source, seen: set[str], findings: Findings
) -> None:
    """Note models that another document declares too, and add the others to `seen`."""
    for place, entry in enumerate(models):
        if entry.id in seen:
            findings.add(
                source,
                ("models", place, "id"),
                "MR110",
                f"model `{entry.id}` is declared in another document too",
                hint="declare it in one place",
            )
    seen.update(entry.id for entry in models)


def merge_sets(
    sets: dict[str, ModelMatcher],
    more: Mapping[str, ModelMatcher],
    source: Source,
    findings: Findings,
) -> None:
    """Add a catalogue's sets to `sets`, noting names that stand in two documents."""
    for name, matcher in more.items():
        if name in sets:
            findings.add(
                source,
                ("sets", name),
                "MR110",
                f"set `{name}` is declared in another document too",
                hint="declare it in one place",
                key=True,
            )
        sets[name] = matcher
