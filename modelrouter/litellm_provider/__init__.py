"""One transmission to one endpoint through LiteLLM, watched on the wire."""

from __future__ import annotations

import functools

from modelrouter.litellm_provider.provider import LiteLLMProvider
from modelrouter.litellm_provider.routes import GUARDED_PROVIDERS

__all__ = ["GUARDED_PROVIDERS", "LiteLLMProvider", "default_provider"]


@functools.cache
def default_provider() -> LiteLLMProvider:
    """Return the provider that reaches every vendor; routers share its connections.

    It keeps nothing of a call. One of its own for each router would leave connections to
    the garbage collector whenever a router is dropped.
    """
    return LiteLLMProvider()
