"""What has to be true of the demo. It checks itself, so that its words are not only words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelrouter.demo.closed import transmissions
from modelrouter.demo.playing import CLOSED, HOME, Outcome, Session
from modelrouter.demo.steps import CODE, PATIENT
from modelrouter.errors import BudgetExceeded, CallFailed

__all__ = ["Check", "checked"]

HOME_REQUESTS = 2  # the public question and the first restricted one
CLOSED_REQUESTS = 2  # the code question and the one that fell over
RESTRICTED_CALLS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation.

    Attributes:
        text: What is expected.
        holds: Whether it is so.
    """

    text: str
    holds: bool


def checked(session: Session) -> list[Check]:
    """Return every expectation of a demo that has been played to its end."""
    by_name = {outcome.step.name: outcome for outcome in session.outcomes}
    return [*calls(by_name), *sides(session)]


def calls(by_name: Mapping[str, Outcome]) -> list[Check]:
    """Return what is expected of each call."""
    public, restricted, code = (by_name[name] for name in ("public", "restricted", "quality-floor"))
    budget, repeat = by_name["budget"], by_name["repeat"]
    stuck, moved = by_name["restricted-without-its-server"], by_name["public-without-its-server"]
    found = {
        "the public question was answered in the house": answered_by(public, HOME),
        "the restricted call was answered in the house, its only candidate": (
            answered_by(restricted, HOME) and candidates(restricted) == [HOME]
        ),
        "the quality floor left only the closed model, which answered": (
            answered_by(code, CLOSED) and "floor" in stages(code, HOME)
        ),
        "the budget stopped the long answer before anything was sent": (
            isinstance(budget.error, BudgetExceeded)
            and budget.error.budgets == ("one-call",)
            and budget.receipt.sends == 0
        ),
        "the repeat came from the cache, word for word": (
            repeat.receipt.cache == "hit"
            and text_of(repeat) == text_of(public) != ""
            and repeat.receipt.sends == 0
        ),
        "without its server the restricted call failed and tried nothing else": (
            isinstance(stuck.error, CallFailed)
            and candidates(stuck) == [HOME]
            and {part.model for part in stuck.error.attempts} == {HOME}
        ),
        "without its server the public call fell over to the closed model": (
            answered_by(moved, CLOSED)
            and candidates(moved) == [HOME, CLOSED]
            and {part.model for part in moved.receipt.attempts} == {HOME}
        ),
    }
    return [Check(text=text, holds=holds) for text, holds in found.items()]


def sides(session: Session) -> list[Check]:
    """Return what is expected of the requests that arrived."""
    counts = session.request_counts()
    restricted = [one for one in session.outcomes if one.decision.label.level == "restricted"]
    sent = sum(transmissions(one.receipt, CLOSED) for one in restricted)
    found = {
        f"the self-hosted model got {HOME_REQUESTS} requests": (
            counts["self_hosted"] == HOME_REQUESTS
        ),
        "no restricted call was sent to the closed side, by the receipts": (
            len(restricted) == RESTRICTED_CALLS and sent == 0
        ),
    }
    if session.closed.server is not None:
        # The second shows that the search finds what is there.
        count = counts["closed"]
        found[f"the closed side got {CLOSED_REQUESTS} requests"] = count == CLOSED_REQUESTS
        found["the restricted text is in none of them, the code question is"] = (
            session.closed.received(PATIENT) is False and session.closed.received(CODE) is True
        )
    return [Check(text=text, holds=holds) for text, holds in found.items()]


def answered_by(outcome: Outcome, model: str) -> bool:
    """Whether a model was asked and answered."""
    reply = outcome.reply
    # A vendor's model may spend all its tokens on reasoning: then there is no text.
    told = reply is not None and (reply.text != "" or reply.finish_reason == "length")
    return told and outcome.receipt.model == model and outcome.receipt.cache == "miss"


def candidates(outcome: Outcome) -> list[str]:
    """Return the models that were allowed, best first."""
    return [part.model for part in outcome.decision.candidates]


def stages(outcome: Outcome, model: str) -> set[str]:
    """Return the stages that excluded a model."""
    excluded = (part for part in outcome.decision.excluded if part.model == model)
    return {reason.stage for part in excluded for reason in part.reasons}


def text_of(outcome: Outcome) -> str:
    """Return the answer, or the empty string."""
    return "" if outcome.reply is None else outcome.reply.text
