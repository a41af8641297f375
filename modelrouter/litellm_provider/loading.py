"""Imports LiteLLM without letting the host notice. The only module that imports it.

At import LiteLLM loads the host's `.env`, fetches a price list, sets logger levels, adds
handlers to its loggers and filters to those of others, and changes the warning filters.
All of that is prevented or undone here, as far as it touches anything but LiteLLM itself.
A host that has imported LiteLLM before has it as it wants it: then nothing is touched.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["LiteLLM", "litellm_is_loaded", "load"]

# For the import alone. A host's own values are put back after it.
#   LITELLM_LOCAL_MODEL_COST_MAP: no price list from the network.
#   LITELLM_MODE: anything but DEV: no `.env`.
#   LITELLM_LOG: no warnings on standard error while it imports.
# HF_HUB_OFFLINE is left alone: huggingface_hub reads it once and would stay offline for the
# host. `LiteLLM.settle` does what it would be set for.
IMPORT_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
}
OWN_LOGGERS = ("LiteLLM", "litellm")
# Loggers of others whose level LiteLLM sets.
LEVELS = ("apscheduler.executors.default", "apscheduler.scheduler", "httpx")

QUOTING = "Pydantic serializer warnings"
_lock = threading.Lock()
_loaded: LiteLLM | None = None


class LiteLLM:
    """What is used of LiteLLM, and nothing else.

    Attributes:
        acompletion: `litellm.acompletion`.
        handler: The class of LiteLLM's own HTTP client, which it accepts as `client=`.
        sdk: The class of openai's client, which it accepts as `client=` elsewhere.
    """

    def __init__(self) -> None:
        import litellm  # noqa: PLC0415 - seconds to import, and it changes the process
        import openai  # noqa: PLC0415
        from litellm.llms.custom_httpx.http_handler import (  # pyright: ignore[reportMissingTypeStubs]  # noqa: PLC0415
            AsyncHTTPHandler,
        )

        self._module: Any = litellm
        self._bridged: dict[str, bool] = {}
        self.acompletion: Any = litellm.acompletion
        self.handler: Any = AsyncHTTPHandler
        self.sdk: type[openai.AsyncOpenAI] = openai.AsyncOpenAI

    def bridged(self, upstream: str) -> bool:
        """Whether LiteLLM would reach a model by OpenAI's Responses protocol instead.

        It does so by a client of its own that cannot be given, and reads another format.
        """
        known = self._bridged.get(upstream)
        if known is None:
            try:
                mode = self._module.get_model_info(model=upstream).get("mode")
            except Exception:  # noqa: BLE001 - it raises a bare Exception for unlisted models
                mode = None
            known = mode == "responses" or upstream.partition("/")[2].startswith("responses/")
            self._bridged[upstream] = known
        return known

    def settle(self, *, alone: bool) -> None:
        """Change the two settings of LiteLLM that a call cannot bring along.

        At the start of a stream LiteLLM counts the tokens of an empty text, in the event
        loop, and for names like Llama's it fetches a tokenizer from the network for that:
        24 seconds where there is none. It counts with its own one then. And it prints a
        banner to standard output on errors; a host that uses LiteLLM itself may want that.

        Args:
            alone: Whether nobody has imported LiteLLM before.
        """
        self._module.disable_hf_tokenizer_download = True
        if alone:
            self._module.suppress_debug_info = True

    @property
    def redirected(self) -> bool:
        """Whether the process has LiteLLM send calls elsewhere, whatever their address.

        `USE_LITELLM_PROXY` renames model and provider; `model_fallbacks` sends the prompt to
        further models. Neither can be refused call by call.
        """
        proxy = os.environ.get("USE_LITELLM_PROXY", "").strip().lower()
        return (
            proxy in {"1", "true", "yes", "on"}
            or self._module.use_litellm_proxy is True
            or bool(self._module.model_fallbacks)
        )


def litellm_is_loaded() -> bool:
    """Whether `load` would return at once."""
    return _loaded is not None


def load() -> LiteLLM:
    """Import LiteLLM once; safe from several threads."""
    global _loaded  # noqa: PLW0603 - a module is imported once for the process
    with _lock:
        if _loaded is None:
            first = "litellm" not in sys.modules
            with undisturbed() if first else nothing():
                found = LiteLLM()
                build_types()
            found.settle(alone=first)
            keep_answers_out_of_warnings()
            _loaded = found
        return _loaded


def keep_answers_out_of_warnings() -> None:
    """Silence the one warning that quotes an answer.

    LiteLLM serialises answers, and where a field has an odd type pydantic warns and shows
    its value. Warnings cannot be told apart by thread, so this filter stays.
    """
    warnings.filterwarnings("ignore", message=QUOTING, category=UserWarning)


def build_types() -> None:
    """Build LiteLLM's answer types now.

    It builds them on first use, and pydantic warns about some; the filters that hide those
    warnings are global and are about to go.
    """
    from pydantic import BaseModel  # noqa: PLC0415 - where it is used

    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        for model in waiting.pop().__subclasses__():
            waiting.append(model)
            if model.__module__ == "litellm.types.utils" and not model.__pydantic_complete__:
                model.model_rebuild(raise_errors=False)


@contextmanager
def nothing() -> Generator[None]:
    """Do nothing."""
    yield


@contextmanager
def undisturbed() -> Generator[None]:
    """Put the environment, warning filters and loggers back as they were.

    Only what LiteLLM is known to change is put back: the import takes seconds, and another
    thread of the host may be setting up its logging meanwhile.
    """
    before = {name: os.environ.get(name) for name in IMPORT_ENVIRONMENT}
    levels = {name: logging.getLogger(name).level for name in LEVELS}
    os.environ.update(IMPORT_ENVIRONMENT)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for logger in every_logger():
            if not logger.name.startswith(OWN_LOGGERS):
                take_back(logger)


def every_logger() -> Iterator[logging.Logger]:
    """Yield the root logger and every other one."""
    yield logging.root
    for logger in tuple(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger


def take_back(logger: logging.Logger) -> None:
    """Remove what LiteLLM has put on a logger that is not its own."""
    for handler in tuple(logger.handlers):
        if type(handler).__module__.startswith("litellm"):
            logger.removeHandler(handler)
    for part in tuple(logger.filters):
        if type(part).__module__.startswith("litellm"):
            logger.removeFilter(part)
