"""Importing LiteLLM is not noticed by the process it happens in."""

from __future__ import annotations

from pathlib import Path

from tests.provider.sending import run_python

PRELUDE = """
import asyncio, logging, os, socket, sys, threading, warnings

def blocked(*args, **named):
    print("NETWORK", args[1:])
    raise OSError("blocked")

def guard():
    socket.socket.connect = blocked
    socket.getaddrinfo = blocked

from modelrouter.litellm_provider import LiteLLMProvider
"""


def test_the_provider_is_imported_without_litellm_and_its_clients() -> None:
    code = PRELUDE + "print(sorted({'httpx', 'litellm', 'openai'} & set(sys.modules)))"
    assert run_python(code) == "[]\n"


def test_warming_up_changes_nothing_of_the_host_and_reaches_no_network(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_DOTENV=1\nOPENAI_API_KEY=sk-from-dotenv\n")
    code = (
        PRELUDE
        + """
guard()
logging.getLogger("httpx").setLevel(logging.INFO)
mine = logging.StreamHandler(open(os.devnull, "w"))
logging.basicConfig(level=logging.DEBUG, handlers=[mine])

def own(filters):
    # All but the one that keeps answers out of warnings.
    return [each for each in filters if "serializer" not in str(each[1])]

def snapshot():
    loggers = {"root": logging.root, **{
        name: logging.getLogger(name)
        for name in ("httpx", "httpcore", "asyncio", "openai", "aiohttp", "uvicorn.error",
                     "uvicorn.access", "backoff", "apscheduler.scheduler")}}
    ours = "modelrouter"
    return (
        dict(os.environ), own(warnings.filters), sys.excepthook, threading.excepthook,
        {name: (each.level, list(each.handlers), each.propagate, each.disabled,
                [part for part in each.filters if not type(part).__module__.startswith(ours)])
         for name, each in loggers.items()},
    )

before = snapshot()
asyncio.run(LiteLLMProvider().warm_up())
after = snapshot()
for was, now in zip(before, after):
    if was != now:
        print("CHANGED", was, now)
print("litellm" in sys.modules, "FROM_DOTENV" in os.environ)
"""
    )
    found = run_python(code, env={"LITELLM_LOG": "DEBUG", "LITELLM_MODE": "DEV"}, cwd=tmp_path)
    assert found == "True False\n"


def test_the_event_loop_goes_on_while_litellm_is_imported() -> None:
    code = (
        PRELUDE
        + """
async def main():
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1
    ticking = asyncio.ensure_future(tick())
    await LiteLLMProvider().warm_up()
    ticking.cancel()
    print(ticks > 20)
asyncio.run(main())
"""
    )
    assert run_python(code) == "True\n"


def test_two_threads_may_warm_up_at_once() -> None:
    code = (
        PRELUDE
        + """
provider = LiteLLMProvider()
failures = []
def warm(provider):
    try:
        asyncio.run(provider.warm_up())
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=warm, args=(each,))
           for each in (provider, provider, LiteLLMProvider(), LiteLLMProvider())]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(failures)
"""
    )
    assert run_python(code) == "[]\n"


def test_a_litellm_that_the_host_imported_keeps_its_settings() -> None:
    code = """
import os, warnings
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_MODE"] = "PRODUCTION"
import asyncio, logging, litellm
litellm.suppress_debug_info = False
litellm.drop_params = True
def own(filters):
    return [each for each in filters if "serializer" not in str(each[1])]
before = (dict(os.environ), own(warnings.filters), logging.getLogger("httpx").level,
          list(logging.getLogger("LiteLLM").handlers))
from modelrouter.litellm_provider import LiteLLMProvider
asyncio.run(LiteLLMProvider().warm_up())
after = (dict(os.environ), own(warnings.filters), logging.getLogger("httpx").level,
         list(logging.getLogger("LiteLLM").handlers))
print(before == after, litellm.suppress_debug_info, litellm.drop_params)
"""
    assert run_python(code) == "True False True\n"


def test_a_first_call_that_is_cold_keeps_its_deadline() -> None:
    code = (
        PRELUDE
        + """
import time
from modelrouter.ports import Key, ProviderError, Send
from modelrouter.testing import LoopbackServer
async def main():
    provider = LiteLLMProvider()
    with LoopbackServer() as server:
        def send(seconds):
            return Send(model="m", upstream="hosted_vllm/m", api_base=server.url + "/v1",
                key=Key(""), in_house=True, messages=({"role": "user", "content": "Hi"},),
                parameters={}, max_output=9, timeout_s=seconds)
        try:
            await provider.complete(send(0.05))
        except ProviderError as error:
            print(error.kind, error.billed, error.__context__)
        done = await provider.complete(send(60.0))
        print(done.payload["choices"][0]["message"]["content"])
asyncio.run(main())
"""
    )
    assert run_python(code) == "timeout False None\nHello from the loopback server.\n"


def test_a_process_that_ends_with_connections_open_says_nothing() -> None:
    code = (
        PRELUDE
        + """
from modelrouter.ports import Key, Send
from modelrouter.testing import LoopbackServer
async def main():
    provider = LiteLLMProvider()
    with LoopbackServer() as server:
        for upstream in ("openai/m", "hosted_vllm/m", "anthropic/m", "gemini/m"):
            for in_house in (True, False):
                send = Send(model="m", upstream=upstream, api_base=server.url + "/v1",
                    key=Key("k"), in_house=in_house, messages=({"role": "user", "content": "Hi"},),
                    parameters={}, max_output=9, timeout_s=60.0)
                await provider.complete(send)
                stream = provider.stream(send)
                await anext(stream)
asyncio.run(main())
"""
    )
    assert run_python(code) == ""
