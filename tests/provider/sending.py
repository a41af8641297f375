"""What the tests of the LiteLLM provider share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import modelrouter.ports
from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.ports import Chunk, Completion, Key, ProviderError, Send
from modelrouter.testing import LoopbackServer

CANARY = "canary-4711-in-the-prompt"
ECHO = "canary-4712-in-the-error"

OPENAI = "openai/gpt-4o"
VLLM = "hosted_vllm/some-model"
ANTHROPIC = "anthropic/claude-sonnet-4-5"
GEMINI = "gemini/gemini-2.5-flash"
UPSTREAMS = (OPENAI, VLLM, ANTHROPIC, GEMINI)

PLAIN, IN_HOUSE, STREAM = "plain", "in-house", "stream"
MODES = (PLAIN, IN_HOUSE, STREAM)
# What a vendor's endpoint and one's own have in common, four wire formats, three ways to read.
WAYS = [(upstream, mode) for upstream in UPSTREAMS for mode in MODES]
STREAMED_WAYS = [way for way in WAYS if way[1] != PLAIN]

ROOT = Path(modelrouter.ports.__file__).parents[1]


def base(upstream: str, server: LoopbackServer) -> str:
    return server.url if upstream.startswith(("anthropic/", "gemini/")) else server.url + "/v1"


def sending(
    server: LoopbackServer, upstream: str = VLLM, mode: str = PLAIN, **changes: Any
) -> Send:
    values: dict[str, Any] = {
        "model": "catalogue/id",
        "upstream": upstream,
        "api_base": base(upstream, server),
        "key": Key("sk-declared"),
        "in_house": mode == IN_HOUSE,
        "messages": ({"role": "user", "content": CANARY},),
        "parameters": {},
        "max_output": 50,
        "timeout_s": 5.0,
    }
    return Send(**(values | changes))


async def carry(provider: LiteLLMProvider, send: Send, mode: str) -> Completion | list[Chunk]:
    if mode == STREAM:
        return [chunk async for chunk in provider.stream(send)]
    return await provider.complete(send)


async def failing(provider: LiteLLMProvider, send: Send, mode: str) -> ProviderError:
    """The error of a call that fails."""
    try:
        done = await carry(provider, send, mode)
    except ProviderError as error:
        return error
    raise AssertionError(f"no error but {done}")


def run_python(code: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run code in a fresh interpreter where every warning is an error; return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr
