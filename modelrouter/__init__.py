"""Route model calls by policy: what is forbidden is separated from what is preferred.

A policy in YAML says which models may receive which calls, and which of those are
preferred. The router decides, sends through LiteLLM, and says why::

    from modelrouter import Router

    router = Router.from_policy("policies/quickstart")
    reply = router.completion([{"role": "user", "content": "Hello"}], sensitivity="public")
    print(reply.text, reply.model, reply.cost_usd)
"""

from modelrouter.decision import Candidate, Decision, Exclusion, Reason
from modelrouter.errors import (
    BudgetBusy,
    BudgetExceeded,
    CallError,
    CallFailed,
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
    "CallError",
    "CallFailed",
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
