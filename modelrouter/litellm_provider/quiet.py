"""Keeps what LiteLLM and the clients under it write to logs away from content.

At DEBUG they log request bodies, answers and errors. The host's levels and handlers are its
own, so nothing of them is changed: a filter on each of those loggers drops records while a
call of ours is running, and lets everything else pass.
"""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelrouter.litellm_provider.exchange import Exchange

__all__ = ["CURRENT", "hush"]

# The transmission that the running code belongs to. Tasks and worker threads that LiteLLM
# starts during a call inherit it, and stay silent with it.
CURRENT: ContextVar[Exchange | None] = ContextVar("modelrouter_exchange", default=None)

NAMES = ("LiteLLM", "aiohttp", "asyncio", "httpcore", "httpx", "litellm", "openai")

_lock = threading.Lock()
_known = 0


class OutsideOfCalls(logging.Filter):
    """Drops a record if it is written while a call of ours is running."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the base's name
        """Whether the record may pass."""
        return CURRENT.get() is None


_FILTER = OutsideOfCalls()


def hush() -> None:
    """Put the filter on every logger of LiteLLM, openai, httpx, httpcore and aiohttp.

    A logger's filter does not cover its children, and new ones appear as modules are
    imported, so this is called before every transmission; it looks only if the number of
    loggers has changed.
    """
    global _known  # noqa: PLW0603 - loggers are as global
    loggers = logging.root.manager.loggerDict
    if len(loggers) == _known:
        return
    with _lock:
        _known = len(loggers)
        for name, logger in tuple(loggers.items()):
            if name.startswith(NAMES) and isinstance(logger, logging.Logger):
                logger.addFilter(_FILTER)  # adding it twice changes nothing
