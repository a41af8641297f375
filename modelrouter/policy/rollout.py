"""The parts of a policy document by which a change is tried on few calls, or on none."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictStr

from modelrouter.policy.shapes import Fraction, Id, Shape, as_list

__all__ = ["Rollout", "ShadowPath"]

KeyFacts = Annotated[
    tuple[Id, ...],
    Field(min_length=1, max_length=20),
    BeforeValidator(
        as_list,
        json_schema_input_type=Id | Annotated[list[Id], Field(min_length=1, max_length=20)],
    ),
]
ShadowPath = Annotated[
    StrictStr,
    Field(
        min_length=1,
        max_length=500,
        description="a policy file or folder, from this file; decided beside every call",
    ),
]


class Rollout(Shape):
    """One model goes first for a share of the calls, and last for all others."""

    model: Id = Field(description="a chat model of the catalogue")
    share: Fraction = Field(description="share of the keys, 0 to 1")
    key: KeyFacts = Field(description="facts; calls with the same values are on the same side")
