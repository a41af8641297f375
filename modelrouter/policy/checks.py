"""Checks of a policy document that a shape alone cannot make: names, clauses, cycles."""

from __future__ import annotations

from modelrouter.policy.document import Budget, Fact, Goal, Labels, Objective, Policy, Rule
from modelrouter.policy.findings import Findings, Path
from modelrouter.policy.repeats import check_cycles, check_listed_once, check_unique
from modelrouter.policy.rollout import Rollout
from modelrouter.policy.shapes import is_list, is_mapping
from modelrouter.policy.suite_checks import check_claims
from modelrouter.policy.vocabulary import References, Vocabulary
from modelrouter.yamlsource import Source

__all__ = ["check_policy"]

RESERVED = frozenset({"top", "declared", "detected"})
"""What `unlabelled` and `unscannable` may say besides a level."""
PARTITION_WORDS = frozenset({"label", "policy", "task", "tenant"})
CLAUSES: dict[str, tuple[str | None, frozenset[str]]] = {
    "forbid": (None, frozenset({"models"})),
    "require": (None, frozenset({"models"})),
    "permit": ("models", frozenset({"models"})),
    "floor": ("set", frozenset({"models", "set"})),
    "obligate": ("do", frozenset({"models", "do"})),
}
"""For each effect: the key it must have, and those of `models`, `set`, `do` it may have."""

OWNERS = {"set": "`floor`", "do": "`obligate`", "models": "one that selects models"}
NEEDED_HINTS = {
    "models": "write `models: all` if every model is meant",
    "set": "for example `set: {min_quality: 0.8}`",
    "do": "for example `do: {trace: none}`",
}


def check_policy(policy: Policy, source: Source, words: Vocabulary, findings: Findings) -> None:
    """Note every name and clause of a policy that cannot be meant."""
    see = References(source=source, findings=findings, words=words)
    if policy.labels is not None:
        check_labels(policy.labels, see)
    for name, fact in policy.facts.items():
        check_fact(("facts", name), name, fact, see)
    check_tasks(policy, see)
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
    check_claims("invariants", policy.invariants, see)
    for section in ("rules", "budgets", "objectives", "runtime"):
        check_unique(section, [part.id for part in getattr(policy, section)], see)


def check_tasks(policy: Policy, see: References) -> None:
    """Check what tasks carry, and that a list of them names each once."""
    data = see.source.data
    written = data.get("tasks") if is_mapping(data) else None
    if is_list(written):
        check_listed_once(("tasks",), [str(name) for name in written], "task", see)
    for name, task in (policy.tasks or {}).items():
        see.categories(("tasks", name, "carries"), task.carries)


def check_labels(labels: Labels, see: References) -> None:
    """Check levels, categories and what they imply."""
    levels = see.words.levels
    check_listed_once(("labels", "levels"), labels.levels or (), "level", see)
    for place, name in enumerate(labels.levels or ()):
        if name in RESERVED:
            see.findings.add(
                see.source,
                ("labels", "levels", place),
                "MR110",
                f"no level can be called `{name}`",
                hint=f"reserved: {', '.join(sorted(RESERVED))}",
            )
    for name, shape in labels.categories.items():
        here: Path = ("labels", "categories", name)
        see.level((*here, "at_least"), shape.at_least)
        see.categories((*here, "includes"), shape.includes)
        if name in levels or name in RESERVED:
            see.findings.add(
                see.source,
                here,
                "MR110",
                f"category `{name}` has the name of a level, or a reserved one",
                hint="a caller could not say which is meant",
                key=True,
            )
    edges = {name: shape.includes for name, shape in labels.categories.items()}
    check_cycles(edges, edges, ("labels", "categories"), "includes", see)
    see.known(
        ("labels", "unlabelled"),
        labels.unlabelled,
        code="MR101",
        noun="level",
        among={*levels, "top", "detected"},
    )


def check_fact(path: Path, name: str, fact: Fact, see: References) -> None:
    """Check that type, values, default and presence of a fact fit each other."""

    def note(key: str, message: str, hint: str | None = None) -> None:
        see.findings.add(see.source, (*path, key), "MR020", message, hint=hint)

    if fact.type == "enum" and fact.values is None:
        note("type", f"fact `{name}` is an enum without `values`", "list what it may be")
    if fact.type != "enum" and fact.values is not None:
        message = f"fact `{name}` is a {fact.type}: `values` belongs to an enum"
        note("values", message, "leave `values` out, or write `type: enum`")
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
        hint = NEEDED_HINTS[needed]
        see.findings.add(
            see.source, path, "MR020", f"{rule.effect} `{rule.id}` needs `{needed}`", hint=hint
        )
    for key in sorted(present - allowed):
        see.findings.add(
            see.source,
            (*path, key),
            "MR020",
            f"`{key}` has no meaning in {rule.effect} `{rule.id}`",
            hint=f"leave it out, or change the effect to {OWNERS[key]}",
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
                see.source,
                (*path, key),
                "MR020",
                f"`{key}` of rule `{rule.id}` is empty",
                hint=NEEDED_HINTS[key],
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
    if objective.rollout is not None:
        check_rollout((*path, "rollout"), objective.rollout, see)


def check_rollout(path: Path, rollout: Rollout, see: References) -> None:
    """Check that a rollout names a model that can serve calls, and declared facts."""
    here, name, models = (*path, "model"), rollout.model, see.words.models
    known = see.known(here, name, code="MR102", noun="model", among=models)
    if known and name not in see.words.chats:
        message = f"model `{name}` answers no chats, so nothing can be rolled out to it"
        see.findings.add(see.source, here, "MR020", message, hint="name a model with `role: chat`")
    here = (*path, "key")
    see.each(here, rollout.key, code="MR105", noun="fact", among=see.words.facts)
    check_listed_once(here, rollout.key, "fact", see)


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
