"""How one call uses the cache: which key, who may read, what may be kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from modelrouter.attempts import Attempt
from modelrouter.cache import Entry, Flight, Scope, cache_key
from modelrouter.calls import Call
from modelrouter.decision import Obligations
from modelrouter.engine.request_matching import MISSING
from modelrouter.gating import gate, standing
from modelrouter.ports import Completion
from modelrouter.reply import choices_of, finish_reasons_of
from modelrouter.values import Json

__all__ = ["Shelf", "shelf_of"]


def may_keep(asked: Obligations) -> bool:
    """Whether an answer given under these obligations may be stored or shared."""
    return asked.cache != "none" and not asked.redact and not asked.approval


def declined(payload: Mapping[str, Json]) -> bool:
    """Whether the content was declined, wholly or in part: asked again, it may not be."""
    messages = [choice.get("message") for choice in choices_of(payload)]
    refusals = [part.get("refusal") for part in messages if isinstance(part, dict)]
    return "content_filter" in finish_reasons_of(payload) or any(refusals)


@dataclass(slots=True, kw_only=True)
class Shelf:
    """The place of one call's answer in the cache.

    Attributes:
        shares: Whether identical calls under way may share one answer.
        kept: What this call has put there.
    """

    call: Call
    key: str
    shares: bool
    kept: Entry | None = None

    def admitted(self, entry: Entry | None) -> Entry | None:
        """Return an entry only if its model may serve this call now, by the newest policy too."""
        if entry is None:
            return None
        newest = standing(self.call)
        for part in self.call.decision.candidates:
            if part.model == entry.model:
                asked = gate(self.call, part, newest)
                allowed = isinstance(asked, Obligations) and may_keep(asked)
                return entry if allowed and may_keep(part.obligations) else None
        return None

    def find(self) -> Entry | None:
        """Return the kept answer, re-authorised."""
        return self.admitted(self.call.world.cache.get(self.key))

    def join(self) -> Flight | None:
        """Join the identical calls under way, or None to go alone."""
        pace = self.call.world.pace
        return self.call.world.flights.join((pace.lane(), self.key), owner=pace.owner())

    def land(self, flight: Flight) -> None:
        """Hand this call's answer, or None, to those who wait for it."""
        self.call.world.flights.land(flight, self.kept)

    def keep(self, attempt: Attempt, answer: Completion) -> None:
        """Keep a whole answer, if the obligations of the model that gave it allow."""
        if not may_keep(attempt.candidate.obligations) or declined(answer.payload):
            return
        context = attempt.span.get_span_context()
        self.kept = Entry(
            text=json.dumps(answer.payload, separators=(",", ":")),
            model=attempt.candidate.model,
            label=self.call.decision.label,
            usage=answer.usage,
            trace_id=context.trace_id,
            span_id=context.span_id,
            ttl_s=self.call.runtime.cache.ttl_s,
        )
        self.call.world.cache.put(self.key, self.kept)


def shelf_of(call: Call) -> Shelf | None:
    """Return the call's place in the cache, or None where nothing may be kept."""
    candidates = call.decision.candidates
    if call.runtime.cache.mode != "exact" or not any(
        may_keep(part.obligations) for part in candidates
    ):
        return None
    scope = Scope(
        policy_digest=call.engine.bundle.digest,
        label=call.decision.label,
        task=call.decision.task,
        facts=facts_of_call(call),
        limits=repr(call.request.limits),
    )
    return Shelf(
        call=call,
        key=cache_key(scope, call.payload.canonical, secret=call.world.cache.secret),
        shares=all(may_keep(part.obligations) for part in candidates),
    )


def facts_of_call(call: Call) -> dict[str, object]:
    """Return every fact: calls that differ in one never share an answer."""
    facts = zip(call.engine.bundle.policy.facts, call.asked.subject.facts, strict=True)
    return {name: None if value is MISSING else value for name, value in facts}
