"""What checking a policy costs, beside reading it.

Run with `pytest -m benchmark -s tests/benchmarks`. Figures are printed and never gate:
machines are noisy. The yardstick is measured in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelrouter.lint import lint
from modelrouter.loader import load
from tests.benchmarks.sized_policy import DAY, engine_of

pytestmark = pytest.mark.benchmark
POLICIES = Path(__file__).parents[2] / "policies"


def milliseconds(work: Callable[[], object], *, rounds: int = 15) -> float:
    """Return the median CPU time of `work` in milliseconds."""
    found: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append((time.process_time() - started) * 1000)
    return statistics.median(found)


@pytest.mark.parametrize("name", ["bank", "hospital", "quickstart", "startup"])
def test_a_shipped_policy_is_checked_in_a_tenth_of_a_second(name: str) -> None:
    bundle = load(POLICIES / name, at=DAY)
    reading = milliseconds(lambda: load(POLICIES / name, at=DAY))
    linting = milliseconds(lambda: lint(bundle, DAY))
    print(  # noqa: T201 - figures for people
        f"\n{name}: load {reading:.1f} ms + lint {linting:.1f} ms "
        f"= {reading + linting:.1f} ms (aim 100)"
    )
    # What is measured is the whole look, not one that gave up or found the policy broken.
    assert {part.severity for part in lint(bundle, DAY)} <= {"info"}
    assert "MR299" not in {part.code for part in lint(bundle, DAY)}


@pytest.mark.parametrize(("rules", "models"), [(20, 12), (200, 50), (300, 100)])
def test_a_large_policy_is_checked_in_time(rules: int, models: int) -> None:
    bundle = engine_of(rules, models).bundle
    linting = milliseconds(lambda: lint(bundle, DAY), rounds=3)
    found = {part.code for part in lint(bundle, DAY)}
    decided = "decided" if "MR299" not in found else "given up"
    print(f"\n{rules} rules x {models} models: lint {linting:.1f} ms, {decided}")  # noqa: T201
    assert found, "a policy in which nothing is found measures nothing"
