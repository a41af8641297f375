from __future__ import annotations

import inspect

from modelrouter.parameters import ACCEPTED_PARAMETERS
from tests.provider.sending import run_python

# What the router decides, and what would name an address, a key, a header or another model.
NEVER = {
    "api_base",
    "api_key",
    "base_url",
    "client",
    "context_window_fallback_dict",
    "custom_llm_provider",
    "extra_body",
    "extra_headers",
    "extra_query",
    "fallbacks",
    "headers",
    "max_completion_tokens",
    "max_retries",
    "max_tokens",
    "messages",
    "metadata",
    "mock_response",
    "model",
    "num_retries",
    "store",
    "stream",
    "stream_options",
    "timeout",
    "web_search_options",
}


def test_only_parameters_of_openai_chat_completions_are_accepted() -> None:
    from openai.resources.chat.completions import AsyncCompletions  # noqa: PLC0415 - slow

    assert set(inspect.signature(AsyncCompletions.create).parameters) >= ACCEPTED_PARAMETERS


def test_nothing_that_redirects_a_call_is_accepted() -> None:
    assert not NEVER & ACCEPTED_PARAMETERS


def test_the_list_costs_nothing_to_import() -> None:
    code = "import sys, modelrouter.parameters; print('litellm' in sys.modules)"
    assert run_python(code) == "False\n"
