"""Reading YAML: positions, refusals, scalars, and what no input may do."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from modelrouter import yamlsource
from modelrouter.errors import Problem
from modelrouter.yamlsource import DataPath, Source, read_file, read_text

GOLDEN = Path(__file__).parents[1] / "golden" / "yaml"

needs_libyaml = pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML without libyaml")


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with each of PyYAML's parsers."""
    if request.param == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML without libyaml")
    loader = yaml.CSafeLoader if request.param == "libyaml" else yaml.SafeLoader
    monkeypatch.setattr(yamlsource, "_LOADER", loader)
    return str(request.param)


def read(text: str) -> Source:
    return read_text(text, file="p.yaml")


def codes(source: Source) -> list[str]:
    return [problem.code for problem in source.problems]


def only(source: Source) -> Problem:
    assert len(source.problems) == 1, source.problems
    return source.problems[0]


def value_of(scalar: str) -> object:
    source = read(f"- {scalar}\n")
    assert source.problems == ()
    assert isinstance(source.data, list)
    return source.data[0]


# ---------------------------------------------------------------- golden files


@needs_libyaml
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_broken_file_is_described_as_in_its_golden_text(path: Path) -> None:
    source = read_file(path, shown_as=path.name)
    shown = "".join(f"{problem}\n" for problem in source.problems)
    assert shown == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_golden_text_has_its_file() -> None:
    texts = {path.stem for path in GOLDEN.glob("*.txt")}
    assert texts == {path.stem for path in GOLDEN.glob("*.yaml")}
    assert len(texts) >= 14


def test_every_error_has_a_hint() -> None:
    for path in GOLDEN.glob("*.yaml"):
        assert all(problem.hint for problem in read_file(path).problems)


# ------------------------------------------------------------------- positions

POLICY = """\
apiVersion: modelrouter/v1
größe: {ß: 😀, b: [x, {c: 'ü'}, y]}
rules:
  - id: a
    reason: >-
      two
      lines
    models: "quoted
      on two lines"
  -   id: b
list:
- - deep
  - 5
empty:
last: |
  text
"""


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ((), (1, 1), (1, 1)),
        (("apiVersion",), (1, 13), (1, 1)),
        (("größe",), (2, 8), (2, 1)),
        (("größe", "ß"), (2, 12), (2, 9)),
        (("größe", "b"), (2, 18), (2, 15)),
        (("größe", "b", 0), (2, 19), (2, 19)),
        (("größe", "b", 1), (2, 22), (2, 22)),
        (("größe", "b", 1, "c"), (2, 26), (2, 23)),
        (("größe", "b", 2), (2, 32), (2, 32)),
        (("rules",), (4, 3), (3, 1)),
        (("rules", 0), (4, 5), (4, 5)),
        (("rules", 0, "id"), (4, 9), (4, 5)),
        (("rules", 0, "reason"), (5, 13), (5, 5)),
        (("rules", 0, "models"), (8, 13), (8, 5)),
        (("rules", 1), (10, 7), (10, 7)),
        (("rules", 1, "id"), (10, 11), (10, 7)),
        (("list",), (12, 1), (11, 1)),
        (("list", 0), (12, 3), (12, 3)),
        (("list", 0, 0), (12, 5), (12, 5)),
        (("list", 0, 1), (13, 5), (13, 5)),
        (("empty",), (14, 7), (14, 1)),
        (("last",), (15, 7), (15, 1)),
    ],
)
def test_positions_are_counted_in_code_points_from_one(
    path: DataPath, value: tuple[int, int], key: tuple[int, int]
) -> None:
    source = read(POLICY)
    assert source.problems == ()
    assert source.position(path) == value
    assert source.position(path, key=True) == key


@pytest.mark.usefixtures("parser")
def test_a_byte_order_mark_and_foreign_line_ends_do_not_shift_positions() -> None:
    for line_end in ("\n", "\r\n", "\r"):
        source = read("\ufeffa: 1" + line_end + "ü: {b: 2}" + line_end)
        assert source.position(("a",), key=True) == (1, 1)
        assert source.position(("ü", "b")) == (2, 8)


def test_segments_that_do_not_resolve_are_skipped() -> None:
    source = read("rules:\n  - when: {level: {at_least: x}}\n    task: code\n")
    level: DataPath = ("rules", 0, "when", "level")
    assert source.position((*level, "LevelMatch", "at_least")) == (2, 30)
    assert source.position(("rules", 0, "task", 0)) == (3, 11)
    assert source.position(("rules", 0, "effect")) == (2, 5)
    assert source.position(("rules", 7)) == source.position(("rules", -1)) == (2, 3)
    assert source.position(("nowhere",)) == (1, 1)
    assert source.position((*level, "str"), key=True) == source.position(level, key=True) == (2, 12)


def test_a_problem_at_a_path_carries_file_and_position() -> None:
    problem = read("a: {b: 1}\n").problem(
        ("a", "b"), code="MR020", message="wrong", hint="right", key=True, severity="warning"
    )
    assert str(problem) == "p.yaml:1:5: warning MR020 wrong\n    hint: right"


def test_an_unreadable_source_answers_with_the_first_character() -> None:
    assert read("\x00").position(("a", 0)) == (1, 1)


# --------------------------------------------------------------------- scalars


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("null", None), ("Null", None), ("NULL", None), ("~", None), ("", None),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("FALSE", False),
        ("0", 0), ("-0", 0), ("+5", 5), ("-17", -17), ("0o17", 15), ("0x1F", 31),
        ("999999999999999999", 10**18 - 1), ("-999999999999999999", 1 - 10**18),
        ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("-1e3", -1000.0), ("1E-2", 0.01), ("01.5", 1.5),
        ("0.12345678901234567890", 0.12345678901234568),
        ("y", "y"), ("N", "N"), ("nULL", "nULL"), ("089", "089"), ("0o8", "0o8"), ("0xg", "0xg"),
        ("1.2.3", "1.2.3"), ("-", [None]), (".", "."), ("+", "+"), ("08:30", "08:30"),
        ("a b", "a b"), ("'5'", "5"), ('"true"', "true"), ("''", ""), ('"\\u00fc\\0"', "ü\0"),
        ("|-\n  5", "5"), (">-\n  null", "null"), ("é", "é"), ("\u0661", "\u0661"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2_and_quoted_ones_are_strings(
    scalar: str, value: object
) -> None:
    assert value_of(scalar) == value
    assert type(value_of(scalar)) is type(value)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    "scalar",
    [
        "no",
        "No",
        "NO",
        "on",
        "off",
        "yes",
        "YES",
        "012",
        "0b1",
        "1_000",
        "1:30",
        "-0x1F",
        "1_0.5",
        "2026-11-22",
        "2026-11-22 10:00:00",
        "190:20:30.15",
    ],
)
def test_what_yaml_1_1_reads_differently_stays_a_string_with_a_warning(scalar: str) -> None:
    source = read(f"ü: {scalar}\n")
    assert source.data == {"ü": scalar}
    problem = only(source)
    assert (problem.code, problem.severity) == ("MR006", "warning")
    assert (problem.line, problem.column) == (1, 4)
    assert only(read(f"{scalar}: 1\n")).code == "MR006"
    assert read(f"ü: '{scalar}'\n").problems == ()


def test_warnings_do_not_stop_the_reading() -> None:
    source = read("a: no\n" + "".join(f"k{number}: on\n" for number in range(200)))
    assert isinstance(source.data, dict)
    assert len(source.data) == 201
    assert set(codes(source)) == {"MR006"}


@pytest.mark.usefixtures("parser")
def test_keys_are_strings_as_written() -> None:
    source = read("5: a\n0.5: b\ntrue: c\n'~': d\n'': e\n'<<': f\n'*': g\n1e3: h\n")
    assert source.problems == ()
    assert source.data == {
        "5": "a", "0.5": "b", "true": "c", "~": "d", "": "e", "<<": "f", "*": "g", "1e3": "h"
    }  # fmt: skip


def test_a_key_written_as_number_and_as_string_is_there_twice() -> None:
    assert codes(read("5: a\n'5': b\n")) == ["MR003"]


# -------------------------------------------------------------------- refusals


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "MR000", 1, 1),
        ("---\nnull\n", "MR000", 1, 1),
        ("a: [\n", "MR000", 2, 1),
        ("ä: ü: 1\n", "MR000", 1, 5),
        ("ä: \x07", "MR000", 1, 4),
        ("ä:\r\nb\ud800", "MR000", 2, 2),
        ("a: x\u2028b: c\n", "MR000", 1, 5),
        ("a: x\x85b: c\n", "MR000", 1, 5),
        ("a: \ufeffb\n", "MR000", 1, 4),
        ("%TAG ! x\n---\na\n", "MR000", 1, 1),
        ("a\n%TAG\n", "MR000", 2, 1),
        ("{a: b, ü: c,\n a: d}\n", "MR003", 2, 2),
        ("a: {<<: {b: c}}\n", "MR004", 1, 5),
        ("<<: *base\n", "MR004", 1, 1),
        ("ü: {[a]: b}\n", "MR005", 1, 5),
        ("ü: {{a: b}: c}\n", "MR005", 1, 5),
        ("? - a\n: b\n", "MR005", 1, 3),
        ("null: a\n", "MR005", 1, 1),
        ("ü: ! a\n", "MR007", 1, 4),
        ("ü: !foo {a: b}\n", "MR007", 1, 4),
        ("!!str a: b\n", "MR007", 1, 1),
        ("ü: !e!x a\n", "MR007", 1, 4),
        ("ü: &a b\n", "MR008", 1, 4),
        ("ü: *a\n", "MR008", 1, 4),
        ("*a : b\n", "MR008", 1, 1),
        ("ü: *\n", "MR008", 1, 5),
        ("ü: 1000000000000000000\n", "MR009", 1, 4),
        ("ü: -1000000000000000000\n", "MR009", 1, 4),
        ("ü: 0xde0b6b3a7640000\n", "MR009", 1, 4),
        ("ü: " + "9" * 5000, "MR009", 1, 4),
        ("ü: .inf\n", "MR009", 1, 4),
        ("ü: -.Inf\n", "MR009", 1, 4),
        ("ü: .NaN\n", "MR009", 1, 4),
        ("ü: 1e400\n", "MR009", 1, 4),
        ("[" * 33 + "]" * 33, "MR010", 1, 33),
        ("- " * 33 + "a", "MR010", 1, 65),
        ("a: b\n---\nc: d\n", "MR011", 2, 1),
        ("a: b\n...\n---\n", "MR011", 3, 1),
    ],
)
def test_what_a_policy_may_not_hold_is_refused_where_it_stands(
    text: str, code: str, line: int, column: int
) -> None:
    source = read(text)
    problem = only(source)
    assert source.data is None
    assert (problem.code, problem.line, problem.column) == (code, line, column)
    assert problem.severity == "error"
    assert problem.hint


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("escape", ["\\ud800", "\\U00110000", "\\Uffffffff"])
def test_an_escape_that_stands_for_no_character_is_refused(escape: str) -> None:
    source = read(f'a: "{escape}"\n')
    assert (source.data, codes(source)) == (None, ["MR000"])


def test_several_mistakes_are_found_in_one_pass() -> None:
    source = read("a: 1\na: 2\nb: !x y\nc:\n  <<: {}\n? [d]\n: e\n~: f\ng: *h\n")
    assert codes(source) == ["MR003", "MR007", "MR004", "MR005", "MR005", "MR008"]


def test_a_refused_key_takes_nothing_but_its_own_value_with_it() -> None:
    source = read("<<: {a: {b: [c]}}\nlast: 1\n")
    assert codes(source) == ["MR004"]
    assert source.position(("last",)) == (2, 7)


def test_the_list_of_mistakes_ends_at_a_hundred() -> None:
    assert len(read("a: 1\n" * 5000).problems) == 100


def test_messages_show_no_more_than_forty_characters_of_the_file() -> None:
    long = "k" * 500
    for text in (f"{long}: 1\n{long}: 2\n", f"!{long} a", f"&{long} a", f"*{long}", "0" * 500):
        assert len(only(read(text)).message) < 100


def test_a_duplicate_key_cannot_forge_lines_of_the_report() -> None:
    problem = only(read('{"a\\nb": 1, "a\\nb": 2}'))
    assert problem.message == r"duplicate key 'a\nb' (first at line 1)"


# ---------------------------------------------------------------------- limits


def test_the_limits_are_exact() -> None:
    largest = "a: " + "ü" * 524_286 + "b"
    assert len(largest.encode()) == 1_048_576
    assert read(largest).problems == ()
    assert codes(read(largest + "c")) == ["MR001"]
    assert read("[" * 32 + "]" * 32).problems == ()
    assert read("[" + "a," * 49_999 + "]").problems == ()
    assert codes(read("[" + "a," * 50_000 + "]")) == ["MR002"]


@needs_libyaml
@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "{",
        "{a: ",
        "- ",
        "? ",
        "[a: ",
        '{"a":',
        "a",
        "'",
        "!",
        "*",
        "&a ",
        "a: 1\n",
        "a,",
        "no,",
        "-\n",
        "\t",
        "#\n",
        "%TAG !a! x\n",
        "---\n",
        "~\n",
        "?\n",
        "1",
        "1_",
        ":1",
        "0",
        "\n",
        "a\n",
    ],
)
@pytest.mark.parametrize("prefix", ["", "[", "a: |\n", '"', "1"])
def test_a_mebibyte_of_anything_is_read_or_refused_quickly(prefix: str, unit: str) -> None:
    text = (prefix + unit * (1_048_576 // len(unit)))[:1_048_576]
    start = time.process_time()
    read(text)
    assert time.process_time() - start < 3


# ----------------------------------------------------------------------- files


def test_a_file_that_cannot_be_read_is_a_problem_not_an_exception(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, message in [
        ("missing.yaml", "no such file"),
        ("", "a directory or a device, not a file"),
        ("pipe", "a directory or a device, not a file"),
        ("a\0b", "no such file"),
        ("a" * 5000, "the file cannot be read"),
    ]:
        problem = only(read_file(tmp_path / name, shown_as="p.yaml"))
        assert (problem.code, problem.file, problem.message) == ("MR000", "p.yaml", message)
        assert problem.hint
    assert codes(read_file(tmp_path / "loop")) == ["MR000"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_problem_not_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("a: 1\n", encoding="utf-8")
    path.chmod(0)
    assert only(read_file(path)).message == "the file cannot be read"


def test_a_file_that_is_not_text_is_refused_at_its_first_strange_byte(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes("\ufeffü: 1\nü: ".encode() + b"\xff\xfe")
    problem = only(read_file(path))
    assert (problem.code, problem.line, problem.column) == ("MR000", 2, 4)
    assert problem.message == "not UTF-8 text"
    assert problem.file == str(path)


def test_a_large_file_is_refused_even_if_it_is_cut_inside_a_character(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    for content in ("\ufeff" + "ü" * 1_000_000, "a" * 1_048_577, "\ufeff" + "a" * 1_048_574):
        path.write_text(content, encoding="utf-8")
        assert codes(read_file(path)) == ["MR001"]


def test_a_file_reads_like_its_text(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY, encoding="utf-8")
    from_file, from_text = read_file(path, shown_as="p.yaml"), read(POLICY)
    assert from_file == from_text
    assert from_file.position(("last",)) == from_text.position(("last",))


# ------------------------------------------------------------------ properties

pieces = st.sampled_from(
    [
        "a",
        "b: ",
        "- ",
        "? ",
        ": ",
        "\n",
        "\n  ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "'",
        '"',
        "|\n",
        ">-\n",
        "&x ",
        "*x",
        "<<: ",
        "!t ",
        "!!str ",
        "---\n",
        "...\n",
        "#c\n",
        "~",
        "012",
        "no",
        "1e999",
        "\t",
        "\r",
        "\\u",
        "ü",
        "😀",
        "\x00",
        "�",
        "\u2028",
        "%",
        "@",
        "0x",
        ".inf",
        "\ufeff",
    ]
)
broken = st.one_of(st.text(), st.lists(pieces, max_size=40).map("".join))


# PyYAML writes these strings without quotes, because to YAML 1.1 they are no numbers.
NUMBERS_SINCE_1_2 = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+")

words = (
    st.text()
    | st.text("0123456789xoeE+-_.:", max_size=6)
    | st.sampled_from(["no", "y", "<<", "=", "~", "null", "TRUE", "012", ".inf", "*", "2026-11-22"])
).filter(lambda text: not NUMBERS_SINCE_1_2.fullmatch(text))
scalars = st.none() | st.booleans() | st.integers(1 - 10**18, 10**18 - 1) | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=25
)


class Dumper(yaml.SafeDumper):
    """Writes equal lists out instead of as anchor and alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@given(broken)
def test_any_text_gives_data_or_errors_and_never_an_exception(text: str) -> None:
    source = read(text)
    failed = any(problem.severity == "error" for problem in source.problems)
    assert failed == (source.data is None)
    lines = text.splitlines() or [""]
    for problem in source.problems:
        assert 1 <= problem.line <= len(lines) + 1
        assert problem.column >= 1


@given(st.binary())
def test_any_bytes_give_data_or_errors_and_never_an_exception(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    source = read(text)
    assert source.problems or source.data is not None


@given(data=values, flow=st.booleans(), unicode=st.booleans())
def test_what_yaml_writes_is_read_back(data: object, *, flow: bool, unicode: bool) -> None:
    assume(data is not None)
    text = yaml.dump(
        data, Dumper=Dumper, default_flow_style=flow, allow_unicode=unicode, sort_keys=False
    )
    source = read(text)
    assume("MR010" not in codes(source))
    if any(problem.code == "MR000" and "U+" in problem.message for problem in source.problems):
        assert unicode  # PyYAML writes U+2028 as it is only then
        return
    assert source.data == data
    assert repr(source.data) == repr(data)  # 1 is not True


names = st.text("aäß😀-", min_size=1, max_size=5)
trees = st.recursive(
    st.just("leaf"),
    lambda inner: st.dictionaries(names, inner, min_size=1) | st.lists(inner, min_size=1),
    max_leaves=20,
)


@given(data=trees, flow=st.booleans())
def test_positions_point_at_the_text_of_keys_and_values(data: object, *, flow: bool) -> None:
    text = yaml.dump(data, Dumper=Dumper, default_flow_style=flow, allow_unicode=True)
    source = read(text)
    assume(not source.problems)
    lines = text.split("\n")
    waiting: list[tuple[DataPath, object]] = [((), source.data)]
    while waiting:
        path, value = waiting.pop()
        line, column = source.position(path)
        rest = lines[line - 1][column - 1 :]
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items()]
            first = source.position((*path, next(iter(value))), key=True)
            assert rest.startswith("{") or (line, column) == first
        elif isinstance(value, list):
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]
            assert rest[0] in "[-"
        else:
            assert rest.startswith("leaf")
        if path and isinstance(path[-1], str):
            line, column = source.position(path, key=True)
            assert lines[line - 1][column - 1 :].lstrip("'\"").startswith(path[-1])
