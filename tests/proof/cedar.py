"""The guard as Cedar policies, for calls of which everything is known.

Cedar denies by default and lets a forbid win, as the guard does. A call is the context, a model
the resource. What a catalogue entry does not say is an attribute that the entity lacks, so that
every comparison comes in two forms: certainly true, and possibly true.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import cedarpy

__all__ = ["Json", "allowed", "context", "entities", "policies"]

Json = dict[str, Any]
EVERY = "principal, action, resource"


def quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def both(parts: Iterable[str]) -> str:
    return " && ".join(f"({part})" for part in parts) or "true"


def either(parts: Iterable[str]) -> str:
    return " || ".join(f"({part})" for part in parts) or "false"


def scalar(name: str, wanted: Any) -> str:
    """Compare a value that is there."""
    if not isinstance(wanted, dict):
        return either(f"{name} == {quoted(one)}" for one in as_list(wanted))
    parts = []
    for key, bound in wanted.items():
        if key == "prefix":
            parts.append(f'{name} like "{bound}*"')
            continue
        exact = Fraction(str(bound))
        whole = {
            "at_least": (">=", math.ceil(exact)),
            "at_most": ("<=", math.floor(exact)),
            "above": (">", math.floor(exact)),
            "below": ("<", math.ceil(exact)),
        }
        sign, number = whole[key]
        parts.append(f"{name} {sign} {number}")
    return both(parts)


def numeric(name: str, wanted: Any) -> str:
    """Compare a number; Cedar has whole ones only."""
    if isinstance(wanted, dict):
        return scalar(name, wanted)
    found = [Fraction(str(one)) for one in as_list(wanted)]
    return either(f"{name} == {one}" for one in found if one.denominator == 1)


def members(name: str, wanted: Any) -> str:
    parts = []
    for how, names in (wanted if isinstance(wanted, dict) else {"any": wanted}).items():
        listed = quoted(as_list(names))
        parts.append(
            {
                "any": f"{name}.containsAny({listed})",
                "all": f"{name}.containsAll({listed})",
                "none": f"!({name}.containsAny({listed}))",
            }[how]
        )
    return both(parts)


def when(clause: Json | None, levels: list[str]) -> str:
    """Return a `when` of which everything is known."""
    parts = []
    for key, wanted in (clause or {}).items():
        if key == "level":
            if isinstance(wanted, dict):
                places = {side: levels.index(name) for side, name in wanted.items()}
                parts.append(scalar("context.level", places))
            else:
                parts.append(scalar("context.level", [levels.index(n) for n in as_list(wanted)]))
        elif key in ("categories", "needs"):
            parts.append(members(f"context.{key}", wanted))
        elif key == "task":
            parts.append(scalar("context.task", wanted))
        elif key == "tokens":
            parts.append(numeric("context.tokens", wanted))
        else:
            assert key == "facts", key
            parts += [scalar(f"context.facts.{name}", one) for name, one in wanted.items()]
    return both(parts)


def models(matcher: Any, sets: Json, *, certain: bool) -> str:
    """Return where a model matcher is certainly true, or where it possibly is."""
    if matcher is None or matcher == "all":
        return "true"
    parts = []
    for key, wanted in matcher.items():
        if key == "not":
            parts.append(f"!({models(wanted, sets, certain=not certain)})")
        elif key == "set":
            parts.append(either(models(sets[n], sets, certain=certain) for n in as_list(wanted)))
        else:
            parts.append(attribute(key, wanted, certain=certain))
    return both(parts)


def attribute(key: str, wanted: Any, *, certain: bool) -> str:
    name = f"resource.{key}"
    if key in ("tags", "capabilities", "agreements"):
        fits = members(name, wanted)
    elif key == "retention_days":
        fits = numeric(name, wanted)
    else:
        fits = scalar(name, wanted)
    has = f"resource has {key}"
    return f"({has}) && ({fits})" if certain else f"!({has}) || ({fits})"


def policies(policy: Json, levels: list[str], at: datetime.date) -> str:
    """Return the guard of a policy."""
    sets: Json = policy.get("sets") or {}
    lowest = (policy.get("defaults") or {}).get("default_deny_from", levels[-1])
    found = [
        f"permit({EVERY}) when {{ context.level < {levels.index(lowest)} }};",
        f"forbid({EVERY}) when {{ resource.retired }};",
    ]
    for rule in policy.get("rules") or []:
        if rule.get("strength") == "advisory":
            continue
        condition = when(rule.get("when"), levels)
        certain = models(rule.get("models"), sets, certain=True)
        if rule["effect"] == "forbid":
            possible = models(rule.get("models"), sets, certain=False)
            found.append(f"forbid({EVERY}) when {{ {both([condition, possible])} }};")
        elif rule["effect"] == "require":
            found.append(f"forbid({EVERY}) when {{ {condition} }} unless {{ {certain} }};")
        elif rule["effect"] == "permit" and not past(rule, at):
            found.append(f"permit({EVERY}) when {{ {both([condition, certain])} }};")
    return "\n".join(found)


def past(block: Json, at: datetime.date) -> bool:
    return "expires" in block and datetime.date.fromisoformat(str(block["expires"])) < at


def entities(catalogue: list[Json], at: datetime.date) -> list[Json]:
    """Return the models with what the catalogue says of them on that day."""
    found = []
    for model in catalogue:
        own = {} if past(model, at) else model
        data = model.get("data") or {}
        fresh = {} if past(data, at) else data
        keys = ("hosting", "weights", "operator", "region", "licence")
        attributes = {"id": model["id"]} | {key: own[key] for key in keys if key in own}
        keys = ("retention_days", "trains_on_data")
        attributes |= {key: fresh[key] for key in keys if key in fresh}
        if own:
            attributes |= {key: as_list(own.get(key)) for key in ("tags", "capabilities")}
        if not past(data, at):
            attributes["agreements"] = as_list(data.get("agreements"))
        retires = model.get("retires")
        gone = retires is not None and datetime.date.fromisoformat(str(retires)) <= at
        attributes["retired"] = gone
        uid = {"type": "Model", "id": model["id"]}
        found.append({"uid": uid, "attrs": attributes, "parents": []})
    return found


def context(
    *, level: int, categories: Iterable[str], task: str, needs: Iterable[str], tokens: int, facts: Json
) -> Json:
    """Return a call as Cedar sees it."""
    return {
        "level": level,
        "categories": sorted(categories),
        "task": task,
        "needs": sorted(needs),
        "tokens": tokens,
        "facts": facts,
    }


def allowed(text: str, known: list[Json], calls: list[Json]) -> list[frozenset[str]]:
    """Return for each call the models that Cedar allows.

    Raises:
        ValueError: A policy could not be evaluated.
    """
    ids = [one["uid"]["id"] for one in known]
    requests = [
        {
            "principal": {"type": "Caller", "id": "anyone"},
            "action": {"type": "Action", "id": "send"},
            "resource": {"type": "Model", "id": name},
            "context": call,
        }
        for call in calls
        for name in ids
    ]
    answers = cedarpy.is_authorized_batch(requests, text, known)
    for answer in answers:
        if answer.diagnostics.errors:
            raise ValueError(answer.diagnostics.errors)
    found = []
    for place in range(len(calls)):
        part = answers[place * len(ids) : (place + 1) * len(ids)]
        found.append(frozenset(n for n, a in zip(ids, part, strict=True) if a.allowed))
    return found
