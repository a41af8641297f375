"""What loosens never narrows, and what is called equivalent never differs.

`MUTANT_CASES=1000 pytest tests/mutation` looks at more random policies.
"""

from __future__ import annotations

import datetime
import os
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Decision
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.obliging import CACHE, LOG, TRACE
from modelrouter.loader import load, load_text
from modelrouter.mutation.difference import difference_of
from modelrouter.mutation.mutant import Mutant
from modelrouter.mutation.operators import mutants_of
from modelrouter.policy.bundle import Bundle
from modelrouter.proof.examples import request_at
from modelrouter.proof.layout import mentions_of, space_of
from modelrouter.proof.space import Space
from modelrouter.values import Request
from tests.strategies import Case, cases, to_yaml

TODAY = datetime.date(2026, 11, 23)
POLICIES = Path(__file__).parents[2] / "policies"
SHIPPED = ["bank", "hospital", "quickstart", "startup"]
CASES = int(os.environ.get("MUTANT_CASES", "25"))
Shown = dict[str, tuple[object, ...]]


def compiled(mutant: Mutant) -> Engine:
    return compile_bundle(mutant.bundle, TODAY)


def points(space: Space, dice: random.Random, engine: Engine, count: int) -> Iterator[Request]:
    """Yield requests at random points that exist; also with parts that nobody knows."""
    facts = engine.bundle.policy.facts.items()
    classified = {name for name, fact in facts if fact.source == "classifier"}
    tries = 0
    while count and tries < 40 * count:
        tries += 1
        box = space.everything
        for field in space.table.fields:
            box &= space.only(field.name, 1 << dice.randrange(len(field.atoms)))
        request = request_at(space.point(box), engine) if space.possible(box) else None
        if request is not None and not classified & request.facts.keys():
            count -= 1
            if dice.random() < 0.3:
                # Nobody labelled it; detectors or the thread may have spoken.
                spoken = request.evidence or (request.declared,)
                heard = tuple(part for part in spoken if part is not None and dice.random() < 0.5)
                yield Request(
                    task=request.task, facts=request.facts, evidence=heard, max_output=100
                )
            else:
                yield request


def world(dice: random.Random, before: Engine, after: Engine) -> dict[str, int]:
    """Return what is spent: of most budgets nothing, of some a part, all or more."""
    meters = {part.budget.id: part.limit for part in (*before.meters, *after.meters)}
    parts = (0, 0, 0, 0.5, 0.99, 1, 1, 2)
    return {name: int(limit * Decimal(dice.choice(parts))) for name, limit in meters.items()}


def shown(decision: Decision) -> Shown:
    """Return the candidates with what they come with, but not their order."""
    return {
        part.model: (
            STRICT[0][part.obligations.trace],
            STRICT[1][part.obligations.cache],
            STRICT[2][part.obligations.log],
            frozenset(part.obligations.redact),
            frozenset(part.obligations.approval),
        )
        for part in decision.candidates
    }


STRICT: list[dict[str | None, int]] = [
    {**{word: len(words) - place for place, word in enumerate(words)}, None: 0}
    for words in (TRACE, CACHE, LOG)
]


def at_most(less: Shown, more: Shown) -> bool:
    """Whether one decision allows no more, and asks for no less, than another."""
    return less.keys() <= more.keys() and all(
        all(asked >= wanted for asked, wanted in zip(less[model], more[model], strict=True))  # type: ignore[operator]
        for model in less
    )


def steady(bundle: Bundle, mutant: Mutant) -> bool:
    """Whether a change has one direction even where it makes a budget restrict, or not.

    A budget that restricts takes models away and, with `degrade_floor`, brings some back. A
    dear model that is forbidden may be what kept a budget from being enough.
    """
    budgets = (*bundle.policy.budgets, *mutant.bundle.policy.budgets)
    return mutant.section == "budgets" and all(part.degrade_floor is None for part in budgets)


def check(bundle: Bundle, mutants: list[Mutant], dice: random.Random, count: int) -> None:
    """Check both laws on random requests."""
    before = compile_bundle(bundle, TODAY)
    for mutant in mutants:
        after = compiled(mutant)
        same = difference_of(before, after).equivalent
        space = space_of(bundle, mentions_of([bundle, mutant.bundle]))
        for request in points(space, dice, before, count):
            spent = world(dice, before, after)
            down = frozenset(name for name in before.ids if dice.random() < 0.2)
            one, other = (
                decide(request, Snapshot(engine=engine, spent=spent, down=down))
                for engine in (before, after)
            )
            less, more = (other, one) if mutant.tightens else (one, other)
            # A rule for low levels alone asks for less of an unlabelled call that counts as high.
            directed = mutant.section != "labels"
            if directed and (one.degraded == other.degraded or steady(bundle, mutant)):
                assert at_most(shown(less), shown(more)), (str(mutant), request, spent)
            if same:
                assert shown(one) == shown(other), (str(mutant), request, spent)


@pytest.mark.parametrize("name", SHIPPED)
def test_mutants_of_a_shipped_policy_keep_the_laws(name: str) -> None:
    bundle = load(POLICIES / name)
    check(bundle, list(mutants_of(bundle)), random.Random(7), 40)  # noqa: S311 - repeatable


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # what is said of a failure is short, and shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(case=cases(), seed=st.integers(0, 2**30))
def test_mutants_of_any_policy_keep_the_laws(case: Case, seed: int) -> None:
    policy, catalogue, _ = case
    bundle = load_text(to_yaml(policy, catalogue))
    dice = random.Random(seed)  # noqa: S311 - repeatable
    mutants = list(mutants_of(bundle))
    check(bundle, dice.sample(mutants, min(6, len(mutants))), dice, 15)
