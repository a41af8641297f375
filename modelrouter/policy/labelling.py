"""The labels a policy declares: levels, categories and what stands in for a missing label."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool

from modelrouter.policy.shapes import Name, Names, Shape, Text

__all__ = ["Labels", "LabelsField"]


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
