"""A policy of any size, shaped like the shipped ones: guardrails, floors, obligations, budgets."""

from __future__ import annotations

import datetime
from typing import Any

import yaml

from modelrouter.decide import Snapshot
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.labels import Label
from modelrouter.loader import load_text
from modelrouter.values import PICO_PER_USD, Request

__all__ = ["DAY", "engine_of", "request", "snapshot_of"]

DAY = datetime.date(2026, 11, 23)
EFFECTS = ("forbid", "require", "forbid", "floor", "obligate")
TASKS = ("summary", "letter", "code", "chat", "other")


def model(number: int) -> dict[str, Any]:
    """Return one catalogue entry; two in three run in the house."""
    inside = number % 3 != 0
    return {
        "id": f"m/{number:02}",
        "weights": "open" if inside else "closed",
        "hosting": "self_hosted" if inside else "vendor_api",
        "region": ("eu-west", "eu-central", "us-east")[number % 3],
        "operator": f"operator-{number % 5}",
        "data": {"retention_days": 0 if inside else 30 * (number % 2), "agreements": ["dpa"]},
        "capabilities": ["tools", "json_schema"],
        "context_window": 32_768,
        "max_output": 4096,
        "price": {"input": round(0.1 + number / 100, 3), "output": round(0.2 + number / 50, 3)},
        "latency": {"ttft_ms_p95": 300 + number},
        "quality": {
            "*": {"score": 0.8, "lower": 0.78},
            "chat": {"score": 0.8, "lower": round(0.75 + number / 500, 3)},
        },
    }


def rule(number: int) -> dict[str, Any]:
    """Return one rule; about a third of them match the request."""
    effect = EFFECTS[number % len(EFFECTS)]
    when: dict[str, Any] = (
        {"categories": {"any": ["phi"]}},
        {"level": {"at_least": "internal"}},
        {"task": [TASKS[number % 4]], "facts": {"purpose": ("care", "admin")[number % 2]}},
    )[number % 3]
    found: dict[str, Any] = {"id": f"rule-{number:03}", "effect": effect, "when": when}
    if effect == "forbid":
        found["models"] = {"operator": f"operator-{number % 5}", "hosting": "vendor_api"}
    elif effect == "require":
        found["models"] = {"region": {"prefix": "eu-"}}
    elif effect == "floor":
        found["set"] = {"min_quality": 0.5}
    else:
        found["do"] = {"trace": "hash"}
    return found


def engine_of(rules: int, models: int, *, rollout: dict[str, Any] | None = None) -> Engine:
    """Return a compiled policy with so many rules and models, and perhaps a rollout."""
    objective: dict[str, Any] = {"id": "cheapest", "order": [{"minimise": "cost"}]}
    document: dict[str, Any] = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": f"sized-{rules}-{models}", "version": "1"},
        "labels": "standard",
        "tasks": list(TASKS),
        "facts": {
            "purpose": {"type": "enum", "values": ["care", "admin"], "source": "host"},
            "tenant": {"type": "string", "source": "auth", "default": "north"},
        },
        "models": [model(number) for number in range(models)],
        "rules": [rule(number) for number in range(rules)],
        "budgets": [
            {"id": "month", "period": "month", "limit_usd": 100, "on_exceed": "degrade",
             "models": {"hosting": "vendor_api"}},
            {"id": "call", "period": "call", "limit_usd": 1},
        ],
        "objectives": [objective | ({"rollout": rollout} if rollout else {})],
    }  # fmt: skip
    return compile_bundle(load_text(yaml.safe_dump(document, sort_keys=False)), DAY)


def request() -> Request:
    """Return a labelled chat call."""
    return Request(
        declared=Label(level="internal"),
        task="chat",
        tokens=1200,
        max_output=400,
        facts={"purpose": "admin"},
    )


def snapshot_of(engine: Engine) -> Snapshot:
    """Return a snapshot in which some of the month's money is gone."""
    return Snapshot(engine=engine, spent={"month": 10 * PICO_PER_USD})
