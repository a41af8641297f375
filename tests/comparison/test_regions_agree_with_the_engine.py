"""The regions of a comparison against the engine of each policy, call by call."""

from __future__ import annotations

import datetime
import os
import random
from collections import Counter

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from modelrouter.comparison.comparing import pair_of, regions_of
from modelrouter.errors import PolicyError
from modelrouter.loader import load_text
from modelrouter.policy.bundle import Bundle
from tests.comparison.calls import mutated, point_of, random_call
from tests.strategies import Case, cases, to_yaml

TODAY = datetime.date(2026, 11, 23)
PAIRS = int(os.environ.get("COMPARED_PAIRS", "120"))
CALLS = 120
laws = settings(
    max_examples=PAIRS,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking a pair of policies takes minutes
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)


def pairs_of(case: Case, seed: int) -> tuple[Bundle, Bundle]:
    policy, catalogue, _ = case
    old = load_text(to_yaml(policy, catalogue))
    try:
        new = load_text(to_yaml(*mutated(policy, catalogue, random.Random(seed))))  # noqa: S311 - repeatable
    except PolicyError:
        new = old
    assume(new.digest != old.digest)
    return old, new


SEEN: Counter[str] = Counter()


@laws
@given(cases(), st.integers(0, 2**32))
def test_a_call_is_newly_allowed_just_when_the_region_holds_it(case: Case, seed: int) -> None:
    old, new = pairs_of(case, seed)
    pair = pair_of(old, new, at=TODAY)
    dice = random.Random(seed)  # noqa: S311 - repeatable
    calls = [
        (call, point_of(pair, call)) for call in (random_call(pair, dice) for _ in range(CALLS))
    ]
    for model in sorted({*pair.old.engine.ids, *pair.new.engine.ids}):
        opened, closed = regions_of(pair, model)
        for call, point in calls:
            before = call.passes(pair.old.engine, model)
            after = call.passes(pair.new.engine, model)
            SEEN[f"{pair.joint.stated} {before}->{after}"] += 1
            held = point is not None and any(point & ~box == 0 for box in opened)
            lost = point is not None and any(point & ~box == 0 for box in closed)
            assert held == (after and not before), (model, call)
            assert lost == (before and not after), (model, call)
