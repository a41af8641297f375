"""Requests and the state of the world as JSON states them, turned into engine values."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from modelrouter.decide import Snapshot
from modelrouter.engine.clauses import Engine
from modelrouter.labels import Label
from modelrouter.policy.suite import AskedRequest, Given
from modelrouter.values import Request, pico_of

__all__ = ["day_of", "merged", "request_from", "snapshot_from", "unknown_given"]


def request_from(asked: AskedRequest, engine: Engine) -> Request:
    """Return what the engine decides on; what is not stated takes the test defaults."""
    labelled = asked.level is not None or bool(asked.categories)
    level = engine.scheme.lowest if asked.level is None else asked.level
    return Request(
        declared=Label(level=level, categories=frozenset(asked.categories)) if labelled else None,
        task=asked.task,
        needs=frozenset(asked.needs),
        tokens=asked.tokens,
        max_output=asked.max_output,
        facts=asked.facts,
        stream=asked.stream,
    )


def snapshot_from(given: Given, engine: Engine) -> Snapshot:
    """Return the snapshot that `given` describes."""
    units = {clause.budget.id: clause.unit for clause in engine.meters}
    spent = {
        name: pico_of(amount) if units.get(name) == "usd" else int(amount)
        for name, amount in given.budgets.items()
    }
    return Snapshot(
        engine=engine,
        spent=spent,
        down=frozenset(name for name, state in given.health.items() if state == "down"),
    )


def merged(first: Given, second: Given) -> Given:
    """Return both states of the world in one; the second wins."""
    return Given(
        budgets={**first.budgets, **second.budgets},
        health={**first.health, **second.health},
        at=second.at or first.at,
    )


def day_of(given: Given, otherwise: datetime.date) -> datetime.date:
    """Return the day a request is decided on."""
    return given.at or otherwise


def unknown_given(given: Given, engine: Engine) -> Mapping[str, str]:
    """Return budgets and models that `given` names and the policy does not know."""
    words = engine.bundle.words
    found = {name: "budget" for name in given.budgets if name not in words.budgets}
    return found | {name: "model" for name in given.health if name not in words.models}
