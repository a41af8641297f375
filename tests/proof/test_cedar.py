"""The guard against Cedar, on random policies and calls of which everything is known."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given

from tests.proof.brute import Space, State, TooManyStatesError, Universe
from tests.proof.judging import AT, CASES, bundle_of, hosted, often
from tests.proof.properties import worlds
from tests.strategies import Dice, Json, World

pytest.importorskip("cedarpy", reason="cedarpy has no wheel for this Python")

FEWER = CASES // 3
SAMPLED = 20


def known_states(universe: Universe) -> list[State]:
    """Return a sample of calls of which everything is known."""
    states = [
        state
        for state in Space(universe, {}, served=False).states()
        if not state.label.unknown and len(state.facts) == len(universe.facts)
    ]
    return states[:: 1 + len(states) // SAMPLED]


def test_the_guard_agrees_with_cedar() -> None:
    from tests.proof import cedar  # noqa: PLC0415 - it needs cedarpy

    tally: Counter[str] = Counter()

    @often(FEWER)
    @given(worlds())
    def compare(drawn: tuple[Dice, World, Json, list[Json]]) -> None:
        _, _, policy, catalogue = drawn
        policy = hosted(policy)
        universe = Universe(policy, catalogue, bundle_of(policy, catalogue), AT)
        try:
            states = known_states(universe)
        except TooManyStatesError:
            tally["too many"] += 1
            return
        calls = [
            cedar.context(
                level=universe.levels.index(state.label.level),
                categories=state.label.known,
                task=state.task,
                needs=state.needs,
                tokens=state.tokens,
                facts=dict(state.facts),
            )
            for state in states
        ]
        text = cedar.policies(policy, universe.levels, AT)
        answers = cedar.allowed(text, cedar.entities(catalogue, AT), calls)
        for state, answer in zip(states, answers, strict=True):
            tally["allowed"] += len(answer)
            tally["denied"] += len(catalogue) - len(answer)
            assert answer == universe.allows(state), (state, text)

    compare()
    pairs = tally["allowed"] + tally["denied"]
    assert tally["too many"] < FEWER / 5
    assert pairs > 20 * FEWER
    assert min(tally["allowed"], tally["denied"]) > 0.2 * pairs, tally
