"""Every error a caller can meet, in one tree.

::

    ModelRouterError
    ├── PolicyError            the files: all problems at once, each with file:line:column
    ├── CallError              the arguments of one call, before anything was decided
    ├── ConfigurationError     the router's own set-up: credentials, endpoints, handlers
    ├── BundleRefused          a signed bundle that cannot be trusted; nothing of it is used
    ├── PolicyDenied           the policy allows no model; carries the decision
    ├── BudgetExceeded         a model is allowed, the money is not there; terminal
    ├── BudgetBusy             the money is held by calls in flight; may pass later
    └── CallFailed             a model was allowed and tried, and did not answer
        ├── CallInvalid        the provider says the request is wrong; no other model was tried
        ├── CallUnauthorised   the provider refused the credential; no other model was tried
        └── CallTimedOut       the deadline of the whole call passed

Messages carry ids and figures, never content: no prompt, no answer, no text of a
provider's error. The remedy is a note (PEP 678) that begins with ``hint:``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from modelrouter.decision import Decision

__all__ = [
    "Attempted",
    "BudgetBusy",
    "BudgetExceeded",
    "BundleRefused",
    "CallError",
    "CallFailed",
    "CallInvalid",
    "CallTimedOut",
    "CallUnauthorised",
    "ConfigurationError",
    "ErrorKind",
    "ModelRouterError",
    "PolicyDenied",
    "PolicyError",
    "Problem",
    "Severity",
]

Severity = Literal["error", "warning", "info"]


class ErrorKind(StrEnum):
    """What went wrong with one attempt, whatever the provider calls it."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    INVALID_OUTPUT = "invalid_output"
    INCOMPLETE = "incomplete"
    INVALID_REQUEST = "invalid_request"
    TOO_LARGE = "too_large"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    CREDENTIAL_MISSING = "credential_missing"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding about a policy file.

    Attributes:
        code: `MR` and three digits; docs/reference/problem-codes.md lists them.
        severity: `error` stops the load; `warning` and `info` do not.
        file: Path as the caller gave it, or relative to the policy's folder.
        line: 1-based.
        column: 1-based, in code points.
        message: What is wrong, lower case, no final stop.
        hint: What to do about it, or None.
    """

    code: str
    severity: Severity = "error"
    file: str
    line: int = 1
    column: int = 1
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        """Return `file:line:column: severity CODE message`, the hint on a second line."""
        head = f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code} {self.message}"
        return f"{head}\n    hint: {self.hint}" if self.hint else head


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """One attempt that did not bring an answer.

    Attributes:
        model: Catalogue id.
        number: 1-based position among the attempts of the call.
        kind: What went wrong.
        status: HTTP status, or None where there was no response.
    """

    model: str
    number: int
    kind: ErrorKind
    status: int | None = None

    def __str__(self) -> str:
        """Return `model: kind (HTTP status)`."""
        return f"`{self.model}`: {self.kind}" + (f" (HTTP {self.status})" if self.status else "")


class ModelRouterError(Exception):
    """Base of every error of this package.

    Args:
        message: What happened and where.
        hint: What to do about it; becomes a note that begins with `hint:`.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")


class PolicyError(ModelRouterError):
    """A policy that does not load.

    Attributes:
        problems: Every problem found, ordered by file, line and column; never empty.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        lines = "\n".join(str(problem) for problem in self.problems)
        super().__init__(
            f"the policy does not load: {count} {noun}\n{lines}",
            hint="`modelrouter check PATH` prints the same list",
        )


class CallError(ModelRouterError):
    """An argument of a call is wrong; nothing was decided or sent.

    Attributes:
        argument: Name of the argument.
    """

    def __init__(self, message: str, *, argument: str, hint: str | None = None) -> None:
        super().__init__(f"`{argument}`: {message}", hint=hint)
        self.argument = argument


class ConfigurationError(ModelRouterError):
    """The router cannot be built or used as it is set up."""


class BundleRefused(ModelRouterError):
    """A signed bundle cannot be trusted, or a policy is not fit to be signed."""


class PolicyDenied(ModelRouterError):
    """No model may serve this call.

    Attributes:
        decision: The denial, with every exclusion and its reasons.
    """

    def __init__(self, message: str, *, decision: Decision, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.decision = decision


class BudgetExceeded(ModelRouterError):
    """A model is allowed, but no budget of this call has room for it. Do not retry.

    Attributes:
        decision: The decision whose candidates could not be paid for.
        budgets: Ids of the budgets without room.
    """

    def __init__(
        self,
        message: str,
        *,
        decision: Decision,
        budgets: Sequence[str],
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.decision = decision
        self.budgets: tuple[str, ...] = tuple(budgets)


class BudgetBusy(BudgetExceeded):
    """The money is there, but held by calls in flight; a later try may pass."""


class CallFailed(ModelRouterError):
    """Every attempt the decision and the retry rules allowed has failed.

    Attributes:
        decision: The decision that was carried out.
        attempts: What was tried, in order.
    """

    def __init__(
        self,
        message: str,
        *,
        decision: Decision,
        attempts: Sequence[Attempted],
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.decision = decision
        self.attempts: tuple[Attempted, ...] = tuple(attempts)


class CallInvalid(CallFailed):
    """A provider says that the request itself is wrong: 400, 404, 413, 422."""


class CallUnauthorised(CallFailed):
    """A provider refused the credential (401, 403), or it is not set."""


class CallTimedOut(CallFailed):
    """The deadline of the whole call passed."""
