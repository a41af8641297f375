"""Requests as `decide` and `explain` read them, and the policy that answers them."""

from __future__ import annotations

import datetime
import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from modelrouter.asking import day_of, request_from, snapshot_from, unknown_given
from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Decision
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.errors import CallError, ModelRouterError
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.findings import did_you_mean, shape_problems, shortened
from modelrouter.policy.shapes import is_mapping
from modelrouter.policy.suite import AskedRequest
from modelrouter.shadowing import Shadow, ShadowDifference
from modelrouter.values import Request

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["LONGEST_LINE", "BadRequest", "Desk", "numbered_lines", "parse_json", "validated"]

LONGEST_LINE = 1_048_576
CHUNK = 65_536
LONGEST_NUMBER = 40
PROBLEMS_SHOWN = 5
DAYS_KEPT = 32


class BadRequest(ModelRouterError):
    """A request that cannot be decided on. Its message holds names, never values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Answers requests by one policy, compiled once for each day that is asked about.

    Attributes:
        bundle: The policy.
        today: The day of requests that state none.
        engines: The policy by day; the oldest goes when there are many.
        shadow: Decides the same calls by the policy's shadow, if it names one.
    """

    bundle: Bundle
    today: datetime.date
    engines: dict[datetime.date, Engine] = field(default_factory=dict[datetime.date, Engine])
    shadow: Shadow = field(default_factory=Shadow)

    def decide(self, asked: AskedRequest) -> Decision:
        """Return the decision on a request.

        Raises:
            BadRequest: It names something that the policy does not declare.
        """
        try:
            return decide(*self.read(asked))
        except CallError as error:
            raise BadRequest(str(error), hint=error.hint) from None

    def beside(self, asked: AskedRequest, decision: Decision) -> ShadowDifference | None:
        """Return what the policy's shadow would do otherwise with a decided request, or None."""
        return self.shadow.beside(*self.read(asked), decision)

    def read(self, asked: AskedRequest) -> tuple[Request, Snapshot]:
        """Return what a decision on a request looks at.

        Raises:
            BadRequest: `given` names something that the policy does not declare.
        """
        engine = self.engine(day_of(asked.given, self.today))
        for name, noun in unknown_given(asked.given, engine).items():
            words = self.bundle.words
            hint = did_you_mean(name, words.budgets if noun == "budget" else words.models)
            raise BadRequest(f"`given`: unknown {noun} `{name}`", hint=hint)
        return request_from(asked, engine), snapshot_from(asked.given, engine)

    def engine(self, day: datetime.date) -> Engine:
        """Return the policy compiled for a day."""
        if day not in self.engines:
            if len(self.engines) >= DAYS_KEPT:
                del self.engines[next(iter(self.engines))]
            self.engines[day] = compile_bundle(self.bundle, day)
        return self.engines[day]


def numbered_lines(before_waiting: Callable[[], None]) -> Iterator[tuple[int, bytes | None]]:
    """Yield number and content of each line of standard input that is not blank.

    A line of more than 1 MiB is None; its content is not kept. `before_waiting` is called
    before every read that may wait: answers given so far must be on their way by then.
    """
    read = reader()
    number, held, size = 1, list[bytes](), 0
    ended = False
    while not ended:
        before_waiting()
        chunk = read(CHUNK)
        ended = not chunk
        *whole, rest = (chunk or b"\n").split(b"\n")
        for piece in whole:
            size += len(piece)
            line = b"".join((*held, piece)) if size <= LONGEST_LINE else None
            if line is None or line.strip():
                yield number, line
            number, held, size = number + 1, [], 0
        size += len(rest)
        held = [*held, rest] if size <= LONGEST_LINE else []


def reader() -> Callable[[int], bytes]:
    """Return what reads at most so many bytes of standard input, as soon as there are some."""
    stream = sys.stdin
    if stream is None:
        return io.BytesIO().read
    raw: object = getattr(stream, "buffer", None)
    if isinstance(raw, io.BytesIO):
        return raw.read
    if isinstance(raw, io.BufferedReader):
        return raw.read1
    return io.BytesIO(stream.read().encode("utf-8", "surrogatepass")).read


def parse_json(line: bytes | str | None) -> dict[str, object]:
    """Return the object that a line of JSON states.

    Raises:
        BadRequest: It is not JSON as every reader understands it.
    """
    if line is None:
        raise BadRequest(f"longer than 1 MiB ({LONGEST_LINE:,} bytes)")
    try:
        text = line if isinstance(line, str) else line.decode("utf-8")
        found: object = DECODER.decode(text.removeprefix("\ufeff").strip())
        if "\\u" in text:  # an escape can state half a character, which is no text
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise BadRequest("not UTF-8") from None
    except UnicodeEncodeError:
        raise BadRequest("not text: a lone surrogate") from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"not JSON: {error.msg.lower()} (column {error.colno})") from None
    except RecursionError:
        raise BadRequest("nested too deep") from None
    if not is_mapping(found):
        raise BadRequest("not an object", hint="begin with `{`")
    return {str(key): value for key, value in found.items()}


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object's pairs, of which none may stand twice: readers would disagree."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"duplicate key `{shortened(twice)}`", hint="keep one of the two")
    return found


def refused_constant(name: str) -> object:
    """Refuse NaN and Infinity, which are not JSON."""
    raise BadRequest(f"not JSON: {name}", hint="leave the key out")


def finite(text: str) -> float:
    """Return a number that is not too large."""
    number = float(text)
    if not math.isfinite(number):
        raise BadRequest("a number is too large")
    return number


def bounded(text: str) -> int:
    """Return a whole number; one of thousands of digits would take long to read."""
    if len(text) > LONGEST_NUMBER:
        raise BadRequest("a number is too long")
    return int(text)


DECODER = json.JSONDecoder(
    object_pairs_hook=unique_keys,
    parse_constant=refused_constant,
    parse_float=finite,
    parse_int=bounded,
)


def validated(data: dict[str, object]) -> AskedRequest:
    """Return the request that a JSON object states.

    Raises:
        BadRequest: With every problem of its shape, up to five.
    """
    if "=" in data:  # the internal form of a test's named request
        raise BadRequest("unknown key `=`")
    try:
        return AskedRequest.model_validate(data)
    except ValidationError as error:
        found = problems_of(error.errors(include_url=False))
    more = [f"{len(found) - PROBLEMS_SHOWN} more"] if len(found) > PROBLEMS_SHOWN else []
    raise BadRequest("; ".join([*found[:PROBLEMS_SHOWN], *more]))


def problems_of(details: list[ErrorDetails]) -> list[str]:
    """Return each problem of a request's shape, with its hint in brackets."""
    found: list[str] = []
    for path, message, hint, key in shape_problems(AskedRequest, details):
        above = ".".join(str(part) for part in path[:-1])
        where = f"`{shortened(above)}`: " if key and above else ""
        found.append(f"{where}{message} ({hint})" if hint else f"{where}{message}")
    for detail in details:
        if detail["input"] is None:
            dotted = ".".join(shortened(str(part)) for part in detail["loc"])
            found.append(f"`{dotted}` has no value")
    return found
