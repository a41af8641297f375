"""Matchers: conditions on the call (`when`) and on the model (`models`).

All keys of one matcher must hold; a list means "one of". How unknown values count is a
matter of the clause that uses the matcher (`modelrouter.engine`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from modelrouter.policy.shapes import (
    Exact,
    FactScalar,
    Fraction,
    Id,
    Name,
    Names,
    Shape,
    hide_shorthand_key,
    is_list,
    is_mapping,
    shorthand,
)

if TYPE_CHECKING:
    from pydantic.config import JsonDict

__all__ = [
    "EVERY_MODEL",
    "FactMatch",
    "Hosting",
    "LevelMatch",
    "ModelMatcher",
    "Models",
    "NumberMatch",
    "RequestMatcher",
    "SetMatch",
    "Spent",
    "StringMatch",
    "Weights",
    "When",
]

Hosting = Literal["self_hosted", "private_cloud", "vendor_api"]
Weights = Literal["open", "closed"]


def _describe_condition(schema: JsonDict) -> None:
    hide_shorthand_key(schema)
    schema["minProperties"] = 1


class Condition(Shape):
    """Base of everything that must say something to mean something."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra=_describe_condition)

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, value: object) -> object:
        if is_mapping(value) and not value:
            raise PydanticCustomError(
                "empty_matcher", "an empty mapping matches nothing and everything; leave it out"
            )
        return value


def _filled(value: object) -> object:
    if is_list(value) and not value:
        raise PydanticCustomError("empty_list", "an empty list can never match")
    return value


NonEmpty: BeforeValidator = BeforeValidator(_filled)


class StringMatch(Condition):
    """Text: a scalar, a list, or `{prefix: text}`."""

    equals: Annotated[tuple[Name, ...], NonEmpty] | None = Field(default=None, alias="=")
    prefix: Name | None = None


class NameMatch(Condition):
    """Names: a scalar or a list."""

    equals: Annotated[tuple[Name, ...], NonEmpty] = Field(default=(), alias="=")


class HostingMatch(Condition):
    """Where a model runs: a scalar or a list."""

    equals: Annotated[tuple[Hosting, ...], NonEmpty] = Field(default=(), alias="=")


class WeightsMatch(Condition):
    """Whether the weights are open: a scalar or a list."""

    equals: Annotated[tuple[Weights, ...], NonEmpty] = Field(default=(), alias="=")


class BoolMatch(Condition):
    """True or false."""

    equals: Annotated[tuple[StrictBool, ...], NonEmpty] = Field(default=(), alias="=")


class NumberMatch(Condition):
    """A number: a scalar, a list, or bounds."""

    equals: Annotated[tuple[Exact, ...], NonEmpty] | None = Field(default=None, alias="=")
    at_least: Exact | None = None
    at_most: Exact | None = None
    above: Exact | None = None
    below: Exact | None = None


class SetMatch(Condition):
    """A set of names: a scalar or a list means `any`."""

    any: Annotated[Names, NonEmpty] | None = None
    all: Annotated[Names, NonEmpty] | None = None
    none: Annotated[Names, NonEmpty] | None = None


class LevelMatch(Condition):
    """A level: a scalar or a list is equality, `at_least` and `at_most` are ranges."""

    equals: Annotated[tuple[Name, ...], NonEmpty] | None = Field(default=None, alias="=")
    at_least: Name | None = None
    at_most: Name | None = None


class FactMatch(Condition):
    """A fact: a scalar, a list, `{prefix: text}`, or bounds for whole numbers."""

    equals: Annotated[tuple[FactScalar, ...], NonEmpty] | None = Field(default=None, alias="=")
    prefix: Name | None = None
    at_least: StrictInt | None = None
    at_most: StrictInt | None = None
    above: StrictInt | None = None
    below: StrictInt | None = None


class Spent(Condition):
    """How much of a budget is gone."""

    spent_at_least: Fraction = Field(description="share of the limit, 0 to 1")


AtLeastOne: Any = Field(min_length=1)
Several = Annotated[list[Name], AtLeastOne]
StringField = Annotated[StringMatch, shorthand(Name | Several | StringMatch)]
NamesField = Annotated[NameMatch, shorthand(Name | Several)]
NumberField = Annotated[
    NumberMatch, shorthand(Exact | Annotated[list[Exact], AtLeastOne] | NumberMatch)
]
SetField = Annotated[SetMatch, shorthand(Name | Several | SetMatch, key="any")]
FactField = Annotated[
    FactMatch, shorthand(FactScalar | Annotated[list[FactScalar], AtLeastOne] | FactMatch)
]
HostingField = Annotated[HostingMatch, shorthand(Hosting | Annotated[list[Hosting], AtLeastOne])]
WeightsField = Annotated[WeightsMatch, shorthand(Weights | Annotated[list[Weights], AtLeastOne])]
BoolField = Annotated[BoolMatch, shorthand(bool | Annotated[list[bool], AtLeastOne])]
LevelField = Annotated[LevelMatch, shorthand(Name | Several | LevelMatch)]


class ModelMatcher(Condition):
    """A condition on a model's facts in the catalogue."""

    everything: StrictBool = Field(default=False, alias="=")
    id: StringField | None = None
    hosting: HostingField | None = None
    weights: WeightsField | None = None
    operator: StringField | None = None
    region: StringField | None = None
    licence: StringField | None = None
    retention_days: NumberField | None = None
    trains_on_data: BoolField | None = None
    agreements: SetField | None = None
    tags: SetField | None = None
    capabilities: SetField | None = None
    set: NamesField | None = Field(default=None, description="named sets; several: in one of them")
    negated: ModelMatcher | None = Field(default=None, alias="not")


class RequestMatcher(Condition):
    """A condition on the call."""

    level: LevelField | None = None
    categories: SetField | None = None
    task: StringField | None = None
    needs: SetField | None = None
    facts: Annotated[dict[Id, FactField], Field(min_length=1)] | None = None
    tokens: NumberField | None = None
    budget: Annotated[dict[Id, Spent], Field(min_length=1)] | None = Field(
        default=None, description="only in objectives and advisory rules"
    )


def _all_models(value: object) -> object:
    if value == "all":
        return {"=": True}
    if isinstance(value, str | list):
        raise PydanticCustomError("models", "Input should be `all` or a mapping such as {id: …}")
    return value


Models = Annotated[
    ModelMatcher,
    BeforeValidator(_all_models, json_schema_input_type=Literal["all"] | ModelMatcher),
]
When = RequestMatcher
EVERY_MODEL = ModelMatcher.model_validate({"=": True})
