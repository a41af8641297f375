"""Stacks of layers out of one random policy, written as files and loaded."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import yaml

from modelrouter.asking import day_of, request_from, snapshot_from
from modelrouter.decide import decide
from modelrouter.decision import Decision
from modelrouter.documents import Reading
from modelrouter.engine.compiled import compile_bundle
from modelrouter.lineage import lineage
from modelrouter.loader import Loaded, bundle_of, load_layer
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.suite import AskedRequest
from modelrouter.yamlsource import read_file
from tests.strategies import _Dumper

__all__ = ["TODAY", "composed", "decided", "split", "used_facts", "write"]

Json = dict[str, Any]
TODAY = datetime.date(2026, 11, 23)
HEAD: Json = {"apiVersion": "modelrouter/v1", "kind": "Policy"}


def write(folder: Path, layers: Sequence[Json]) -> Path:
    """Write layers, the uppermost first, and return the file of the lowest."""
    above: Path | None = None
    for number, layer in enumerate(layers):
        file = folder / f"layer-{number}.yaml"
        extends = {} if above is None else {"extends": above.name}
        document = {**HEAD, "metadata": {"name": f"layer-{number}"}, **extends, **layer}
        file.write_text(yaml.dump(document, Dumper=_Dumper, sort_keys=False), encoding="utf-8")
        above = file
    assert above is not None
    return above


def composed(file: Path) -> Bundle:
    """Load layers without asking whether a permit or a budget widens."""
    reading = Reading(shown=str(file))
    drafts = lineage(reading, read_file(file), file)
    assert drafts is not None, reading.findings.problems
    layers: list[Loaded] = []
    for draft in drafts:
        layers.append(load_layer(reading, draft, layers[-1].stack if layers else None))
    assert not reading.findings.failed, reading.findings.problems
    return bundle_of(reading, layers)


def decided(bundle: Bundle, request: Json) -> Decision:
    """Decide one request."""
    asked = AskedRequest.model_validate(request)
    engine = compile_bundle(bundle, day_of(asked.given, TODAY))
    return decide(request_from(asked, engine), snapshot_from(asked.given, engine))


def used_facts(part: Any) -> set[str]:
    """Return the facts that a clause reads or counts by."""
    if isinstance(part, list):
        return {name for item in part for name in used_facts(item)}
    if not isinstance(part, dict):
        return set()
    own = {*part.get("facts", {}), *part.get("scope", [])}
    return own.union(*(used_facts(value) for value in part.values()))


def split(policy: Json, catalogue: list[Json], count: int, chance: Random) -> list[Json]:
    """Split a policy over layers: vocabulary at the top, clauses anywhere, preferences below.

    A fact stands in the highest layer that reads it, or in the lowest.
    """
    shared: Json = {
        key: policy[key] for key in ("labels", "tasks", "sets", "defaults") if key in policy
    }
    layers: list[Json] = [{} for _ in range(count)]
    layers[0] = {**shared, "models": catalogue}
    for section in ("rules", "budgets"):
        for part in policy.get(section) or []:
            # What reads a budget stands below it.
            place = count - 1 if "budget" in part.get("when", {}) else chance.randrange(count)
            layers[place].setdefault(section, []).append(part)
    layers[-1]["objectives"] = policy.get("objectives") or []
    known: set[str] = set()
    for layer in layers:
        wanted = used_facts(layer) if layer is not layers[-1] else set(policy.get("facts") or {})
        new = [name for name in policy.get("facts") or {} if name in wanted - known]
        layer["facts"] = {name: policy["facts"][name] for name in new}
        known |= {*new}
    return layers
