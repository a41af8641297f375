"""Route model calls by policy: what is forbidden is separated from what is preferred.

A policy in YAML says which models may receive which calls, and which of those are
preferred. The router decides, sends through LiteLLM, and says why::

    from modelrouter import Router

    router = Router.from_policy("policies/quickstart")
    reply = router.completion([{"role": "user", "content": "Hello"}], sensitivity="public")
    print(reply.text, reply.model, reply.cost_usd)

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelrouter.decision import Candidate, Decision, Exclusion, Reason
    from modelrouter.errors import (
        BudgetBusy,
        BudgetExceeded,
        BundleRefused,
        CallError,
        CallFailed,
        CallInvalid,
        CallTimedOut,
        CallUnauthorised,
        ConfigurationError,
        ModelRouterError,
        PolicyDenied,
        PolicyError,
    )
    from modelrouter.labels import Label
    from modelrouter.ports import Chunk
    from modelrouter.receipts import Receipt
    from modelrouter.reply import Reply
    from modelrouter.router import Router
    from modelrouter.values import Usage

__all__ = [
    "BudgetBusy",
    "BudgetExceeded",
    "BundleRefused",
    "CallError",
    "CallFailed",
    "CallInvalid",
    "CallTimedOut",
    "CallUnauthorised",
    "Candidate",
    "Chunk",
    "ConfigurationError",
    "Decision",
    "Exclusion",
    "Label",
    "ModelRouterError",
    "PolicyDenied",
    "PolicyError",
    "Reason",
    "Receipt",
    "Reply",
    "Router",
    "Usage",
]

HOMES: dict[str, tuple[str, ...]] = {
    "decision": ("Candidate", "Decision", "Exclusion", "Reason"),
    "errors": (
        "BudgetBusy",
        "BudgetExceeded",
        "BundleRefused",
        "CallError",
        "CallFailed",
        "CallUnauthorised",
        "CallTimedOut",
        "CallInvalid",
        "ConfigurationError",
        "ModelRouterError",
        "PolicyDenied",
        "PolicyError",
    ),
    "labels": ("Label",),
    "ports": ("Chunk",),
    "receipts": ("Receipt",),
    "reply": ("Reply",),
    "router": ("Router",),
    "values": ("Usage",),
}
"""Where each public name lives."""


if not TYPE_CHECKING:  # a type checker must not think that any name exists

    def __getattr__(name: str) -> object:
        """Load a public name on first use."""
        for module, names in HOMES.items():
            if name in names:
                value: object = getattr(import_module(f"{__name__}.{module}"), name)
                globals()[name] = value
                return value
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
