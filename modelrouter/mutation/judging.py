"""Puts a policy's tests and claims to its mutants: which changes would nobody notice?"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from modelrouter.engine.compiled import compile_bundle
from modelrouter.mutation.difference import difference_of
from modelrouter.mutation.mutant import Mutant
from modelrouter.mutation.operators import mutants_of
from modelrouter.mutation.witness import Witness
from modelrouter.policytest import Trial, engines_of, run_trial, trials_of
from modelrouter.proof.proving import Claims

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.suite import Property

__all__ = ["Judged", "Score", "judge", "score_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of one mutant.

    Attributes:
        mutant: The changed policy.
        outcome: `killed` if a test or a claim noticed; `equivalent` if it is proved that there
            is nothing to notice; otherwise `survived`.
        by: The test or claim that noticed.
        witness: For a survivor, a request on which it shows; None if none was found.
    """

    mutant: Mutant
    outcome: Literal["killed", "survived", "equivalent"]
    by: str | None = None
    witness: Witness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How many mutants were noticed.

    Attributes:
        killed: Mutants that some test or claim noticed.
        equivalent: Mutants that decide as the policy does; they do not count.
        survivors: The others.
    """

    killed: int
    equivalent: int
    survivors: tuple[Judged, ...]

    @property
    def percent(self) -> Fraction:
        """The killed share of the mutants that differ, 0 to 100, exactly."""
        every = self.killed + len(self.survivors)
        return Fraction(100 * self.killed, every) if every else Fraction(100)


def score_of(judged: Sequence[Judged]) -> Score:
    """Return the score of judged mutants."""
    outcomes = [part.outcome for part in judged]
    return Score(
        killed=outcomes.count("killed"),
        equivalent=outcomes.count("equivalent"),
        survivors=tuple(part for part in judged if part.outcome == "survived"),
    )


def judge(bundle: Bundle, *, today: datetime.date) -> Iterator[Judged]:
    """Yield what becomes of every mutant of a policy, in the order of its clauses.

    Args:
        bundle: The policy, its tests and its claims.
        today: The day of tests that state none, and of claims.
    """
    bench = Bench.of(bundle, today=today)
    for mutant in mutants_of(bundle):
        yield bench.judge(mutant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that may notice a mutant.

    Attributes:
        engine: The policy compiled for today.
        trials: The tests that pass.
        claims: The invariants and properties that are proved.
    """

    engine: Engine
    today: datetime.date
    trials: tuple[Trial, ...]
    claims: tuple[Property, ...]

    @classmethod
    def of(cls, bundle: Bundle, *, today: datetime.date) -> Bench:
        """Return the tests that pass and the claims that hold for the policy itself."""
        engine = compile_bundle(bundle, today)
        engine_for = engines_of(bundle, today=today)
        prover = Claims(engine)
        documents = bundle.properties.values()
        claims = (
            *bundle.policy.invariants,
            *(part for one in documents for part in one.properties),
        )
        return cls(
            engine=engine,
            today=today,
            trials=tuple(
                trial for trial in trials_of(bundle) if run_trial(trial, engine_for(trial)).passed
            ),
            claims=tuple(claim for claim in claims if prover.prove(claim).holds),
        )

    def judge(self, mutant: Mutant) -> Judged:
        """Return what becomes of one mutant; the first that notices ends the matter."""
        by = self.noticed(mutant)
        if by is not None:
            return Judged(mutant=mutant, outcome="killed", by=by)
        found = difference_of(self.engine, compile_bundle(mutant.bundle, self.today))
        if found.equivalent:
            return Judged(mutant=mutant, outcome="equivalent")
        return Judged(mutant=mutant, outcome="survived", witness=found.witness)

    def noticed(self, mutant: Mutant) -> str | None:
        """Return the first test that fails or claim that is not proved any more."""
        engine_for = engines_of(mutant.bundle, today=self.today)
        for trial in self.trials:
            if not run_trial(trial, engine_for(trial)).passed:
                return f"test `{trial.case.name}`"
        if mutant.section in {"defaults", "rules", "budgets"}:
            prover = Claims(compile_bundle(mutant.bundle, self.today))
            for claim in self.claims:
                # What is never sent rests on the guard alone.
                if (mutant.guards or claim.always_served) and not prover.prove(claim).holds:
                    return f"claim `{claim.id}`"
        return None
