"""Puts the pieces of a streamed answer together."""

from modelrouter.litellm_provider.answers import Assembly

__all__ = ["Assembly"]
