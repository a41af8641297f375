"""The catalogue: the models a router may know, with the facts that policies read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictStr, StringConstraints

from modelrouter.policy.matchers import Hosting, ModelMatcher, Weights
from modelrouter.policy.shapes import (
    Count,
    Day,
    Exact,
    Fraction,
    Id,
    Milliseconds,
    Name,
    Names,
    PositiveCount,
    Price,
    Shape,
    Text,
    is_mapping,
)

__all__ = [
    "Catalog",
    "Data",
    "Endpoint",
    "Evidence",
    "Latency",
    "Metadata",
    "ModelEntry",
    "Prices",
    "Sets",
]

EnvironmentName = Annotated[StrictStr, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Sets = dict[Id, ModelMatcher]


class Metadata(Shape):
    """Who stands behind a document."""

    name: Text = "unnamed"
    version: StrictStr = Field(default="0", max_length=100)
    owner: Text | None = None
    description: Text | None = None


class Provenance(Shape):
    """Who vouches for a block of facts, and until when. An expired fact is unknown."""

    attested_by: Text | None = None
    as_of: Day | None = None
    expires: Day | None = None


class Data(Provenance):
    """What the operator does with the data it receives."""

    retention_days: Count | None = None
    trains_on_data: StrictBool | None = None
    agreements: Names = ()


class Prices(Provenance):
    """US dollars per million tokens, and per request. A model without prices is unpriced."""

    input: Price
    output: Price
    cached_input: Price | None = None
    cache_write: Price | None = None
    reasoning: Price | None = None
    request: Price | None = Field(default=None, description="US dollars for each request")


class Latency(Provenance):
    """Measured speed."""

    ttft_ms_p50: Milliseconds | None = None
    ttft_ms_p95: Milliseconds | None = None
    tokens_per_s: Exact | None = None


def _asserted(value: object) -> object:
    if is_mapping(value):
        return value
    return {"score": value, "=": True}


class Evidence(Provenance):
    """How good a model is at one task, on the deployment's own evaluation."""

    score: Fraction
    lower: Fraction | None = Field(default=None, description="lower confidence bound")
    n: PositiveCount | None = Field(default=None, description="items evaluated")
    source: Text | None = None
    measured: Day | None = None
    asserted: StrictBool = Field(default=False, alias="=")


Quality = Annotated[
    Evidence, BeforeValidator(_asserted, json_schema_input_type=Fraction | Evidence)
]


def _for_every_task(value: object) -> object:
    return value if is_mapping(value) else {"*": value}


QualityTable = Annotated[
    dict[Name, Quality],
    BeforeValidator(_for_every_task, json_schema_input_type=Fraction | dict[Name, Quality]),
]


class Endpoint(Shape):
    """Where and how a model is reached. Keys never stand in YAML."""

    via: Literal["litellm", "direct"] = "litellm"
    model: Annotated[StrictStr, StringConstraints(min_length=1, max_length=200)]
    api_base: Annotated[StrictStr, StringConstraints(max_length=500)] | None = None
    api_key_env: EnvironmentName | None = Field(
        default=None, description="name of the environment variable that holds the key"
    )
    api_key: Literal["none"] | None = Field(
        default=None, description="`none`: this endpoint takes no key"
    )


class ModelEntry(Provenance):
    """One set of weights, served at one endpoint by one operator."""

    id: Id
    role: Literal["chat", "embed"] = "chat"
    description: Text | None = None
    weights: Weights
    hosting: Hosting
    licence: Name | None = None
    operator: Name | None = None
    region: Name | None = None
    tags: Names = ()
    data: Data = Data()
    capabilities: Names = ()
    context_window: PositiveCount | None = None
    max_output: PositiveCount | None = None
    price: Prices | None = None
    latency: Latency = Latency()
    quality: QualityTable = Field(default_factory=dict[str, Evidence])
    endpoint: Endpoint | None = None
    retires: Day | None = None


class Catalog(Shape):
    """A `kind: Catalog` document."""

    apiVersion: Literal["modelrouter/v1"]  # noqa: N815 - the format's own spelling
    kind: Literal["Catalog"]
    metadata: Metadata = Metadata()
    sets: Sets = Field(default_factory=dict[str, ModelMatcher])
    models: Annotated[tuple[ModelEntry, ...], Field(min_length=1, max_length=1000)]
