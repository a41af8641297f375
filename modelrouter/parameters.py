"""The parameters a call may carry besides its messages."""

from __future__ import annotations

__all__ = ["ACCEPTED_PARAMETERS"]

# OpenAI's chat completions, without what the router itself decides or sends: `model`,
# `messages`, `stream`, `stream_options`, `max_tokens` and `max_completion_tokens`. Left out
# besides: `store`, which would have a vendor keep the conversation, and `web_search_options`,
# which would have it send parts of the prompt to a search engine: recipients the policy has
# not seen. Anything that names an address, a key, a header or a further model is no
# parameter of a call.
ACCEPTED_PARAMETERS = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
