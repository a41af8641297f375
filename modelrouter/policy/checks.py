"""Checks of a whole policy that a shape alone cannot make: names, clauses, addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from modelrouter.policy.document import Budget, Fact, Goal, Labels, Objective, Policy, Rule
from modelrouter.policy.endpoints import endpoint_problem
from modelrouter.policy.findings import Findings, Path
from modelrouter.policy.catalogue import ModelEntry
from modelrouter.policy.matchers import ModelMatcher
from modelrouter.policy.vocabulary import References, Vocabulary
from modelrouter.yamlsource import Source

__all__ = ["check_models", "check_policy", "check_sets"]

PARTITION_WORDS = frozenset({"label", "policy", "task", "tenant"})
CLAUSES: dict[str, tuple[str | None, frozenset[str]]] = {
    "forbid": (None, frozenset({"models"})),
    "require": (None, frozenset({"models"})),
    "permit": ("models", frozenset({"models"})),
    "floor": ("set", frozenset({"models", "set"})),
    "obligate": ("do", frozenset({"models", "do"})),
}
"""For each effect: the key it must have, and those of `models`, `set`, `do` it may have."""


def check_policy(policy: Policy, source: Source, words: Vocabulary, findings: Findings) -> None:
    """Note every name and clause of a policy that cannot be meant."""
    see = References(source=source, findings=findings, words=words)
    if policy.labels is not None:
        check_labels(policy.labels, see)
    for name, fact in policy.facts.items():
        check_fact(("facts", name), name, fact, see)
    for name, task in (policy.tasks or {}).items():
        see.categories(("tasks", name, "carries"), task.carries)
    see.level(("defaults", "default_deny_from"), policy.defaults.default_deny_from)
    for kind, level in policy.classifiers.unscannable.items():
        see.known(
            ("classifiers", "unscannable", kind),
            level,
            code="MR101",
            noun="level",
            among={*words.levels, "top", "declared"},
        )
    for place, rule in enumerate(policy.rules):
        check_rule(("rules", place), rule, see)
    for place, budget in enumerate(policy.budgets):
        check_budget(("budgets", place), budget, see)
    for place, objective in enumerate(policy.objectives):
        check_objective(("objectives", place), objective, see)
    for place, runtime in enumerate(policy.runtime):
        here: Path = ("runtime", place)
        see.when((*here, "when"), runtime.when)
        see.each(
            (*here, "cache", "partition"),
            runtime.cache.partition,
            code="MR105",
            noun="fact",
            among={*words.facts, *PARTITION_WORDS},
        )
    for section in ("rules", "budgets", "objectives", "runtime"):
        check_unique(section, [part.id for part in getattr(policy, section)], see)


def check_unique(section: str, ids: Iterable[str], see: References) -> None:
    """Note every id that stands twice in one section."""
    first: dict[str, int] = {}
    for place, name in enumerate(ids):
        if name in first:
            line = see.source.position((section, first[name], "id"))[0]
            see.findings.add(
                see.source,
                (section, place, "id"),
                "MR110",
                f"duplicate id `{name}` in `{section}` (first at line {line})",
                hint="every id stands once in its section",
            )
        else:
            first[name] = place


def check_labels(labels: Labels, see: References) -> None:
    """Check levels, categories and what they imply."""
    levels = see.words.levels
    for place, name in enumerate(labels.levels or ()):
        if name in levels[:place]:
            see.findings.add(
                see.source, ("labels", "levels", place), "MR110", f"duplicate level `{name}`"
            )
    for name, shape in labels.categories.items():
        here: Path = ("labels", "categories", name)
        see.level((*here, "at_least"), shape.at_least)
        see.categories((*here, "includes"), shape.includes)
        if name in levels or name in {"top", "detected"}:
            see.findings.add(
                see.source,
                here,
                "MR110",
                f"category `{name}` has the name of a level",
                hint="a caller could not say which is meant",
                key=True,
            )
    edges = {name: shape.includes for name, shape in labels.categories.items()}
    check_cycle(edges, tuple(edges), ("labels", "categories"), "includes", see)
    see.known(
        ("labels", "unlabelled"),
        labels.unlabelled,
        code="MR101",
        noun="level",
        among={*levels, "top", "detected"},
    )


def check_cycle(
    edges: Mapping[str, tuple[str, ...]],
    names: Iterable[str],
    path: Path,
    verb: str,
    see: References,
) -> None:
    """Note every one of `names` that reaches itself along `edges`."""
    for name in names:
        waiting, seen = [*edges[name]], set[str]()
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting.extend(edges.get(other, ()))
        if name in seen:
            see.findings.add(
                see.source,
                (*path, name),
                "MR109",
                f"`{name}` {verb} itself",
                hint="break the cycle",
                key=True,
            )


def check_fact(path: Path, name: str, fact: Fact, see: References) -> None:
    """Check that type, values, default and presence of a fact fit each other."""

    def note(key: str, message: str, hint: str | None = None) -> None:
        see.findings.add(see.source, (*path, key), "MR020", message, hint=hint)

    if fact.type == "enum" and fact.values is None:
        note("type", f"fact `{name}` is an enum without `values`", "list what it may be")
    if fact.type != "enum" and fact.values is not None:
        note("values", f"fact `{name}` is a {fact.type}: `values` belongs to an enum")
    if fact.default is not None:
        see.fact_value((*path, "default"), name, fact.default)
    given = [
        key
        for key, value in (
            ("required", fact.required),
            ("default", fact.default is not None),
            ("when_missing", fact.when_missing is not None),
        )
        if value
    ]
    if len(given) > 1:
        note(
            given[1],
            f"fact `{name}` has both `{given[0]}` and `{given[1]}`",
            "say in one way what holds when it is missing",
        )


def check_rule(path: Path, rule: Rule, see: References) -> None:
    """Check one rule."""
    needed, allowed = CLAUSES[rule.effect]
    present = {key for key in ("models", "set", "do") if getattr(rule, key) is not None}
    if needed is not None and needed not in present:
        hint = "write `models: all` if every model is meant" if needed == "models" else None
        see.findings.add(
            see.source, path, "MR020", f"{rule.effect} `{rule.id}` needs `{needed}`", hint=hint
        )
    for key in sorted(present - allowed):
        see.findings.add(
            see.source,
            (*path, key),
            "MR020",
            f"`{key}` has no meaning in {rule.effect} `{rule.id}`",
            key=True,
        )
    if rule.strength == "soft" and rule.effect != "floor":
        see.findings.add(
            see.source,
            (*path, "strength"),
            "MR020",
            f"{rule.effect} `{rule.id}` cannot be soft",
            hint="only a floor may be lowered by a budget",
        )
    for key, part in (("set", rule.set), ("do", rule.do)):
        if part is not None and not part.model_fields_set:
            see.findings.add(
                see.source, (*path, key), "MR020", f"`{key}` of rule `{rule.id}` is empty"
            )
    see.when((*path, "when"), rule.when, budgets=rule.strength == "advisory")
    see.models((*path, "models"), rule.models)
    if rule.do is not None:
        see.categories((*path, "do", "redact"), rule.do.redact)


def check_budget(path: Path, budget: Budget, see: References) -> None:
    """Check one budget."""
    limits = [
        name
        for name in ("limit_usd", "limit_tokens", "limit_calls")
        if getattr(budget, name) is not None
    ]
    if len(limits) != 1:
        see.findings.add(
            see.source,
            path,
            "MR020",
            f"budget `{budget.id}` has {len(limits)} limits",
            hint="give exactly one of `limit_usd`, `limit_tokens`, `limit_calls`",
        )
    see.each((*path, "scope"), budget.scope, code="MR105", noun="fact", among=see.words.facts)
    see.when((*path, "when"), budget.when)
    see.models((*path, "models"), budget.models)
    see.models((*path, "degrade_to"), budget.degrade_to)
    for key in ("degrade_to", "degrade_floor"):
        if getattr(budget, key) is not None and budget.on_exceed != "degrade":
            see.findings.add(
                see.source,
                (*path, key),
                "MR020",
                f"`{key}` has no effect: budget `{budget.id}` has `on_exceed: {budget.on_exceed}`",
                hint="write `on_exceed: degrade`, or leave the key out",
                key=True,
            )


def check_objective(path: Path, objective: Objective, see: References) -> None:
    """Check one objective."""
    see.when((*path, "when"), objective.when, budgets=True)
    for place, goal in enumerate(objective.order):
        check_goal((*path, "order", place), goal, see)


def check_goal(path: Path, goal: Goal, see: References) -> None:
    """Check that a goal says one thing."""
    if (goal.minimise is None) == (goal.maximise is None):
        see.findings.add(
            see.source,
            path,
            "MR020",
            "a goal has exactly one of `minimise` and `maximise`",
            hint="for example {minimise: cost}",
        )


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
    """Check what named sets refer to, and that none reaches itself."""
    see = References(source=source, findings=findings, words=words)
    for name, matcher in sets.items():
        see.models(("sets", name), matcher)
    edges = {name: sets_named(matcher) for name, matcher in words.sets.items()}
    check_cycle(edges, tuple(sets), ("sets",), "refers to", see)


def sets_named(matcher: ModelMatcher | None) -> tuple[str, ...]:
    """Return the sets a condition refers to, also below `not`."""
    if matcher is None:
        return ()
    own = matcher.set.equals if matcher.set is not None else ()
    return (*own, *sets_named(matcher.negated))
