"""Which of LiteLLM's providers can be watched on the wire, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modelrouter.values import Json

__all__ = ["GUARDED_PROVIDERS", "NO_KEY", "ROUTES", "Route"]

# Given to LiteLLM for an endpoint that takes no key, so that it does not look for one in
# the environment; the exchange removes it before it leaves.
NO_KEY = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a provider answers.

    Attributes:
        dialect: Wire format of the answers, a name of `witness.DIALECTS`.
        native: Whether an answer is taken from the wire as it is. LiteLLM's stream wrapper
            keeps the first of several choices only and loses log probabilities; where the
            wire already is OpenAI-shaped, its translation is left aside.
    """

    dialect: Literal["anthropic", "gemini", "openai"] = "openai"
    native: bool = False

    def name(self, upstream: str) -> str:
        """Return the model name to give to LiteLLM.

        Under `openai/` LiteLLM turns some calls into the Responses protocol, depending on
        model, tools and address; under `custom_openai/` it does not.
        """
        prefix, _, rest = upstream.partition("/")
        return f"custom_openai/{rest}" if prefix == "openai" else upstream

    def limit(self, upstream: str, tokens: int) -> dict[str, Json]:
        """Return the arguments that limit output tokens.

        OpenAI's reasoning models take no `max_tokens`, and servers that are only compatible
        know nothing else. LiteLLM's adapters rename it for the other providers; under
        `custom_openai/` they would rename `max_completion_tokens` back, so that goes by the
        body that openai's client adds.
        """
        if REASONING.match(upstream):
            return {"extra_body": {"max_completion_tokens": tokens}}
        return {"max_tokens": tokens}


REASONING = re.compile(r"(openai|custom_openai)/(gpt-([5-9]|\d\d)|o\d)")

# Each of these is tested on the wire, plain and streamed: one request, through the guarded
# client. OpenAI-compatible servers of one's own are `hosted_vllm` or `openai`.
NATIVE = (
    "custom_openai",
    "docker_model_runner",
    "hosted_vllm",
    "llamafile",
    "lm_studio",
    "openai",
    "xinference",
)
TRANSLATED = (
    "baseten",
    "cerebras",
    "dashscope",
    "databricks",
    "deepinfra",
    "deepseek",
    "featherless_ai",
    "fireworks_ai",
    "friendliai",
    "github",
    "groq",
    "huggingface",
    "hyperbolic",
    "lambda_ai",
    "meta_llama",
    "mistral",
    "moonshot",
    "nebius",
    "novita",
    "nvidia_nim",
    "openrouter",
    "perplexity",
    "sambanova",
    "together_ai",
    "vercel_ai_gateway",
    "volcengine",
    "wandb",
    "xai",
    "zai",
)

ROUTES: Mapping[str, Route] = {
    "anthropic": Route(dialect="anthropic"),
    "gemini": Route(dialect="gemini"),
    **dict.fromkeys(NATIVE, Route(native=True)),
    **dict.fromkeys(TRANSLATED, Route()),
}

GUARDED_PROVIDERS = frozenset(ROUTES)
