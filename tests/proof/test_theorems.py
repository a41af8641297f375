"""Laws of the guard and of proofs, on random policies."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests import strategies
from tests.proof.brute import Space, State, TooManyStatesError, Universe
from tests.proof.judging import AT, CASES, bundle_of, hosted, often, outcome
from tests.proof.properties import Claimed, claims, worlds
from tests.strategies import Dice, Json, World

FEWER = CASES // 3
SAMPLED = 25


def resolves(known: State, doubtful: State, facts: Json) -> bool:
    """Whether one request is what another could turn out to be."""
    one, other = known.label, doubtful.label
    stated = dict(doubtful.facts)
    completed = {n: f["default"] for n, f in facts.items() if "default" in f} | stated
    return (
        one.declared
        and not one.unknown
        and other.known <= one.known <= other.known | other.unknown
        and len(known.facts) == len(facts)
        and all(completed.get(name, value) == value for name, value in known.facts)
    )


def test_ignorance_never_widens() -> None:
    tally: Counter[str] = Counter()

    @often(FEWER)
    @given(worlds())
    def compare(drawn: tuple[Dice, World, Json, list[Json]]) -> None:
        _, _, policy, catalogue = drawn
        policy = hosted(policy)
        universe = Universe(policy, catalogue, bundle_of(policy, catalogue), AT)
        try:
            states = list(Space(universe, {}, served=False).states())
        except TooManyStatesError:
            tally["too many"] += 1
            return
        known = defaultdict(list)
        for state in states:
            if not state.label.unknown and len(state.facts) == len(universe.facts):
                known[key(state)].append(state)
        doubtful = [s for s in states if s.label.unknown or len(s.facts) < len(universe.facts)]
        for state in doubtful[:: 1 + len(doubtful) // SAMPLED]:
            left = universe.allows(state)
            for other in known[key(state)]:
                if resolves(other, state, universe.facts):
                    tally["compared"] += 1
                    tally["narrower"] += left < universe.allows(other)
                    tally["left"] += bool(left)
                    assert left <= universe.allows(other), (state, other)

    compare()
    assert tally["too many"] < FEWER / 5
    assert tally["compared"] > 10 * FEWER
    # The law would say little if unknowns never mattered, or if nothing was ever allowed.
    assert tally["narrower"] > tally["compared"] / 20, tally
    assert tally["left"] > tally["compared"] / 20, tally


@st.composite
def with_default(draw: st.DrawFn) -> tuple[Json, list[Json], bool]:
    """Draw a policy with a fact that has a default, and rules that read it."""
    dice, world, policy, catalogue = draw(worlds())
    default = dice.chance(50)
    facts = {
        **(policy.get("facts") or {}),
        "extra": {"type": "bool", "source": "host", "default": default},
    }
    rules = [
        {
            "id": f"reading-{number}",
            "effect": effect,
            "when": {"facts": {"extra": dice.chance(50)}},
            "models": strategies._models(world),
        }
        for number, effect in enumerate(("forbid", "permit"))
    ]
    policy = {**policy, "facts": facts, "rules": [*policy.get("rules", []), *rules]}
    return hosted(policy), catalogue, default


def test_a_fact_that_is_left_out_is_its_default() -> None:
    tally: Counter[str] = Counter()

    @often(FEWER)
    @given(with_default())
    def compare(drawn: tuple[Json, list[Json], bool]) -> None:
        policy, catalogue, default = drawn
        universe = Universe(policy, catalogue, bundle_of(policy, catalogue), AT)
        try:
            states = list(Space(universe, {}, served=False).states())
        except TooManyStatesError:
            tally["too many"] += 1
            return
        short = [s for s in states if "extra" not in dict(s.facts)]
        for state in short[:: 1 + len(short) // SAMPLED]:
            stated = replace(state, facts=(*state.facts, ("extra", default)))
            tally["compared"] += 1
            tally["left"] += bool(universe.allows(state))
            assert universe.allows(state) == universe.allows(stated), state

    compare()
    assert tally["too many"] < FEWER / 5
    assert tally["compared"] > 5 * FEWER
    assert tally["left"] > tally["compared"] / 20, tally


def key(state: State) -> tuple[str, str, frozenset[str], int]:
    return state.label.level, state.task, state.needs, state.tokens


def test_a_further_forbid_or_require_keeps_what_is_proved() -> None:
    tally: Counter[bool] = Counter()

    @often(FEWER)
    @given(claims(), st.data())
    def compare(case: Claimed, data: st.DataObject) -> None:
        policy, catalogue, found = case
        further = data.draw(a_rule(policy, catalogue))
        before = bundle_of(policy, catalogue)
        after = bundle_of({**policy, "rules": [*policy.get("rules", []), further]}, catalogue)
        for claim in found:
            if "never_sent" in claim and outcome(before, claim).holds:
                tally[True] += 1
                assert outcome(after, claim).holds, (claim, further)

    compare()
    assert tally[True] > FEWER / 2


@st.composite
def a_rule(draw: st.DrawFn, policy: Json, catalogue: list[Json]) -> Json:
    """Draw a forbid or require that only uses names of the policy that are sure to exist."""
    dice = Dice(draw)
    level = (policy["labels"].get("levels") if isinstance(policy["labels"], dict) else None) or (
        strategies.LEVELS
    )
    rule: Json = {
        "id": "further",
        "effect": dice.pick(("forbid", "require")),
        "models": {"hosting": dice.pick(("self_hosted", "vendor_api"))},
    }
    if dice.chance(50):
        rule["models"] = {"not": {"id": dice.pick([model["id"] for model in catalogue])}}
    if dice.chance(80):
        rule["when"] = {"level": {"at_least": dice.pick(level)}}
    return rule


def test_without_a_permit_what_is_proved_stays_proved() -> None:
    tally: Counter[bool] = Counter()

    @often(FEWER)
    @given(claims())
    def compare(case: Claimed) -> None:
        policy, catalogue, found = case
        rules = policy.get("rules") or []
        before = bundle_of(policy, catalogue)
        proved = [c for c in found if "never_sent" in c and outcome(before, c).holds]
        for rule in rules:
            if rule["effect"] == "permit" and proved:
                fewer = [other for other in rules if other is not rule]
                after = bundle_of({**policy, "rules": fewer}, catalogue)
                for claim in proved:
                    tally[True] += 1
                    assert outcome(after, claim).holds, (claim, rule)

    compare()
    assert tally[True] > FEWER / 2


def test_what_is_proved_of_any_model_is_proved_of_every_catalogue() -> None:
    tally: Counter[bool] = Counter()

    @often(FEWER)
    @given(claims_and_catalogues())
    def compare(drawn: tuple[Claimed, list[list[Json]]]) -> None:
        (policy, catalogue, found), catalogues = drawn
        policy = {**policy, "tasks": policy.get("tasks") or sorted(tasks_of(catalogue))}
        bundle = bundle_of(policy, catalogue)
        proved = [
            claim
            for claim in ({**c, "over": "any"} for c in found if "never_sent" in c)
            if outcome(bundle, claim).holds
        ]
        if not proved:
            return
        for models in catalogues:
            other = bundle_of(policy, models)
            for claim in proved:
                tally[True] += 1
                present = {**claim, "over": "present"}
                assert outcome(other, present).holds, (claim, models)

    compare()
    assert tally[True] > FEWER / 2


@st.composite
def claims_and_catalogues(draw: st.DrawFn) -> tuple[Claimed, list[list[Json]]]:
    """Draw a policy with properties, and other catalogues with its models' ids."""
    case, dice = draw(claims()), Dice(draw)
    _, catalogue, _ = case
    ids = [model["id"] for model in catalogue]
    found = []
    for _ in range(2):
        models = [strategies._model(dice, name, [], first=False) for name in ids]
        found.append([*models, keeper(catalogue)])
    return case, found


def tasks_of(catalogue: list[Json]) -> set[str]:
    """Return the tasks that a catalogue names with its evidence."""
    tables = [m["quality"] for m in catalogue if isinstance(m.get("quality"), dict)]
    return {task for table in tables for task in table if task != "*"} | {"other"}


def keeper(catalogue: list[Json]) -> Json:
    """Return a model that keeps the names of a catalogue's capabilities known."""
    names = {n for m in catalogue for n in strategies._listed(m.get("capabilities"))}
    model = {"id": "z/keeper", "weights": "open", "hosting": "self_hosted"}
    return {**model, "capabilities": sorted(names)}
