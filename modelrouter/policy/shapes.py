"""Building blocks of the policy documents: strict scalars and the shorthand of matchers.

Shorthand is normalised before a value is validated, so that one mistake gives one error:
a scalar or a list becomes a record whose only key is `=`, which no author can need.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeGuard

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic.config import JsonDict

__all__ = [
    "Count",
    "Day",
    "Exact",
    "FactScalar",
    "Fraction",
    "Id",
    "Milliseconds",
    "Name",
    "Names",
    "PositiveCount",
    "Price",
    "Shape",
    "Text",
    "as_list",
    "as_record",
    "is_list",
    "is_mapping",
    "shorthand",
]

DIGITS_AFTER_POINT = 6
LONGEST_FACT = 500


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Whether a value out of a document is a mapping."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether a value out of a document is a list."""
    return isinstance(value, list)


def hide_shorthand_key(schema: JsonDict) -> None:
    """Leave the internal key of normalised shorthand out of the published schema."""
    properties = schema.get("properties")
    if isinstance(properties, dict):
        properties.pop("=", None)


class Shape(BaseModel):
    """Base of every part of a policy document: frozen, and closed to unknown keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,
        json_schema_extra=hide_shorthand_key,
    )


def exact_decimal(value: object) -> Decimal:
    """Return a YAML or JSON number as the decimal its author wrote."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("number_type", "Input should be a valid number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise PydanticCustomError("finite_number", "Input should be a finite number")
    return number


def parse_day(value: object) -> datetime.date:
    """Return an ISO date given as text."""
    if isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            pass
    elif isinstance(value, datetime.date):
        return value
    raise PydanticCustomError("date", 'Input should be a date such as "2026-11-23"')


def fine_enough(value: Decimal) -> Decimal:
    """Refuse more digits than money is counted in."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > DIGITS_AFTER_POINT:
        raise PydanticCustomError("decimals", "Input should have at most 6 decimals")
    return value


def fact_scalar(value: object) -> object:
    """Refuse what is not text, a boolean or a whole number with one error."""
    if not isinstance(value, str | bool | int):
        raise PydanticCustomError(
            "fact_value", "Input should be text, true, false or a whole number"
        )
    if isinstance(value, str) and len(value) > LONGEST_FACT:
        raise PydanticCustomError("fact_text", "Input should have at most 500 characters")
    return value


def as_list(value: object) -> object:
    """Let a scalar stand for a list of one."""
    return value if is_list(value) or is_mapping(value) else [value]


def as_record(key: str) -> Callable[[object], object]:
    """Let a scalar or a list stand for the record `{key: [...]}`."""

    def normalise(value: object) -> object:
        if is_mapping(value):
            return value
        return {key: value if is_list(value) else [value]}

    return normalise


def shorthand(accepted: object, *, key: str = "=") -> BeforeValidator:
    """Return the validator that lets a scalar or a list stand for a record.

    Args:
        accepted: Everything an author may write, for the published schema.
        key: The record's key that takes the scalar or list.
    """
    return BeforeValidator(as_record(key), json_schema_input_type=accepted)


_NUMBER = {"type": "number"}
Id = Annotated[StrictStr, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]{0,79}$")]
Name = Annotated[StrictStr, StringConstraints(pattern=r"^[A-Za-z0-9*][A-Za-z0-9._/*@-]{0,79}$")]
Text = Annotated[StrictStr, StringConstraints(max_length=2000)]
Several = Annotated[list[Name], Field(max_length=1000)]
Names = Annotated[
    tuple[Name, ...],
    Field(max_length=1000),
    BeforeValidator(as_list, json_schema_input_type=Name | Several),
]
Exact = Annotated[Decimal, BeforeValidator(exact_decimal), WithJsonSchema(_NUMBER)]
Price = Annotated[
    Decimal,
    BeforeValidator(lambda value: fine_enough(exact_decimal(value))),
    Field(ge=0, le=1_000_000),
    WithJsonSchema(_NUMBER | {"minimum": 0}),
]
Fraction = Annotated[
    Decimal,
    BeforeValidator(exact_decimal),
    Field(ge=0, le=1),
    WithJsonSchema(_NUMBER | {"minimum": 0, "maximum": 1}),
]
Count = Annotated[StrictInt, Field(ge=0, le=10**12)]
PositiveCount = Annotated[StrictInt, Field(ge=1, le=10**12)]
Milliseconds = Annotated[StrictInt, Field(ge=0, le=86_400_000)]
Day = Annotated[
    datetime.date,
    BeforeValidator(parse_day),
    WithJsonSchema({"type": "string", "format": "date"}),
]
FactText = Annotated[StrictStr, StringConstraints(max_length=LONGEST_FACT)]
FactScalar = Annotated[FactText | StrictBool | StrictInt, BeforeValidator(fact_scalar)]
