"""One transmission to one endpoint through LiteLLM, watched on the wire."""

from __future__ import annotations

from modelrouter.litellm_provider.provider import LiteLLMProvider
from modelrouter.litellm_provider.routes import GUARDED_PROVIDERS

__all__ = ["GUARDED_PROVIDERS", "LiteLLMProvider"]
