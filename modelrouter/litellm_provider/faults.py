"""What went wrong with one transmission, read from status, headers and structured codes.

Bodies are looked at and forgotten: a provider's error text can quote the prompt, so a
fault holds a kind and numbers, never text.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.values import Json

__all__ = ["Fault", "fault_of_error", "fault_of_exception", "fault_of_response", "retry_after_s"]

STATUS_KINDS: Mapping[int, ErrorKind] = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.UNAUTHORISED,
    402: ErrorKind.QUOTA_EXHAUSTED,
    403: ErrorKind.UNAUTHORISED,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    413: ErrorKind.TOO_LARGE,
    422: ErrorKind.INVALID_REQUEST,
    429: ErrorKind.RATE_LIMITED,
}

# Structured codes as OpenAI, Azure, Anthropic, Gemini, vLLM and llama.cpp send them in
# `error.code`, `error.type` or `error.status`. A code wins over the status.
CODE_KINDS: Mapping[str, ErrorKind] = {
    "insufficient_quota": ErrorKind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": ErrorKind.QUOTA_EXHAUSTED,
    "billing_error": ErrorKind.QUOTA_EXHAUSTED,
    "quota_exceeded": ErrorKind.QUOTA_EXHAUSTED,
    "context_length_exceeded": ErrorKind.TOO_LARGE,
    "exceed_context_size_error": ErrorKind.TOO_LARGE,
    "request_too_large": ErrorKind.TOO_LARGE,
    "rate_limit_error": ErrorKind.RATE_LIMITED,
    "rate_limit_exceeded": ErrorKind.RATE_LIMITED,
    "overloaded_error": ErrorKind.SERVER_ERROR,
    "timeout_error": ErrorKind.TIMEOUT,
}

REFUSAL_CODES = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
)

# Servers that have no code for it: vLLM, Anthropic, Gemini. Read on 400 alone.
TOO_LARGE_PHRASES = (
    "maximum context length",
    "prompt is too long",
    "exceeds the available context size",
    "exceeds the maximum number of tokens",
    "longer than the model's context length",
)

# The provider may have done the work before it failed.
BILLED_KINDS = frozenset({ErrorKind.TIMEOUT, ErrorKind.SERVER_ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure, without text.

    Attributes:
        kind: What went wrong.
        status: HTTP status, or None where there was no response.
        retry_after_s: What the provider asked to wait, in seconds, or None.
        billed: True if the provider may have charged for the attempt.
        refused: True if the provider declined the content: an answer, not an error.
    """

    kind: ErrorKind
    status: int | None = None
    retry_after_s: float | None = None
    billed: bool = False
    refused: bool = False

    def error(self) -> ProviderError:
        """Return the error to raise."""
        return ProviderError(
            self.kind,
            status=self.status,
            retry_after_s=self.retry_after_s,
            billed=self.billed,
        )


def fault_of_response(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Return the fault that an HTTP response other than 2xx stands for.

    A redirect is `not_found`: the endpoint is not where the catalogue says, and following
    it could carry the prompt to another host.
    """
    try:
        parsed: Json = json.loads(body)
    except ValueError:
        parsed = None
    waits = retry_after_s(headers)
    return fault_of_error(error_object(parsed), status=status, waits=waits)


def fault_of_error(
    error: Mapping[str, Json], *, status: int | None, waits: float | None = None
) -> Fault:
    """Return the fault of an error object, from a response or from within a stream.

    Args:
        error: The object below `error`, or empty.
        status: HTTP status of the response; None inside a stream, where the object's own
            code stands in for it.
        waits: Seconds of a Retry-After header.
    """
    codes = frozenset(spelled(error))
    in_stream = status is None
    number = error.get("code")
    if in_stream and isinstance(number, int) and number in range(400, 600):
        status = number
    kind = kind_of_status(500 if status is None else status)
    kind = next((CODE_KINDS[code] for code in CODE_KINDS if code in codes), kind)
    if status == 400 and kind is ErrorKind.INVALID_REQUEST and says_too_large(error):  # noqa: PLR2004
        kind = ErrorKind.TOO_LARGE
    if kind is ErrorKind.RATE_LIMITED and per_day(error):
        kind = ErrorKind.QUOTA_EXHAUSTED
    return Fault(
        kind=kind,
        status=status,
        retry_after_s=waits if waits is not None else retry_delay_s(error),
        billed=in_stream or kind in BILLED_KINDS,
        refused=bool(codes & REFUSAL_CODES),
    )


def fault_of_exception(error: BaseException, *, sent: bool, guarded: bool) -> Fault:
    """Return the fault of an exception of LiteLLM that the wire does not explain.

    Classes say little (a refused connection is an InternalServerError), so the status
    counts. On a guarded call the wire has named every failure of the endpoint already:
    what is left is LiteLLM refusing a parameter before it sent anything, or failing itself.

    Args:
        error: What LiteLLM raised.
        sent: Whether a request went out.
        guarded: Whether the wire was watched.
    """
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else None
    if guarded:
        refused = not sent and status in {400, 422}
        kind = ErrorKind.INVALID_REQUEST if refused else ErrorKind.INTERNAL
        return Fault(kind=kind, billed=sent)
    headers: Mapping[str, str] | None = getattr(error, "litellm_response_headers", None)
    if status is not None and (headers is not None or status < 500):  # noqa: PLR2004
        kind = kind_of_status(status)
        waits = None if headers is None else retry_after_s(headers)
        return Fault(kind=kind, status=status, retry_after_s=waits, billed=kind in BILLED_KINDS)
    causes = tuple(chain(error))
    if any(isinstance(cause, ImportError) for cause in causes):
        return Fault(kind=ErrorKind.INTERNAL)
    lost = any(isinstance(cause, OSError) for cause in causes)
    return Fault(kind=ErrorKind.UNREACHABLE if lost else ErrorKind.INTERNAL, billed=True)


def kind_of_status(status: int) -> ErrorKind:
    """Return the kind that a status stands for where no code says more."""
    if status in range(300, 400):
        return ErrorKind.NOT_FOUND
    default = ErrorKind.INVALID_REQUEST if status in range(400, 500) else ErrorKind.SERVER_ERROR
    return STATUS_KINDS.get(status, default)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a Retry-After header asks for, or None.

    Source: RFC 9110 section 10.2.3, seconds or an HTTP date; `retry-after-ms` is OpenAI's.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        if "retry-after-ms" in lower:
            return max(0.0, float(lower["retry-after-ms"]) / 1000)
        if "retry-after" not in lower:
            return None
        value = lower["retry-after"].strip()
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def error_object(parsed: Json) -> Mapping[str, Json]:
    """Return the object below `error`; Gemini wraps it in a list, vLLM leaves it bare."""
    if isinstance(parsed, list):
        parsed = parsed[0] if parsed else None
    if not isinstance(parsed, dict):
        return {}
    inner = parsed.get("error", parsed)
    return inner if isinstance(inner, dict) else {"message": inner}


def spelled(error: Mapping[str, Json]) -> Iterator[str]:
    """Yield the structured codes of an error object, in lower case."""
    inner = error.get("innererror")
    for place in (error, inner if isinstance(inner, dict) else {}):
        for name in ("code", "type", "status"):
            value = place.get(name)
            if isinstance(value, str):
                yield value.lower()


def says_too_large(error: Mapping[str, Json]) -> bool:
    """Whether the message of an error says that the prompt is too long."""
    message = str(error.get("message", "")).lower()
    return any(phrase in message for phrase in TOO_LARGE_PHRASES)


def details(error: Mapping[str, Json]) -> Iterable[dict[str, Json]]:
    """Return the detail objects of a Google error."""
    found = error.get("details")
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def per_day(error: Mapping[str, Json]) -> bool:
    """Whether a Google error names a quota that does not come back within minutes."""
    return any("PerDay" in json.dumps(part.get("violations")) for part in details(error))


def retry_delay_s(error: Mapping[str, Json]) -> float | None:
    """Return the `retryDelay` of a Google error (`"37s"`) in seconds, or None."""
    for part in details(error):
        value = part.get("retryDelay")
        if isinstance(value, str) and value.endswith("s"):
            try:
                return max(0.0, float(value[:-1]))
            except ValueError:
                return None
    return None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
