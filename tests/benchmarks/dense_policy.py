"""A policy of many rules that overlap in every way, as YAML text: the worst that proofs meet."""

from __future__ import annotations

import json
import random
from typing import Any

__all__ = ["dense_policy"]

LEVELS = ("public", "internal", "confidential", "restricted")
CATEGORIES = tuple(f"c{number}" for number in range(12))
TASKS = tuple(f"t{number}" for number in range(15))
REGIONS = tuple(f"r{number}" for number in range(12))
OPERATORS = tuple(f"o{number}" for number in range(12))
TAGS = tuple(f"g{number}" for number in range(10))
EFFECTS = {"forbid": 50, "require": 4, "permit": 20, "floor": 10, "obligate": 10}


def dense_policy(*, rules: int, models: int, seed: int) -> str:
    """Return a policy of 12 categories, 15 tasks and two facts, the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - nothing secret
    lines = ["apiVersion: modelrouter/v1", "kind: Policy"]
    document: dict[str, Any] = {
        "labels": {"categories": {name: {"at_least": dice.choice(LEVELS)} for name in CATEGORIES}},
        "tasks": list(TASKS),
        "facts": {
            "purpose": {
                "type": "enum",
                "values": ["a", "b", "c", "d"],
                "source": "host",
                "required": True,
            },
            "tenant": {"type": "string", "source": "auth", "required": True},
        },
    }
    lines += [f"{name}: {json.dumps(value)}" for name, value in document.items()]
    lines += ["models:", *(f"  - {json.dumps(model(place, dice))}" for place in range(models))]
    lines += ["rules:", *(f"  - {json.dumps(rule(place, dice))}" for place in range(rules))]
    return "\n".join(lines) + "\n"


def model(place: int, dice: random.Random) -> dict[str, Any]:
    """Return one model."""
    return {
        "id": f"m{place}",
        "weights": dice.choice(["open", "closed"]),
        "hosting": dice.choice(["self_hosted", "private_cloud", "vendor_api"]),
        "region": dice.choice(REGIONS),
        "operator": dice.choice(OPERATORS),
        "tags": dice.sample(TAGS, 2),
        "data": {"retention_days": dice.choice([0, 30])},
        "context_window": 100_000,
        "price": {"input": 1, "output": 1},
        "quality": 0.8,
    }


def rule(place: int, dice: random.Random) -> dict[str, Any]:
    """Return one rule; most name a category, a task or a fact."""
    when: dict[str, Any] = {}
    if dice.random() < 0.5:
        kind = dice.choice(["any", "all", "none"])
        when["categories"] = {kind: dice.sample(CATEGORIES, dice.choice([1, 1, 2]))}
    if dice.random() < 0.4:
        when["level"] = {"at_least": dice.choice(LEVELS)}
    if dice.random() < 0.4:
        when["task"] = dice.sample(TASKS, dice.choice([1, 2, 3]))
    if dice.random() < 0.4:
        when["facts"] = {"purpose": dice.choice("abcd")}
    elif dice.random() < 0.2 or not when:
        when["facts"] = {"tenant": f"x{dice.randrange(20)}"}
    effect = dice.choices(list(EFFECTS), list(EFFECTS.values()))[0]
    models: dict[str, Any] = dice.choice(
        [
            {"region": dice.choice(REGIONS)},
            {"operator": dice.choice(OPERATORS)},
            {"tags": [dice.choice(TAGS)]},
            {"hosting": "vendor_api", "weights": "closed"},
            {"not": {"operator": dice.sample(OPERATORS, 8)}},
        ]
    )
    if effect == "require":
        models = {"region": dice.sample(REGIONS, 9)}
    found = {"id": f"rule-{place}", "effect": effect, "when": when, "models": models}
    if effect == "floor":
        found["set"] = {"min_quality": 0.7}
    if effect == "obligate":
        found["do"] = {"trace": "none"}
    return found
