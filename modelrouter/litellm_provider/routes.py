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
    """How a provider answers.

    Attributes:
        dialect: Wire format of the answers, a name of `witness.DIALECTS`.
        native: Whether an answer is taken from the wire as it is. LiteLLM's stream wrapper
            keeps the first of several choices only and loses log probabilities; where the
            wire already is OpenAI-shaped, its translation is left aside.
    """

    dialect: Literal["anthropic", "gemini", "openai"] = "openai"
    native: bool = False


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
    "azure_ai",
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
