"""A test to paste is read as what was meant, whatever the texts and numbers in it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from modelrouter.cli.pasting import flow, plain_number
from modelrouter.yamlsource import read_text

TEXTS = [
    "plain", "home/one", "v1.5", "a-b_c", "yes", "No", "ON", "null", "True", "y", "~", "", " ",
    "1", "1e5", "0x1f", "2026-11-23", "*", "*/a", "@me", "a: b", "a #b", "- a", "{a}", "[a], b",
    "it's", 'a "b" \\ c', "`rule`", "line\nbreak", "tab\t", "bell\x07", "nel\x85", "\u2028", "é",
    "日本", "\U0001f600", "trailing.", "50%", "a:b", "=",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stays_that_text_as_value_as_item_and_as_key(text: str) -> None:
    written = flow({"value": text, "items": [text, "x"], "k" + text: True})
    source = read_text(f"found: {written}", file="test.yaml")
    assert source.data == {"found": {"value": text, "items": [text, "x"], "k" + text: True}}


def test_what_needs_no_quotes_has_none() -> None:
    assert flow({"level": "low", "models": ["home/one"]}) == "{level: low, models: [home/one]}"


@pytest.mark.parametrize(
    ("number", "text"),
    [("89.998500000000", "89.9985"), ("100", "100"), ("100.00", "100"), ("0.000000000001",) * 2,
     ("1E+3", "1000"), ("0", "0"), ("0.0", "0"), ("123456789.123456789012",) * 2],
)  # fmt: skip
def test_an_amount_is_exact_and_has_no_exponent(number: str, text: str) -> None:
    assert plain_number(Decimal(number)) == text


def test_numbers_and_truths_stay_what_they_are() -> None:
    assert flow({"a": [1, 0.0000001, True, False]}) == "{a: [1, 0.0000001, true, false]}"
