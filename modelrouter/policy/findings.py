"""Collects problems, with a place in a file and a "did you mean" where one fits."""

from __future__ import annotations

import difflib
import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from modelrouter.errors import Problem, Severity
from modelrouter.policy.shapes import Shape, is_list, is_mapping
from modelrouter.yamlsource import Source

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "PROBLEMS_WITH_HINT",
    "Findings",
    "Path",
    "did_you_mean",
    "odd_keys",
    "shape_problems",
    "shortened",
    "validate",
]

Path = tuple[str | int, ...]

SHORTHAND_KEY = "="
MAPPING = "input should be a mapping"
LIST = "input should be a list"
MESSAGES: Mapping[str, str] = {
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "model_attributes_type": MAPPING,
    "list_type": LIST,
    "tuple_type": LIST,
    "string_unicode": "input should be text",
    "too_short": "input should not be empty",
}
"""What pydantic says in words of Python, in words of YAML."""

PATTERN_HINTS: Mapping[str, str] = {
    "^[a-z0-9]": "use up to 80 lower-case letters, digits, `.`, `_`, `/` and `-`",
    "^[A-Za-z0-9*]": "use up to 80 letters, digits, `.`, `_`, `/`, `@`, `*` and `-`",
    "^[A-Za-z_]": "give the name of an environment variable, never the key itself",
}


# Comparing is quadratic in the length of a name and linear in the number of known ones.
LONGEST_NAME = 80
NAMES_COMPARED = 1000
NAMES_LISTED = 20
PROBLEMS_WITH_HINT = 200


def shortened(name: str) -> str:
    """Return a name as messages show it."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def did_you_mean(name: str, known: Collection[str], *, listed: bool = True) -> str | None:
    """Return a hint that names the closest of `known`, or lists them."""
    names = sorted(known)
    folded = {other.casefold(): other for other in names[:NAMES_COMPARED]}
    close = (
        difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
        if len(name) <= LONGEST_NAME
        else []
    )
    if close:
        return f"did you mean `{folded[close[0]]}`?"
    if not listed:
        return None
    more = f" and {len(names) - NAMES_LISTED} more" if len(names) > NAMES_LISTED else ""
    return f"known: {', '.join(names[:NAMES_LISTED])}{more}" if names else "none is declared"


FIRST_LINT_CODE = "MR2"
"""From MR200 on a code speaks of what a policy says, not of whether it can be read."""


@dataclass(slots=True, kw_only=True)
class Findings:
    """Problems found so far; the only mutable thing while a policy is read."""

    problems: list[Problem] = field(default_factory=list[Problem])

    def add(
        self,
        source: Source,
        path: Path,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        key: bool = False,
        severity: Severity = "error",
        about: str | None = None,
    ) -> None:
        """Note one problem at `path` of `source`."""
        found = source.problem(
            path, code=code, message=message, hint=hint, key=key, severity=severity
        )
        self.problems.append(replace(found, about=about) if about else found)

    @property
    def failed(self) -> bool:
        """Whether anything found stops the load; what the linter finds does not."""
        return any(
            problem.severity == "error" and problem.code < FIRST_LINT_CODE
            for problem in self.problems
        )

    def ordered(self) -> tuple[Problem, ...]:
        """Return the problems by file, line and column, each once."""
        unique = dict.fromkeys(self.problems)
        return tuple(
            sorted(unique, key=lambda found: (found.file, found.line, found.column, found.code))
        )


ShapeT = TypeVar("ShapeT", bound=Shape)


def validate(shape: type[ShapeT], source: Source, findings: Findings) -> ShapeT | None:
    """Return the validated document, or None after noting every shape problem."""
    odd = False
    for path, message, remedy in odd_keys(source.data):
        findings.add(source, path, "MR020", message, hint=remedy, key=True)
        odd = odd or path[-1] == SHORTHAND_KEY
    if odd:  # the models would take the key for normalised shorthand
        return None
    try:
        return shape.model_validate(source.data)
    except ValidationError as error:
        for path, message, hint, key in shape_problems(shape, error.errors(include_url=False)):
            findings.add(source, in_list(source, path), "MR020", message, hint=hint, key=key)
    return None


def odd_keys(data: object) -> Iterable[tuple[Path, str, str]]:
    """Yield path, message and hint of what no shape can tell: no value, the internal key."""
    stack: list[tuple[Path, object]] = [((), data)]
    while stack:
        here, value = stack.pop()
        if is_mapping(value):
            stack.extend(((*here, str(key)), part) for key, part in value.items())
        elif is_list(value):
            stack.extend(((*here, place), part) for place, part in enumerate(value))
        elif value is None and here and here[:-1] != ("tasks",):
            named = f"`{shortened(here[-1])}`" if isinstance(here[-1], str) else "the item"
            yield here, f"{named} has no value", "give it one or leave it out"
        if here and here[-1] == SHORTHAND_KEY:
            yield here, f"unknown key `{SHORTHAND_KEY}`", "write the scalar or the list alone"


def in_list(source: Source, path: Path) -> Path:
    """Return where a task's name stands if `tasks` is written as a list of names."""
    tasks = source.data.get("tasks") if is_mapping(source.data) else None
    if is_list(tasks) and len(path) > 1 and path[0] == "tasks" and path[1] in tasks:
        return ("tasks", tasks.index(path[1]))
    return path


def shape_problems(
    shape: type[Shape], details: Iterable[ErrorDetails]
) -> Iterable[tuple[Path, str, str | None, bool]]:
    """Yield path, message, hint and whether the key is meant, for each validation error."""
    every = list(details)
    outer = {detail["loc"][:depth] for detail in every for depth in range(len(detail["loc"]))}
    for detail in every:
        if detail["type"] == "too_short" and detail["loc"] in outer:
            continue  # the items are there; what is wrong with them is said elsewhere
        path = tuple(part for part in detail["loc"] if part not in {SHORTHAND_KEY, "[key]"})
        last = shortened(str(path[-1])) if path else ""
        dotted = ".".join(shortened(str(part)) for part in path)
        match detail["type"]:
            case "extra_forbidden":
                known = keys_at(shape, detail["loc"][:-1])
                hint = did_you_mean(last, known, listed=True)
                yield path, f"unknown key `{last}`", hint, True
            case "missing":
                yield path[:-1], f"missing key `{last}`", f"add `{last}:`", False
            case kind if detail["input"] is None:
                del kind  # already noted as a key without a value
            case kind:
                message = MESSAGES.get(kind, detail["msg"])
                text = f"`{dotted}`: {message[:1].lower()}{message[1:]}" if dotted else message
                yield path, text, hint_for(kind, detail), "[key]" in detail["loc"]


def hint_for(kind: str, detail: ErrorDetails) -> str | None:
    """Return what to do about a value of the wrong form."""
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == "literal_error" and isinstance(detail["input"], str):
        options = [part.strip(" '") for part in context["expected"].replace(" or ", ",").split(",")]
        return did_you_mean(detail["input"], options, listed=False)
    if kind == "string_pattern_mismatch":
        found = (
            hint for start, hint in PATTERN_HINTS.items() if context["pattern"].startswith(start)
        )
        return next(found, None)
    if kind == "too_short":
        return "leave the key out, or give it an entry"
    if kind == "string_type" and not isinstance(detail["input"], dict | list):
        return "put it in quotes"
    return None


def keys_at(shape: type[Shape], loc: Iterable[str | int]) -> set[str]:
    """Return the keys an author may write at `loc` of a document of `shape`."""
    here: Any = shape
    for part in loc:
        here = bare(here)
        origin = get_origin(here)
        if origin is dict:
            here = get_args(here)[1]
        elif origin is tuple:
            here = get_args(here)[0]
        elif isinstance(here, type) and issubclass(here, Shape):
            named = {field.alias or name: field for name, field in here.model_fields.items()}
            if part not in named:
                return set()
            here = named[str(part)].annotation
    here = bare(here)
    if isinstance(here, type) and issubclass(here, Shape):
        return {field.alias or name for name, field in here.model_fields.items()} - {SHORTHAND_KEY}
    return set()


def bare(annotation: Any) -> Any:  # noqa: ANN401 - annotations have no common type
    """Return an annotation without `Annotated` and `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType}:
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation
