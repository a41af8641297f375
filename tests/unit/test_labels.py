"""Closing a label: what a category implies holds of an unknown one as far as it may apply."""

from __future__ import annotations

import datetime
import json

import pytest

from modelrouter.decide import Snapshot, decide
from modelrouter.engine.compiled import compile_bundle
from modelrouter.errors import CallError
from modelrouter.labels import Category, Label, LabelScheme
from modelrouter.loader import load_text
from modelrouter.values import Request

SCHEME = LabelScheme(
    levels=("low", "middle", "high"),
    categories={
        "name": Category(at_least="low"),
        "person": Category(at_least="middle", includes=frozenset({"name"})),
        "patient": Category(at_least="high", includes=frozenset({"person"})),
        "draft": Category(at_least="low"),
    },
)


def names(*wanted: str) -> frozenset[str]:
    return frozenset(wanted)


def test_what_an_unknown_category_includes_is_at_least_unknown() -> None:
    found = SCHEME.close(Label(level="low", unknown=names("patient")))
    assert found == Label(level="high", unknown=names("patient", "person", "name"))


def test_what_is_known_is_not_unknown_too() -> None:
    found = SCHEME.close(
        Label(level="low", categories=names("person"), unknown=names("patient", "draft"))
    )
    assert found.categories == {"person", "name"}
    assert found.unknown == {"patient", "draft"}
    assert found.level == "high"


def test_what_is_unknown_in_one_label_and_known_in_another_is_known() -> None:
    found = SCHEME.join(
        Label(level="low", unknown=names("person")), Label(level="low", categories=names("name"))
    )
    assert found.level == "middle"
    assert (found.categories, found.unknown) == (names("name"), names("person"))


@pytest.mark.parametrize(
    ("part", "unknown"),
    [
        (Label(level="cosmic"), "cosmic"),
        (Label(level="public", categories=names("gossip")), "gossip"),
        (Label(level="public", unknown=names("gossip")), "gossip"),
    ],
)
def test_a_label_that_joins_the_declared_one_speaks_the_words_of_the_policy(
    part: Label, unknown: str
) -> None:
    document = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "models": [{"id": "a", "weights": "open", "hosting": "self_hosted", "quality": 0.8}],
    }
    engine = compile_bundle(load_text(json.dumps(document)), datetime.date(2026, 11, 23))
    asked = Request(declared=Label(level="public"), evidence=(part,))
    with pytest.raises(CallError, match=f"`{unknown}`"):
        decide(asked, Snapshot(engine=engine))
