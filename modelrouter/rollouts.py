"""Which side of a rollout a call is on: the same in every process, for ever.

SHA-256 over the objective's id, the model's id and the key facts, taken as a fraction of
2**256, lies below the share or it does not. Everything is counted in whole numbers.

Each part is written as a tag, its length in eight bytes (big-endian) and its bytes, so that no
two lists of parts are written alike: `s` and UTF-8 for text and ids, `i` and lower-case
hexadecimal (with `-` in front of a negative number) for whole numbers, `b` and `true` or
`false` for booleans.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from modelrouter.values import FactValue, Json

__all__ = ["RolloutClause", "RolloutSide", "bar_of", "number_of", "prefix_of"]

WHOLE = 1 << 256
"""How many values the hash has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSide:
    """What a rollout did to one call.

    Attributes:
        objective: Id of the objective that has the rollout.
        model: The model that is rolled out; a candidate of the call.
        inside: Whether the call is inside the share: then the model comes first, otherwise last.
    """

    objective: str
    model: str
    inside: bool

    def __str__(self) -> str:
        """Return which side the call is on, and what follows."""
        where, place = ("inside", "first") if self.inside else ("outside", "last")
        return f"`{self.objective}`: the call is {where} the share, `{self.model}` comes {place}"

    def as_json(self) -> dict[str, Json]:
        """Return the side as `modelrouter decide` prints it."""
        return {"objective": self.objective, "model": self.model, "inside": self.inside}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutClause:
    """The rollout of one objective, ready to compare.

    Attributes:
        place: Place of the model in the catalogue.
        key: Places of the key facts in the policy's order of facts.
        bar: Numbers below it are inside the share.
        prefix: What the hash begins with: both ids.
        inside: The side of calls inside the share.
        outside: The side of all others.
    """

    place: int
    key: tuple[int, ...]
    bar: int
    prefix: bytes
    inside: RolloutSide
    outside: RolloutSide


def bar_of(share: Decimal) -> int:
    """Return the smallest number that is outside: all are at share 0, none at share 1."""
    return math.ceil(Fraction(share) * WHOLE)


def prefix_of(objective: str, model: str) -> bytes:
    """Return what the hash of every call begins with."""
    return part_of(objective) + part_of(model)


def number_of(prefix: bytes, values: Sequence[FactValue]) -> int:
    """Return the number of one key, 0 <= number < 2**256."""
    content = prefix + b"".join(map(part_of, values))
    return int.from_bytes(hashlib.sha256(content).digest())


def part_of(value: FactValue) -> bytes:
    """Return one part, which no other value of any type is written as."""
    if isinstance(value, str):
        # A lone surrogate is no text, but a decision must not fail on it.
        tag, content = b"s", value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bool):
        tag, content = b"b", b"true" if value else b"false"
    else:  # hexadecimal: Python refuses to write long numbers in decimal
        tag, content = b"i", f"{value:x}".encode("ascii")
    return tag + len(content).to_bytes(8) + content
