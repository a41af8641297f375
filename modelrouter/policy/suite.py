"""Documents beside a policy: unit tests and properties, and the request both speak of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictStr

from modelrouter.policy.catalogue import Metadata
from modelrouter.policy.matchers import Hosting, Models, When
from modelrouter.policy.shapes import (
    Count,
    Day,
    Exact,
    FactScalar,
    Id,
    Name,
    Names,
    PositiveCount,
    Shape,
    Text,
    as_list,
)

__all__ = [
    "AskedRequest",
    "Expected",
    "Given",
    "PolicyTest",
    "Properties",
    "Property",
    "TestCase",
]


class Given(Shape):
    """The state of the world a decision is taken in."""

    budgets: dict[Id, Annotated[Exact, Field(ge=0)]] = Field(
        default_factory=dict[str, Exact], description="spent so far, in each budget's own unit"
    )
    health: dict[Id, Literal["up", "down"]] = Field(
        default_factory=dict[str, Literal["up", "down"]]
    )
    at: Day | None = Field(default=None, description="the day of the decision; today by default")


class AskedRequest(Shape):
    """A request as `modelrouter decide` reads it and tests state it."""

    named: Name | None = Field(default=None, alias="=")
    level: Name | None = None
    categories: Names = ()
    task: Name | None = None
    needs: Names = ()
    tokens: Count = 1000
    max_output: PositiveCount = 500
    facts: dict[Name, FactScalar] = Field(default_factory=dict[str, FactScalar])
    stream: StrictBool = False
    given: Given = Given()


class Obliged(Shape):
    """Obligations a test expects of the first candidate, at least."""

    trace: Literal["none", "hash", "redacted", "content"] | None = None
    cache: Literal["none", "exact"] | None = None
    log: Literal["decision+hash", "decision", "none"] | None = None
    redact: Names | None = None
    approval: Names | None = None


OneOrMore = Annotated[
    tuple[Text, ...], BeforeValidator(as_list, json_schema_input_type=Text | list[Text])
]


class Expected(Shape):
    """What a test expects: some keys exactly, some at least, some of every candidate.

    `decision`, `model`, `models_in_order` and `deny_stage` are exact; `obligations`, `rules`
    and `warnings` are subsets; `never` and `only_hosting` speak of all candidates.
    """

    decision: Literal["route", "deny"] | None = None
    model: Name | None = None
    models_in_order: Names | None = None
    deny_stage: Text | None = None
    obligations: Obliged | None = None
    rules: Names | None = None
    warnings: OneOrMore | None = None
    never: Names | None = None
    only_hosting: (
        Annotated[
            tuple[Hosting, ...],
            BeforeValidator(as_list, json_schema_input_type=Hosting | list[Hosting]),
        ]
        | None
    ) = None


def _by_name(value: object) -> object:
    return {"=": value} if isinstance(value, str) else value


class TestCase(Shape):
    """One test: a request, the state it is decided in, and what must come out."""

    __test__ = False
    name: Annotated[StrictStr, Field(min_length=1, max_length=300)]
    request: Annotated[
        AskedRequest, BeforeValidator(_by_name, json_schema_input_type=Name | AskedRequest)
    ]
    given: Given = Given()
    expect: Expected


class PolicyTest(Shape):
    """A `kind: PolicyTest` document."""

    apiVersion: Literal["modelrouter/v1"]  # noqa: N815 - the format's own spelling
    kind: Literal["PolicyTest"]
    metadata: Metadata = Metadata()
    policy: Text
    requests: dict[Name, AskedRequest] = Field(default_factory=dict[str, AskedRequest])
    tests: Annotated[tuple[TestCase, ...], Field(min_length=1, max_length=5000)]


class Property(Shape):
    """A claim about every request that matches `when`."""

    id: Id
    description: Text | None = None
    when: When | None = None
    never_sent: Models | None = None
    always_served: Literal[True] | None = None
    over: Literal["present", "any"] = "present"


class Properties(Shape):
    """A `kind: Properties` document."""

    apiVersion: Literal["modelrouter/v1"]  # noqa: N815 - the format's own spelling
    kind: Literal["Properties"]
    metadata: Metadata = Metadata()
    policy: Text
    properties: Annotated[tuple[Property, ...], Field(min_length=1, max_length=1000)]
