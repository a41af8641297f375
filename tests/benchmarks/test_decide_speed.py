"""What a decision costs, beside pydantic's validation of the same request.

Run with `pytest -m benchmark -s tests/benchmarks`. Figures are printed and never gate:
machines are noisy. The yardstick is measured in the same run.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import pytest

from modelrouter.decide import decide
from modelrouter.engine.guard import guard
from modelrouter.engine.subject import read_request
from modelrouter.policy.suite import AskedRequest
from tests.benchmarks.sized_policy import engine_of, request, snapshot_of

pytestmark = pytest.mark.benchmark
ASKED = json.loads(
    '{"level": "internal", "task": "chat", "tokens": 1200, "max_output": 400, '
    '"needs": [], "facts": {"purpose": "admin"}}'
)


def microseconds(work: Callable[[], object], *, rounds: int = 25, each: int = 200) -> float:
    """Return the median CPU time of `work` in microseconds."""
    found: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(each):
            work()
        found.append((time.process_time() - started) / each * 1e6)
    return statistics.median(found)


@pytest.mark.parametrize(
    ("rules", "models", "aim_guard", "aim_whole"), [(20, 12, 5, 30), (100, 50, None, 150)]
)
def test_a_decision_costs_microseconds(
    rules: int, models: int, aim_guard: float | None, aim_whole: float
) -> None:
    engine = engine_of(rules, models)
    snapshot, asked = snapshot_of(engine), read_request(request(), engine, {})
    whole = microseconds(lambda: decide(request(), snapshot))
    prepared = request()
    bare = microseconds(lambda: decide(prepared, snapshot))
    guarded = microseconds(lambda: guard(asked.subject, engine))
    yardstick = microseconds(lambda: AskedRequest.model_validate(ASKED))
    decision = decide(request(), snapshot)
    print(  # noqa: T201 - figures for people
        f"\n{rules} rules x {models} models, {len(decision.candidates)} candidates, "
        f"{len(decision.removals)} removals\n"
        f"  guard            {guarded:7.1f} us  (aim {aim_guard or '-'})\n"
        f"  decision         {bare:7.1f} us  (aim {aim_whole}); {whole:.1f} us with its request\n"
        f"  pydantic, same request {yardstick:7.1f} us; decision is {bare / yardstick:.1f} times it"
    )
    assert decision.allowed
