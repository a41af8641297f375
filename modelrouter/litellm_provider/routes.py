"""Which of LiteLLM's providers can be watched on the wire, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["GUARDED_PROVIDERS", "NO_KEY", "ROUTES", "Route"]

# Given to LiteLLM for an endpoint that takes no key, so that it does not look for one in
# the environment; the exchange removes it before it leaves.
NO_KEY = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a provider is reached.

    Attributes:
        client: The class LiteLLM accepts as `client=` there: its own HTTP handler or
            openai's client. Given the other one, it would use a client of its own.
        dialect: Wire format of the answers, a name of `witness.DIALECTS`.
    """

    client: Literal["handler", "sdk"]
    dialect: Literal["anthropic", "gemini", "openai"] = "openai"

    @property
    def native(self) -> bool:
        """Whether the answer is OpenAI-shaped on the wire and is taken from there.

        LiteLLM's stream wrapper keeps the first of several choices only and drops log
        probabilities; its translation of what needs none is left aside.
        """
        return self.dialect == "openai"


ROUTES: Mapping[str, Route] = {
    "anthropic": Route(client="handler", dialect="anthropic"),
    "gemini": Route(client="handler", dialect="gemini"),
    "hosted_vllm": Route(client="handler"),
    "openai": Route(client="sdk"),
}

GUARDED_PROVIDERS = frozenset(ROUTES)
