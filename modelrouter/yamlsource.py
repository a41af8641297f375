"""One YAML document as plain data, with a position for every key and value.

PyYAML gives events only: its constructors would accept what a policy may not hold and lose the
positions. Scalars follow YAML 1.2's core schema, but `012` is a string, `.inf` and `.nan` refused.
"""

from __future__ import annotations

import contextlib
import math
import pathlib
import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import yaml

from modelrouter.errors import Problem, Severity
from modelrouter.yamlsyntax import NOT_YAML, SYNTAX

__all__ = ["DataPath", "Source", "read_file", "read_text"]

DataPath: TypeAlias = tuple[str | int, ...]
_At: TypeAlias = tuple[int, int]
# Where the key is (an item of a list repeats its own position), where the value is, children.
_Node: TypeAlias = "tuple[int, int, int, int, _Nodes]"
_Nodes: TypeAlias = "dict[str | int, _Node]"

_MAX_BYTES: Final = 1_048_576
_MAX_NODES: Final = 50_000
_MAX_DEPTH: Final = 32
_MAX_PROBLEMS: Final = 100
_MAX_SHOWN: Final = 40
_LIMITS: Final = frozenset({"MR001", "MR002", "MR010", "MR011"})
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
# Directives (libyaml needs quadratic time for many), what YAML forbids, inner byte-order marks,
# and U+0085, U+2028, U+2029: the parser breaks lines there, the editor of a reviewer does not.
_FORBIDDEN: Final = re.compile(
    r"(?:\A|[\n\r])%"
    r"|[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_RESOLVERS_1_1: Final = yaml.resolver.Resolver.yaml_implicit_resolvers
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN: Final = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*|(?=[eE])))(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document that was read.

    Attributes:
        file: Path as shown in problems.
        data: Dicts with string keys, lists, scalars. None if a problem is an error.
        problems: Errors (about a hundred at most) and warnings in the order of the file.
        readable: False if there was no text: no file, no access, too large, empty, binary.
    """

    file: str
    data: object
    problems: tuple[Problem, ...]
    readable: bool = True
    _nodes: _Nodes = field(repr=False, compare=False)

    def position(self, path: DataPath, *, key: bool = False) -> tuple[int, int]:
        """Return the 1-based line and column (in code points) of the value at `path`.

        Args:
            path: Keys and indices; () is the root. Segments that do not resolve (a normalised
                shorthand, a tag of a union) are skipped: the nearest node answers.
            key: Ask for the key that holds the value; a list item answers for itself.
        """
        node: _Node = (1, 1, 1, 1, self._nodes)
        for segment in (0, *path):
            node = node[4].get(segment, node)
        return node[:2] if key else node[2:4]

    def problem(
        self,
        path: DataPath,
        *,
        code: str,
        message: str,
        hint: str | None = None,
        key: bool = False,
        severity: Severity = "error",
    ) -> Problem:
        """Return a problem at `path`; see `position` for `path` and `key`."""
        return _problem(self.file, code, self.position(path, key=key), message, hint, severity)


def read_file(path: pathlib.Path, *, shown_as: str | None = None) -> Source:
    """Read a file in UTF-8; `shown_as` is its name in problems. Never raises for its content."""
    file = str(path) if shown_as is None else shown_as
    try:
        if path.is_file():  # asked first: opening a pipe would wait for its writer
            with path.open("rb") as stream:
                content = stream.read(_MAX_BYTES + 1)
            return read_text(content.decode("utf-8", "surrogateescape"), file=file)
        message = "a directory or a device, not a file" if path.exists() else "no such file"
    except OSError:
        message = "the file cannot be read"
    problem = _problem(file, "MR000", (1, 1), message, "check the path and its access rights")
    return Source(file=file, data=None, problems=(problem,), readable=False, _nodes={})


def read_text(text: str, *, file: str) -> Source:
    """Read one document of at most 1 MiB; `file` is its name in problems. Never raises."""
    reader = _Reader(file)
    with contextlib.suppress(_Stopped):
        reader.check(text)
        reader.parse(text.removeprefix("\ufeff"))
    problems = tuple(reader.problems)
    data = None if any(problem.severity == "error" for problem in problems) else reader.documents[0]
    nodes, readable = reader.open[0].nodes, reader.readable
    return Source(file=file, data=data, problems=problems, readable=readable, _nodes=nodes)


def _problem(  # noqa: PLR0917
    file: str, code: str, at: _At, text: str, hint: str | None, severity: Severity = "error"
) -> Problem:
    return Problem(
        code=code, severity=severity, file=file, line=at[0], column=at[1], message=text, hint=hint
    )


class _Stopped(Exception):
    """Reading ended at a limit, whose problem is already noted."""


class _Open:
    """A mapping or a list whose end was not read yet."""

    def __init__(self, items: dict[str, object] | list[object]) -> None:
        self.items = items
        self.nodes: _Nodes = {}
        self.awaits_key = isinstance(items, dict)
        self.key: str | None = ""  # None: the key was refused, its value is dropped
        self.key_at: _At = (1, 1)

    def add(self, value: object, at: _At, children: _Nodes) -> None:
        if isinstance(self.items, list):
            self.nodes[len(self.items)] = (*at, *at, children)
            self.items.append(value)
        elif self.awaits_key:
            self.awaits_key, self.key = False, None
        else:
            self.awaits_key = True
            if self.key is not None:
                self.nodes[self.key] = (*self.key_at, *at, children)
                self.items[self.key] = value


class _Reader:
    """Builds one document from events; `open` holds the collections around the next one."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.count = 0
        self.readable = True
        self.at: _At = (1, 1)
        self.documents: list[object] = []
        self.open = [_Open(self.documents)]

    def check(self, text: str) -> None:
        if len(text) > _MAX_BYTES or len(text.encode(errors="replace")) > _MAX_BYTES:
            self.readable = False
            self.note("MR001", f"larger than 1 MiB ({_MAX_BYTES:,} bytes)", "split the file")
        if found := _FORBIDDEN.search(text := text.removeprefix("\ufeff")):
            before = text[: found.end() - 1].replace("\r\n", "\n").replace("\r", "\n")
            self.at = before.count("\n") + 1, len(before) - before.rfind("\n")
            sign = found[0][-1]
            message, hint = f"U+{ord(sign):04X} is not allowed", 'write "\\u…" instead'
            if sign == "%":
                message, hint = "`%` begins a directive", "remove it; indent it if it is text"
            elif "\udc80" <= sign <= "\udcff":  # put there by read_file for a stray byte
                message, hint = "not UTF-8 text", "save the file as UTF-8"
            self.readable = sign >= " " and not "\udc80" <= sign <= "\udcff"
            self.note("MR000", message, hint)
            raise _Stopped

    def parse(self, text: str) -> None:
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                if event.start_mark is not None:
                    self.at = (event.start_mark.line + 1, event.start_mark.column + 1)
                self.take(event)
        except yaml.MarkedYAMLError as error:
            self.note_syntax(error)
        except (ValueError, OverflowError):  # from the parser in Python: "\Uffffffff", "\ud800"
            self.note("MR000", *NOT_YAML[1:])
        if self.documents in ([], [None]) and not self.problems:
            self.at, self.readable = (1, 1), False
            self.note("MR000", "the document is empty", "begin with `apiVersion: modelrouter/v1`")

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.NodeEvent):
            self.limit(event)
        if isinstance(event, yaml.ScalarEvent):
            self.scalar(event.value, plain=event.implicit[0])
        elif isinstance(event, yaml.CollectionStartEvent):
            self.start({} if isinstance(event, yaml.MappingStartEvent) else [])
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()
        elif isinstance(event, yaml.AliasEvent):
            self.open[-1].add(None, self.at, {})
        elif isinstance(event, yaml.DocumentStartEvent) and self.documents:
            self.note("MR011", "a second document begins here", "keep one document per file")

    def limit(self, event: yaml.NodeEvent) -> None:
        self.count += 1
        if self.count > _MAX_NODES:
            self.note("MR002", f"more than {_MAX_NODES:,} keys and values", "split the file")
        if tag := getattr(event, "tag", None):
            written = tag.replace("tag:yaml.org,2002:", "!!", 1)[:_MAX_SHOWN]
            self.note("MR007", f"tag {written!r} is not allowed", "remove it; quote what is text")
        refused = not self.open[-1].awaits_key and self.open[-1].key is None
        if event.anchor is not None and not refused:  # `<<: *base` is one mistake
            kind = "alias '*" if isinstance(event, yaml.AliasEvent) else "anchor '&"
            message = f"{kind}{event.anchor[:_MAX_SHOWN]}' is not allowed"
            self.note("MR008", message, "write the value out; quote what is text")

    def start(self, items: dict[str, object] | list[object]) -> None:
        if len(self.open) > _MAX_DEPTH:
            self.note("MR010", f"nested more than {_MAX_DEPTH} deep", "use fewer levels")
        parent, collection = self.open[-1], _Open(items)
        if parent.awaits_key:
            self.note("MR005", "a mapping or a list as a key", "use a string as the key")
        parent.add(items, self.at, collection.nodes)
        self.open.append(collection)

    def scalar(self, text: str, *, plain: bool) -> None:
        text.encode()  # raises ValueError for a lone surrogate, an escape Python's parser allows
        parent = self.open[-1]
        if not parent.awaits_key:
            parent.add(self.plain(text) if plain else text, self.at, {})
            return
        parent.awaits_key, parent.key, parent.key_at = False, None, self.at
        if plain and text == "<<":
            self.note("MR004", "merge key '<<' is not allowed", "write the keys out")
        elif plain and text in _NULL:
            self.note("MR005", "null as a key", "use a string as the key")
        elif text in parent.nodes:
            message = f"duplicate key {text[:_MAX_SHOWN]!r} (first at line {parent.nodes[text][0]})"
            self.note("MR003", message, "keep one of the two")
        else:
            parent.key = text
            if plain and text not in _BOOLEAN:
                self.warn_1_1(text)

    def plain(self, text: str) -> object:
        if text in _NULL or text in _BOOLEAN:
            return None if text in _NULL else text.lower() == "true"
        if text[0].isalpha():  # most scalars are words: no need to try three patterns
            self.warn_1_1(text)
        elif _INTEGER.fullmatch(text):
            # The length first: int() raises for more than 4,300 digits.
            if len(text) <= _MAX_SHOWN and abs(integer := int(text, 0)) < 10**18:
                return integer
            self.note("MR009", "an integer of more than 18 digits", "quote it if it is an id")
        elif _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        elif _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            self.note("MR009", "not a finite number", "leave the key out if there is no limit")
        else:
            self.warn_1_1(text)
        return text

    def warn_1_1(self, text: str) -> None:
        resolvers = _RESOLVERS_1_1.get(text[0], ())
        kinds = [tag.rpartition(":")[2] for tag, pattern in resolvers if pattern.match(text)]
        if kinds and not (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
            message = f"{text[:_MAX_SHOWN]!r} is a string here, but {kinds[0]} in YAML 1.1"
            self.note("MR006", message, "quote it", "warning")

    def note_syntax(self, error: yaml.MarkedYAMLError) -> None:
        said = f"{error.context}: {error.problem}"
        needle, message, hint = next(row for row in SYNTAX if row[0] in said)
        if error.problem_mark is not None:
            self.at = (error.problem_mark.line + 1, error.problem_mark.column + 1)
        if (begun := error.context_mark) and begun.line + 1 < self.at[0] and "block" not in said:
            message += f" (begun at line {begun.line + 1})"
        self.note({"alphabetic": "MR008", "tag": "MR007"}.get(needle, "MR000"), message, hint)

    def note(self, code: str, message: str, hint: str, severity: Severity = "error") -> None:
        self.problems.append(_problem(self.file, code, self.at, message, hint, severity))
        if code in _LIMITS or (severity == "error" and len(self.problems) >= _MAX_PROBLEMS):
            raise _Stopped
