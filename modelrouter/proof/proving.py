"""Proves the claims of a policy: `never_sent` and `always_served`.

A claim starts from the region it speaks of; what the guard removes is taken away. If nothing
is left the claim is proved; otherwise what is left holds a counterexample. It is enough to look
at requests of which everything is known: what is unknown counts against a model, in forbids and
requires as a match and in permits as none, so a request with unknown parts may be sent no
further than the same request with any answer filled in.
"""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.model_matching import facts_of, match_model
from modelrouter.engine.truth import FALSE
from modelrouter.proof.conditions import known_requests, models_region, when_region
from modelrouter.proof.examples import asked_at, described, entry_at, supplied
from modelrouter.proof.guarding import Question, guardrails_of
from modelrouter.proof.layout import mentions_of, space_of
from modelrouter.proof.serving import add_mentions, asked_region, served_regions
from modelrouter.proof.space import TooHardError
from modelrouter.proof.universal import universal_question

if TYPE_CHECKING:
    from modelrouter.engine.clauses import Engine
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.suite import AskedRequest, Property
    from modelrouter.proof.coherence import Point
    from modelrouter.proof.space import Region, Space
    from modelrouter.values import Json

__all__ = ["Claims", "Proof", "prove", "prove_all", "request_json", "request_text"]

Outcome = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of one claim.

    Attributes:
        id: The claim's id.
        outcome: `unknown` means that the question was too hard; it counts as not proved.
        over: Whether the catalogue of the day or every conceivable model was meant.
        vacuous: Whether no request that can exist matches the claim's `when`.
        model: A model of the catalogue for which the claim fails.
        region: Requests for which it fails, for people; for `over: any` with the model.
        request: One of them, as `modelrouter decide` reads it.
        entry: For `over: any`, a catalogue entry for which the claim fails.
    """

    id: str
    outcome: Outcome
    over: Literal["present", "any"]
    vacuous: bool = False
    model: str | None = None
    region: str | None = None
    request: AskedRequest | None = None
    entry: Mapping[str, Json] | None = None

    @property
    def holds(self) -> bool:
        """Whether the claim is proved."""
        return self.outcome == "proved"

    @property
    def failure(self) -> str:
        """Why the claim is not proved, to stand behind its name."""
        if self.outcome == "unknown":
            return "is not proved: the question is too hard"
        if self.entry is not None:
            return f"does not hold for every conceivable model: {self.region}"
        if self.model is None:
            return f"does not hold: no model serves {self.region}"
        return f"does not hold: `{self.model}` may receive {self.region}"

    @property
    def entry_text(self) -> str:
        """The conceivable model as JSON, which is YAML too."""
        return json.dumps(dict(self.entry or {}), ensure_ascii=False)

    def remedy(self, path: str) -> str:
        """Return what to do about it: explain the counterexample, or write a simpler claim.

        Args:
            path: Where the policy is, for a command to paste into a shell.
        """
        if self.request is None:
            return "split the claim, or the rules it rests on, into simpler ones"
        words = shlex.join([path, request_text(self.request)])
        return f"see `modelrouter explain {words}`"


def request_text(request: AskedRequest) -> str:
    """Return a request as the JSON that `modelrouter explain` and `decide` read."""
    return json.dumps(request_json(request), ensure_ascii=False)


def request_json(request: AskedRequest) -> dict[str, Json]:
    """Return a request as `modelrouter explain` and `decide` read it: amounts are numbers."""
    plain: dict[str, Json] = request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    given = plain.get("given")
    if isinstance(given, dict) and request.given.budgets:
        amounts = request.given.budgets.items()
        given["budgets"] = {
            name: int(amount) if amount == int(amount) else float(amount)
            for name, amount in amounts
        }
    return plain


def prove(bundle: Bundle, claim: Property, *, at: datetime.date) -> Proof:
    """Return whether a claim holds for every request, on the day `at`.

    Args:
        bundle: The policy.
        claim: What is claimed; its names are checked.
        at: The day: expired facts, lapsed permits and retired models count as of it.
    """
    return Claims(compile_bundle(bundle, at)).prove(claim)


def prove_all(bundle: Bundle, *, at: datetime.date) -> Iterator[tuple[str, Property, Proof]]:
    """Yield section or file, claim and proof for every invariant and property of a policy."""
    claims = Claims(compile_bundle(bundle, at))
    for claim in bundle.policy.invariants:
        yield "invariants", claim, claims.prove(claim)
    for file, document in bundle.properties.items():
        for claim in document.properties:
            yield file, claim, claims.prove(claim)


class Claims:
    """Proves claims about one compiled policy."""

    __slots__ = ("engine",)

    def __init__(self, engine: Engine) -> None:
        self.engine: Engine = engine

    def prove(self, claim: Property) -> Proof:
        """Return whether a claim holds."""
        try:
            if claim.always_served:
                return self.always_served(claim)
            if claim.over == "any":
                return self.never_sent_to_any(claim)
            return self.never_sent(claim)
        except TooHardError:
            return Proof(id=claim.id, outcome="unknown", over=claim.over)

    def space(self, claim: Property, *, any_model: bool = False, served: bool = False) -> Space:
        """Return the space that tells apart what the policy and the claim mention."""
        mentions = mentions_of([self.engine.bundle])
        if claim.when is not None:
            mentions.whens.append(claim.when)
        mentions.add_models(claim.never_sent)
        if served:
            add_mentions(mentions, self.engine)
        return space_of(self.engine.bundle, mentions, any_model=any_model)

    def start(self, space: Space, claim: Property) -> Region:
        """Return the requests a claim speaks of, everything about them known."""
        return space.meet(when_region(space, claim.when, unknown=False), known_requests(space))

    def never_sent(self, claim: Property) -> Proof:
        """Prove that no model of the catalogue which matches receives a request."""
        engine, space = self.engine, self.space(claim)
        start = self.start(space, claim)
        guard = guardrails_of(space, engine)
        judged: set[int] = set()
        for place in engine.by_id:
            signature = guard.signature(place)
            if signature in judged or not self.meant(claim, place):
                continue
            judged.add(signature)
            question = guard.question(place, start)
            found = space.leftover(question.permitted, question.removed)
            if found is not None:
                return self.refuted(claim, space, found, question, model=engine.ids[place])
        return self.proved(claim, space, start)

    def meant(self, claim: Property, place: int) -> bool:
        """Whether a claim speaks of a model of the catalogue; unknown counts as yes."""
        if claim.never_sent is None:
            return False
        bundle = self.engine.bundle
        facts = facts_of(bundle.models[place], self.engine.at)
        return match_model(claim.never_sent, facts, bundle.sets) != FALSE

    def never_sent_to_any(self, claim: Property) -> Proof:
        """Prove that no conceivable model which matches receives a request."""
        space = self.space(claim, any_model=True)
        sets = self.engine.bundle.sets
        start = self.start(space, claim)
        models = models_region(space, claim.never_sent, sets, unknown=True)
        question = universal_question(space, self.engine, space.meet(start, models))
        found = space.leftover(question.permitted, question.removed)
        if found is not None:
            return self.refuted(claim, space, found, question)
        return self.proved(claim, space, start)

    def always_served(self, claim: Property) -> Proof:
        """Prove that every request has a candidate, whatever the budgets."""
        space = self.space(claim, served=True)
        start = space.meet(self.start(space, claim), asked_region(space, claim))
        served: Region = ()
        if not self.lacking:
            served = space.join(*served_regions(space, self.engine, start))
        question = Question(permitted=start, removed=served)
        found = space.leftover(start, served)
        if found is not None:
            return self.refuted(claim, space, found, question)
        return self.proved(claim, space, start)

    @property
    def lacking(self) -> bool:
        """Whether every call lacks a fact: one that is required and no classifier supplies."""
        facts = self.engine.bundle.policy.facts.values()
        return any(fact.required and fact.source == "classifier" for fact in facts)

    def proved(self, claim: Property, space: Space, start: Region) -> Proof:
        """Return that a claim holds; of no request at all it holds vacuously."""
        vacuous = not space.holds(start)
        return Proof(id=claim.id, outcome="proved", over=claim.over, vacuous=vacuous)

    def refuted(
        self,
        claim: Property,
        space: Space,
        found: int,
        question: Question,
        *,
        model: str | None = None,
    ) -> Proof:
        """Return that a claim fails, with a region and one request in it."""
        point = space.point(found)
        return Proof(
            id=claim.id,
            outcome="refuted",
            over=claim.over,
            model=model,
            region=described(space, opened(space, found, question)),
            request=self.request_at(point, claim),
            entry=entry_at(point, self.engine.bundle.words.tasks) if claim.over == "any" else None,
        )

    def request_at(self, point: Point, claim: Property) -> AskedRequest | None:
        """Return the request at a point; where every call lacks a fact, as one that can be made."""
        asked = asked_at(point, self.engine)
        if asked is None or not claim.always_served or not self.lacking:
            return asked
        return supplied(asked, self.engine)


def opened(space: Space, box: int, question: Question) -> int:
    """Return a counterexample with every field opened that may be: all of it is one."""
    for field in reversed(space.table.fields):
        wider = box | field.mask
        if wider == box or any(space.possible(wider & part) for part in question.removed):
            continue
        try:
            if space.leftover((wider,), question.permitted) is None:
                box = wider
        except TooHardError:
            continue
    return box
