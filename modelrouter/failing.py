"""Turns the last failed attempt of a call into the error its caller sees."""

from __future__ import annotations

from collections.abc import Mapping

from modelrouter.calls import Call
from modelrouter.errors import (
    Attempted,
    CallFailed,
    CallInvalid,
    CallTimedOut,
    CallUnauthorised,
    ErrorKind,
)
from modelrouter.ports import ProviderError

__all__ = ["failure_of"]

ERRORS: Mapping[ErrorKind, type[CallFailed]] = {
    ErrorKind.INVALID_REQUEST: CallInvalid,
    ErrorKind.TOO_LARGE: CallInvalid,
    ErrorKind.NOT_FOUND: CallInvalid,
    ErrorKind.UNAUTHORISED: CallUnauthorised,
    ErrorKind.CREDENTIAL_MISSING: CallUnauthorised,
}
"""The error of a call whose last attempt failed in this way; otherwise `CallFailed`."""

HINTS: Mapping[ErrorKind, str] = {
    ErrorKind.TIMEOUT: "the model is slow or stuck; see `timeout_ms` under `runtime:`",
    ErrorKind.RATE_LIMITED: "the provider limits the rate; try again later",
    ErrorKind.QUOTA_EXHAUSTED: "the provider's quota is used up; see its console",
    ErrorKind.SERVER_ERROR: "the server failed; see its own log",
    ErrorKind.UNREACHABLE: "check that the server runs, and its address in the catalogue",
    ErrorKind.INVALID_OUTPUT: "the server answered with something that is no answer; "
    "check that `api_base` is a chat-completion API",
    ErrorKind.INCOMPLETE: "the answer broke off before its end",
    ErrorKind.INVALID_REQUEST: "the provider, or LiteLLM for it, refuses the request: a "
    "parameter it does not know, say",
    ErrorKind.TOO_LARGE: "shorten the messages, or state `context_window` in the catalogue",
    ErrorKind.NOT_FOUND: "check the endpoint's `model` and `api_base` in the catalogue",
    ErrorKind.UNAUTHORISED: "check the key and what it may be used for",
    ErrorKind.CREDENTIAL_MISSING: "set the environment variable, or pass `Router(credentials=…)`",
    ErrorKind.INTERNAL: "the client library failed before anything was answered",
}
"""What to do about each kind of failure."""


def failure_of(call: Call, last: ProviderError, *, begun: bool = False) -> CallFailed:
    """Return the error of a call that has failed.

    Args:
        call: The call.
        last: Why its last attempt failed.
        begun: Whether part of a streamed answer had reached the caller.
    """
    attempts = tuple(call.failures)
    if last.kind is ErrorKind.CREDENTIAL_MISSING:
        model = call.decision.candidates[call.plan.current].model
        attempts = (*attempts, Attempted(model=model, number=call.plan.sends + 1, kind=last.kind))
        name = call.world.targets[model].key_name
        what = f"the key of model `{model}` is not set" + (f": `{name}`" if name else "")
    elif begun:
        what = "the answer broke off after part of it had been delivered"
    else:
        what = "no model answered"
    tried = "; ".join(str(part) for part in attempts) or "nothing was sent"
    timed_out = last.kind is ErrorKind.TIMEOUT and call.left_s() <= 0
    error = CallTimedOut if timed_out else ERRORS.get(last.kind, CallFailed)
    return error(
        f"{what} (task `{call.decision.task}`, {tried})",
        decision=call.decision,
        attempts=attempts,
        hint=HINTS[last.kind],
    )
