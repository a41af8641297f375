"""The regions of a comparison against the engine of each policy, call by call."""

from __future__ import annotations

import datetime
import os
import random
from collections import Counter

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from modelrouter.asking import request_from
from modelrouter.comparison.boxes import BOXES_SHOWN, cover
from modelrouter.comparison.comparing import Pair, compare, pair_of, regions_of
from modelrouter.comparison.effort import Effort
from modelrouter.comparison.keeping import kept_by_runtime
from modelrouter.comparison.receiving import (
    Outlined,
    asked_calls,
    received,
    side_for,
    who_can,
)
from modelrouter.comparison.samples import lets_pass
from modelrouter.comparison.weaker import weaker_regions
from modelrouter.decision import Obligations
from modelrouter.errors import PolicyError
from modelrouter.loader import load_text
from modelrouter.policy.bundle import Bundle
from tests.comparison.calls import fits, mutated, point_in, point_of, random_call, readable_fact
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


@laws
@given(cases(), st.integers(0, 2**32))
def test_what_is_shown_is_the_region_and_its_calls_are_tried(case: Case, seed: int) -> None:
    old, new = pairs_of(case, seed)
    pair = pair_of(old, new, at=TODAY)
    found = {part.model: part for part in compare(old, new, at=TODAY).differences}
    back = {part.model: part for part in compare(new, old, at=TODAY).differences}
    for model in sorted({*pair.old.engine.ids, *pair.new.engine.ids}):
        opened, closed = regions_of(pair, model)
        part = found.get(model)
        assert bool(opened) == bool(part and part.allowed)
        assert bool(closed) == bool(part and part.forbidden)
        assert bool(closed) == bool(back.get(model) and back[model].allowed)
        assert part is None or part.not_comparable is None, (model, part, opened, closed)
        if part is None:
            continue
        for extents, engine in ((part.allowed, pair.new.engine), (part.forbidden, pair.old.engine)):
            for extent in extents:
                if extent.request is not None:
                    assert lets_pass(engine, request_from(extent.request, engine), model)
        space, outside = pair.joint.space, pair.new.refused
        shown = cover(Effort(space), opened, outside=outside)
        assert bool(shown.more) <= (len(shown.boxes) == BOXES_SHOWN)
        assert not space.less(space.less(shown.boxes, outside), opened)
        if not shown.more:
            assert not space.less(opened, shown.boxes)


@laws
@given(cases())
def test_a_policy_compared_with_itself_has_no_difference(case: Case) -> None:
    policy, catalogue, _ = case
    old = load_text(to_yaml(policy, catalogue))
    new = load_text(
        to_yaml({**policy, "metadata": {"name": "generated", "version": "2"}}, catalogue)
    )
    found = compare(old, new, at=TODAY)  # another digest, so that regions are computed
    assert found.differences == ()
    assert not found.wider
    assert [part.section for part in found.changes] == ["policy"]


@laws
@given(cases(), st.integers(0, 2**32))
def test_who_can_agrees_with_the_engine(case: Case, seed: int) -> None:
    policy, catalogue, _ = case
    bundle = load_text(to_yaml(policy, catalogue))
    pair = pair_of(bundle, bundle, at=TODAY)
    dice = random.Random(seed)  # noqa: S311 - repeatable
    asked = outlined(pair, dice)
    calls = (random_call(pair, dice) for _ in range(CALLS * 3))
    fitting = [call for call in calls if fits(pair, call, asked)]
    side = side_for(bundle, asked, at=TODAY)
    within, space = asked_calls(side.reading, asked), side.reading.space
    points = [point_in(side.reading.joint, pair, call) for call in fitting]
    assert all(any((point or 0) & ~box == 0 for box in within) for point in points)
    for answer in who_can(bundle, asked, at=TODAY):
        region = received(Effort(space), side, answer.model, within)
        for call, point in zip(fitting, points, strict=True):
            held = any((point or 0) & ~box == 0 for box in region)
            assert held == call.passes(pair.new.engine, answer.model)
        passes = {call.passes(pair.new.engine, answer.model) for call in fitting}
        SEEN[f"{answer.verdict} {len(fitting) > 0}"] += 1
        if answer.verdict == "always":
            assert passes <= {True}
        elif answer.verdict == "never":
            assert passes <= {False}
            assert answer.obstacles
        assert answer.verdict != "unknown"


@laws
@given(cases(), st.integers(0, 2**32))
def test_less_is_asked_just_where_the_engine_asks_for_less(case: Case, seed: int) -> None:
    old, new = pairs_of(case, seed)
    pair = pair_of(old, new, at=TODAY)
    dice = random.Random(seed)  # noqa: S311 - repeatable
    calls = [random_call(pair, dice) for _ in range(CALLS)]
    space = pair.joint.space
    kept = kept_by_runtime(Effort(space), pair.old, pair.new)
    for model in sorted({*pair.old.engine.ids} & {*pair.new.engine.ids}):
        found = [*weaker_regions(Effort(space), pair.old, pair.new, model, kept)]
        for call in calls:
            point = point_of(pair, call)
            before = call.asked_of(pair.old.engine, model)
            after = call.asked_of(pair.new.engine, model)
            if point is None or before is None or after is None:
                continue
            told = {
                (part.about, part.old, part.new)
                for part in found
                if any(point & ~box == 0 for box in part.region)
                and not part.about.startswith("runtime")
            }
            expected = lost(before, after, carried=call.carried(pair.old.engine))
            SEEN[f"less {bool(expected)}"] += 1
            assert told == expected, (model, call)


def lost(
    old: Obligations, new: Obligations, *, carried: frozenset[str]
) -> set[tuple[str, str, str | None]]:
    """Return what is no longer asked for, worked out from what the engine asks."""
    found: set[tuple[str, str, str | None]] = set()
    orders = {
        "trace": ["none", "hash", "redacted", "content"],
        "cache": ["none", "exact"],
        "log": ["decision+hash", "decision", "none"],
    }
    for about, order in orders.items():
        before, after = (getattr(part, about) or order[-1] for part in (old, new))
        if order.index(after) > order.index(before):
            found.add((about, before, None if after == order[-1] else after))
    found |= {
        ("redact", name, None)
        for name in (*old.redact,)
        if name not in new.redact and name in carried
    }
    return found | {("approval", name, None) for name in old.approval if name not in new.approval}


def outlined(pair: Pair, dice: random.Random) -> Outlined:
    """Return something said of a call."""
    words = pair.new.reading.bundle.words
    some = random_call(pair, dice)
    unlabelled = dice.random() < 0.2
    facts = {name: value for name, value in some.facts.items() if dice.random() < 0.5}
    return Outlined(
        level=some.level if dice.random() < 0.4 and not unlabelled else None,
        categories=tuple(sorted(some.known)[: dice.choice((0, 0, 1))]) if not unlabelled else (),
        unlabelled=unlabelled,
        task=some.task if dice.random() < 0.5 else None,
        needs=tuple(sorted(some.needs & words.capabilities)[: dice.choice((0, 1))]),
        facts={n: v for n, v in facts.items() if readable_fact(pair, n, v)},
    )
