"""The policy document: labels, tasks, facts, rules, budgets, objectives, runtime."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt
from pydantic_core import PydanticCustomError

from modelrouter.policy.catalogue import Metadata, ModelEntry, Sets
from modelrouter.policy.matchers import ModelMatcher, Models, When
from modelrouter.policy.rollout import Rollout, ShadowPath
from modelrouter.policy.shapes import (
    Count,
    Day,
    Exact,
    FactScalar,
    Fraction,
    Id,
    Milliseconds,
    Name,
    Names,
    PositiveCount,
    Price,
    Shape,
    Text,
    is_list,
    is_mapping,
)
from modelrouter.policy.suite import Property

__all__ = [
    "Budget",
    "CachePart",
    "Effect",
    "Fact",
    "Fallback",
    "FallbackAfter",
    "Floors",
    "Goal",
    "Labels",
    "Objective",
    "Obligate",
    "Policy",
    "Retry",
    "Rule",
    "Runtime",
    "Task",
]

Effect = Literal["forbid", "require", "permit", "floor", "obligate"]
FallbackAfter = Literal["timeout", "rate_limited", "server_error", "invalid_output"]


class CategoryShape(Shape):
    """What a category implies."""

    at_least: Name | None = Field(default=None, description="lowest level of what carries it")
    includes: Names = ()
    description: Text | None = None


def _standard_labels(value: object) -> object:
    return {"=": True} if value == "standard" else value


class Labels(Shape):
    """The levels, lowest first, and the categories."""

    standard: StrictBool = Field(default=False, alias="=")
    levels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=32)] | None = None
    categories: dict[Name, CategoryShape] = Field(default_factory=dict[str, CategoryShape])
    unlabelled: Name = Field(default="top", description="`top`, `detected` or a level")


LabelsField = Annotated[
    Labels,
    BeforeValidator(_standard_labels, json_schema_input_type=Literal["standard"] | Labels),
]


class Task(Shape):
    """A use case. What it carries joins the label of every call for it."""

    carries: Names = ()
    expected_output: PositiveCount | None = Field(default=None, description="output tokens")
    description: Text | None = None


EMPTY: Mapping[str, object] = MappingProxyType({})


def _task_table(value: object) -> object:
    if is_list(value):
        if not all(isinstance(name, str) for name in value):
            raise PydanticCustomError("task_names", "Input should be a list of names or a mapping")
        return dict.fromkeys(value, EMPTY)
    if is_mapping(value):
        return {name: EMPTY if part is None else part for name, part in value.items()}
    return value


AtLeastOne: Any = Field(min_length=1)
Tasks = Annotated[
    dict[Name, Task],
    AtLeastOne,
    BeforeValidator(
        _task_table,
        json_schema_input_type=Annotated[list[Name], AtLeastOne]
        | Annotated[dict[Name, Task | None], AtLeastOne],
    ),
]


class Fact(Shape):
    """Something true of a call that a rule may read."""

    type: Literal["enum", "string", "bool", "int"]
    values: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    source: Literal["host", "auth", "classifier", "caller"]
    required: StrictBool = False
    default: FactScalar | None = None
    when_missing: Literal["strictest"] | None = None
    description: Text | None = None


class Floors(Shape):
    """Bounds a model must meet."""

    min_quality: Fraction | None = None
    max_ttft_ms: Milliseconds | None = None
    max_cost_usd: Price | None = None


class Obligate(Shape):
    """What must be done if a decision is used."""

    trace: Literal["none", "hash", "redacted", "content"] | None = None
    cache: Literal["none", "exact"] | None = None
    log: Literal["decision+hash", "decision", "none"] | None = None
    redact: Names = ()
    approval: Names = ()


class Rule(Shape):
    """One clause of the guardrails. Their order means nothing."""

    id: Id
    effect: Effect
    when: When | None = None
    models: Models | None = None
    set: Floors | None = None
    do: Obligate | None = None
    strength: Literal["hard", "soft", "advisory"] = "hard"
    expires: Day | None = None
    reason: Text | None = None
    ref: Text | None = None
    description: Text | None = None


class Budget(Shape):
    """A limit of money, tokens or calls for a period and a scope."""

    id: Id
    scope: Names = ()
    when: When | None = None
    models: Models | None = None
    period: Literal["call", "run", "minute", "hour", "day", "week", "month"]
    limit_usd: Price | None = None
    limit_tokens: Count | None = None
    limit_calls: Count | None = None
    warn_at: Fraction | None = None
    on_exceed: Literal["deny", "degrade", "warn"] = "deny"
    degrade_to: Models | None = None
    degrade_floor: Fraction | None = None
    description: Text | None = None


class Goal(Shape):
    """One key of an ordering."""

    minimise: Literal["cost", "ttft", "retention"] | None = None
    maximise: Literal["quality"] | None = None
    within: Annotated[Exact, Field(ge=0)] | None = Field(
        default=None, description="values this close to the best count as equal"
    )


class Objective(Shape):
    """An ordering of the candidates. The first whose `when` matches decides."""

    id: Id
    when: When | None = None
    order: Annotated[tuple[Goal, ...], Field(min_length=1, max_length=8)]
    rollout: Rollout | None = None
    description: Text | None = None


class Retry(Shape):
    """Another try of the same candidate. `max` counts retries, for each candidate."""

    max: Annotated[StrictInt, Field(ge=0, le=10)] = 1
    initial_ms: Milliseconds = 200
    max_ms: Milliseconds = 10_000
    factor: Annotated[Exact, Field(ge=1, le=10)] = Decimal(2)
    jitter: Literal["full", "none"] = "full"


class Fallback(Shape):
    """The next candidate of the same decision. `max_attempts` counts every send of the call."""

    max_attempts: Annotated[StrictInt, Field(ge=1, le=100)] = 3
    after: tuple[FallbackAfter, ...] = ("timeout", "rate_limited", "server_error")


class CachePart(Shape):
    """Whether and how long answers are kept."""

    mode: Literal["none", "exact"] = "none"
    ttl_s: Annotated[StrictInt, Field(ge=1, le=31_536_000)] = 3600
    partition: Names = ()


class TracePart(Shape):
    """What a trace may hold of the content, and how many calls are sampled."""

    content: Literal["none", "hash", "redacted", "content"] = "none"
    sample: Fraction | None = None


class Runtime(Shape):
    """How a call is carried out. The first whose `when` matches governs."""

    id: Id
    when: When | None = None
    timeout_ms: Annotated[StrictInt, Field(ge=1, le=86_400_000)] = 60_000
    retry: Retry = Retry()
    fallback: Fallback = Fallback()
    cache: CachePart = CachePart()
    trace: TracePart = TracePart()


class Classifiers(Shape):
    """How parts of a call that no classifier can read are labelled."""

    unscannable: dict[Literal["image", "audio", "file"], Name] = Field(
        default_factory=dict[Literal["image", "audio", "file"], str],
        description="`top`, `declared` or a level, for each kind of part",
    )


class Defaults(Shape):
    """What holds where a rule says nothing."""

    default_deny_from: Name | None = None
    compare_quality: Literal["lower", "score"] = "lower"
    unknown_quality: Literal["exclude", "ignore"] = "exclude"


class Accepted(Shape):
    """A finding of the linter that the owner accepts."""

    code: Annotated[Name, Field(pattern=r"^MR[0-9]{3}$")]
    about: Text | None = None
    reason: Text
    until: Day | None = None


class Lint(Shape):
    """Accepted findings; part of the digest."""

    allow: tuple[Accepted, ...] = ()


class Policy(Shape):
    """A `kind: Policy` document."""

    apiVersion: Literal["modelrouter/v1"]  # noqa: N815 - the format's own spelling
    kind: Literal["Policy"]
    metadata: Metadata = Metadata()
    shadow: ShadowPath | None = None
    catalogs: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    models: Annotated[tuple[ModelEntry, ...], Field(max_length=1000)] = ()
    sets: Sets = Field(default_factory=dict[str, ModelMatcher])
    labels: LabelsField | None = None
    tasks: Tasks | None = None
    facts: dict[Id, Fact] = Field(default_factory=dict[str, Fact])
    classifiers: Classifiers = Classifiers()
    defaults: Defaults = Defaults()
    rules: Annotated[tuple[Rule, ...], Field(max_length=5000)] = ()
    budgets: Annotated[tuple[Budget, ...], Field(max_length=500)] = ()
    objectives: Annotated[tuple[Objective, ...], Field(max_length=500)] = ()
    runtime: Annotated[tuple[Runtime, ...], Field(max_length=500)] = ()
    invariants: Annotated[tuple[Property, ...], Field(max_length=500)] = Field(
        default=(), description="claims without which the policy does not load"
    )
    lint: Lint = Lint()
