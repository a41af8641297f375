"""What it costs to load a policy, to compile it and to prove its claims.

Run with `pytest -m benchmark -s tests/benchmarks`. Figures are printed and never gate:
machines are noisy. Aims: load of 300 rules x 100 models 200 ms, each proof 200 ms; each proof
of a shipped policy 50 ms.
"""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from modelrouter.engine.compiled import compile_bundle
from modelrouter.loader import load, load_text
from modelrouter.policy.suite import Property
from modelrouter.proof.proving import Claims, prove_all
from tests.benchmarks.dense_policy import dense_policy

pytestmark = pytest.mark.benchmark
DAY = datetime.date(2026, 11, 23)
POLICIES = Path(__file__).parents[2] / "policies"
CLAIMS = (
    {"id": "nothing-with-c0", "when": {"categories": {"any": ["c0"]}}, "never_sent": {"=": True}},
    {"id": "nobody-there", "never_sent": {"operator": "nobody"}, "over": "any"},
    {"id": "closed", "when": {"level": "restricted"}, "never_sent": {"weights": "closed"}},
    {
        "id": "closed-anywhere",
        "when": {"level": "restricted"},
        "never_sent": {"weights": "closed"},
        "over": "any",
    },
    {"id": "served", "when": {"task": "t1"}, "always_served": True},
)


def milliseconds(work: Callable[[], object], *, rounds: int = 5) -> float:
    """Return the median CPU time of `work` in milliseconds."""
    found: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append((time.process_time() - started) * 1e3)
    return statistics.median(found)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_large_policy_loads_and_is_proved_in_moments(seed: int) -> None:
    text = dense_policy(rules=300, models=100, seed=seed)
    bundle = load_text(text)
    loading = milliseconds(lambda: load_text(text))
    yardstick = milliseconds(lambda: yaml.load(text, Loader=yaml.CSafeLoader), rounds=3)
    compiling = milliseconds(lambda: compile_bundle(bundle, DAY))
    print(  # noqa: T201 - figures for people
        f"\n300 rules x 100 models, seed {seed}: load {loading:.0f} ms (aim 200), "
        f"{loading / yardstick:.1f} times PyYAML's plain reading; compile {compiling:.0f} ms"
    )
    claims = Claims(compile_bundle(bundle, DAY))
    for stated in CLAIMS:
        claim = Property.model_validate(stated)
        proof = claims.prove(claim)
        taken = milliseconds(partial(claims.prove, claim), rounds=3)
        print(f"  {claim.id:<16} {proof.outcome:<8} {taken:6.1f} ms (aim 200)")  # noqa: T201
        assert proof.outcome != "unknown"


@pytest.mark.parametrize("name", ["quickstart", "startup", "bank", "hospital"])
def test_a_shipped_policy_is_proved_in_milliseconds(name: str) -> None:
    bundle = load(POLICIES / name)
    loading = milliseconds(lambda: load(POLICIES / name))
    every = [proof for _, _, proof in prove_all(bundle, at=DAY)]
    taken = milliseconds(lambda: list(prove_all(bundle, at=DAY)))
    print(  # noqa: T201 - figures for people
        f"\n{name}: load {loading:.1f} ms, {len(every)} proofs in {taken:.1f} ms (aim 50 ms each)"
    )
    assert all(proof.holds for proof in every)
