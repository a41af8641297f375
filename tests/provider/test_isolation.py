"""Nothing of a call goes elsewhere: no address, no key, no log line, no exception text."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from modelrouter.errors import ConfigurationError, ErrorKind
from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.ports import Key, ProviderError
from modelrouter.testing import (
    Behaviour,
    LoopbackServer,
    Received,
    answer,
    drop,
    garbage,
    html,
    stall,
    status,
    truncate,
)
from tests.provider.sending import (
    CANARY,
    ECHO,
    IN_HOUSE,
    MODES,
    OPENAI,
    PLAIN,
    STREAM,
    STREAMED_WAYS,
    UPSTREAMS,
    VLLM,
    WAYS,
    carry,
    failing,
    run_python,
    sending,
)

ADDRESSES = (
    "ANTHROPIC_API_BASE",
    "ANTHROPIC_BASE_URL",
    "GEMINI_API_BASE",
    "HOSTED_VLLM_API_BASE",
    "LITELLM_PROXY_API_BASE",
    "OLLAMA_API_BASE",
    "OPENAI_API_BASE",
    "OPENAI_BASE_URL",
    "OPENAI_LIKE_API_BASE",
)
KEYS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "HOSTED_VLLM_API_KEY",
    "LITELLM_PROXY_API_KEY",
    "OPENAI_API_KEY",
)
PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "http_proxy", "https_proxy")


@pytest.fixture
def decoy(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A server that the whole environment points to."""
    with LoopbackServer(answer("from the decoy")) as server:
        for name in ADDRESSES:
            monkeypatch.setenv(name, server.url + "/v1")
        for name in KEYS:
            monkeypatch.setenv(name, "sk-from-the-environment")
        for name in ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID"):
            monkeypatch.setenv(name, "id-from-the-environment")
        monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-from-the-environment")
        monkeypatch.setenv("SSL_VERIFY", "False")
        monkeypatch.setenv("AIOHTTP_TRUST_ENV", "True")
        monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
        yield server


@pytest.mark.parametrize("key", ["sk-declared", ""])
@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_the_environment_names_neither_address_nor_key(
    provider: LiteLLMProvider, decoy: LoopbackServer, upstream: str, mode: str, key: str
) -> None:
    with LoopbackServer() as server:
        await carry(provider, sending(server, upstream, mode, key=Key(key)), mode)
        (request,) = server.requests
    assert decoy.requests == ()
    assert "environment" not in request.path + json.dumps(request.body)
    leaked = {name for name, value in request.headers.items() if "sk-from" in value}
    assert not leaked
    if mode == IN_HOUSE:
        assert "id-from-the-environment" not in request.headers.values()


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_proxy_is_not_used_in_house(
    decoy: LoopbackServer, monkeypatch: pytest.MonkeyPatch, upstream: str
) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, decoy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    fresh = LiteLLMProvider()
    with LoopbackServer() as server:
        done = await fresh.complete(sending(server, upstream, IN_HOUSE, timeout_s=20.0))
        assert len(server.requests) == 1
    assert decoy.requests == ()
    assert "decoy" not in json.dumps(done.payload)
    await fresh.aclose()


async def test_a_proxy_may_be_used_towards_a_vendor(
    decoy: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", decoy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    fresh = LiteLLMProvider()
    with LoopbackServer() as server:
        done = await fresh.complete(sending(server, VLLM, timeout_s=20.0))
        assert server.requests == ()
    assert decoy.requests[0].path.startswith("http://127.0.0.1")
    assert "decoy" in json.dumps(done.payload)
    await fresh.aclose()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("upstream", [OPENAI, VLLM])
async def test_litellm_set_to_its_proxy_sends_nothing(
    provider: LiteLLMProvider,
    decoy: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    upstream: str,
    mode: str,
) -> None:
    monkeypatch.setenv("USE_LITELLM_PROXY", "True")
    with LoopbackServer() as server:
        error = await failing(provider, sending(server, upstream, mode), mode)
        assert error.kind is ErrorKind.INTERNAL
        assert server.requests == ()
    assert decoy.requests == ()
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        await provider.warm_up()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("api_base", "decoy"),
        ("api_key", "sk-global"),
        ("openai_key", "sk-global"),
        ("headers", {"X-Secret": "s"}),
    ],
)
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_setting_of_the_host_in_litellm_does_not_redirect(
    provider: LiteLLMProvider,
    decoy: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    upstream: str,
    setting: str,
    value: Any,
) -> None:
    import litellm  # noqa: PLC0415 - the host's own use of it

    monkeypatch.setattr(litellm, setting, decoy.url + "/v1" if value == "decoy" else value)
    with LoopbackServer() as server:
        await provider.complete(sending(server, upstream, IN_HOUSE))
        (request,) = server.requests
    assert decoy.requests == ()
    assert "sk-global" not in str(dict(request.headers))
    assert "x-secret" not in request.headers


async def test_fallbacks_of_the_host_in_litellm_send_nothing(
    provider: LiteLLMProvider, decoy: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import litellm  # noqa: PLC0415 - the host's own use of it

    monkeypatch.setattr(litellm, "model_fallbacks", ["openai/gpt-4o"])
    with LoopbackServer(status(500)) as server:
        error = await failing(provider, sending(server, VLLM, IN_HOUSE), IN_HOUSE)
    assert error.kind is ErrorKind.INTERNAL
    assert decoy.requests == ()


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_callbacks_of_the_host_in_litellm_do_not_get_the_prompt(
    provider: LiteLLMProvider, monkeypatch: pytest.MonkeyPatch, upstream: str
) -> None:
    import litellm  # noqa: PLC0415 - the host's own use of it

    heard: list[str] = []

    def listen(*args: object, **_: object) -> None:
        heard.append(repr(args))

    for name in ("success_callback", "failure_callback"):
        monkeypatch.setattr(litellm, name, [listen])
    with LoopbackServer([answer("x"), answer("x"), answer("x"), status(500)]) as server:
        for mode in MODES:
            await carry(provider, sending(server, upstream, mode), mode)
        await failing(provider, sending(server, upstream), PLAIN)
        await asyncio.sleep(0.2)
    assert heard == []


async def test_cookies_are_not_kept(provider: LiteLLMProvider) -> None:
    script = Behaviour(headers={"Set-Cookie": "session=1; Path=/"})
    with LoopbackServer(script) as server:
        for upstream in UPSTREAMS:
            for mode in MODES:
                await carry(provider, sending(server, upstream, mode), mode)
        assert not [seen for seen in server.requests if "cookie" in seen.headers]


async def test_an_in_house_server_learns_nothing_about_us(provider: LiteLLMProvider) -> None:
    with LoopbackServer() as server:
        for upstream in UPSTREAMS:
            await provider.complete(sending(server, upstream, IN_HOUSE))
        names = {name for seen in server.requests for name in seen.headers}
    assert names == {
        "accept",
        "accept-encoding",
        "anthropic-version",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-api-key",
        "x-goog-api-key",
    }


ANSWER = "canary-4713-in-the-answer"

# Each ends a call in another part of LiteLLM.
ENDINGS: dict[str, Behaviour] = {
    "answer": answer(f"Fine. {ANSWER} indeed."),
    "status": status(500, message=f"{ECHO} {CANARY}"),
    "invalid": status(400, message=f"{ECHO} {CANARY}"),
    "unauthorised": status(401, message=f"{ECHO} {CANARY}"),
    "limited": status(429, message=f"{ECHO} {CANARY}"),
    "html": html(),
    "drop": drop(),
    "truncate": truncate(4, text=f"one {ANSWER} three four five six"),
    "garbage": garbage(4),
    "stall": stall(3),
    "in-stream": Behaviour(
        body=f'data: {{"error": {{"message": "{ECHO} {CANARY}"}}}}\n\n'.encode(),
        content_type="text/event-stream",
    ),
}


class Heard(logging.Handler):
    """Keeps every record as text, as a careless formatter would write it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name} {record.getMessage()} {record.__dict__!r}"
        if record.exc_info:
            text += "".join(traceback.format_exception(*record.exc_info))
        self.texts.append(text)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Everything that is logged, with every logger of LiteLLM and below it at DEBUG."""
    handler = Heard()
    root = logging.getLogger()
    names = [
        name
        for name in root.manager.loggerDict
        if name.lower().startswith(("litellm", "openai", "http", "aiohttp", "asyncio"))
    ]
    loggers = [root, *(logging.getLogger(name) for name in names)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_content_and_error_text_are_in_no_log_output_or_exception(
    provider: LiteLLMProvider,
    heard: Heard,
    capfd: pytest.CaptureFixture[str],
    upstream: str,
    mode: str,
    ending: str,
) -> None:
    error: ProviderError | None = None
    with LoopbackServer(ENDINGS[ending]) as server:
        send = sending(server, upstream, mode, timeout_s=0.5 if ending == "stall" else 5.0)
        assert CANARY not in repr(send)
        try:
            await carry(provider, send, mode)
        except ProviderError as caught:
            error = caught
        await asyncio.sleep(0.05)  # LiteLLM logs behind our back, in tasks and threads
        gc.collect()
    written = capfd.readouterr()
    everything = "\n".join([*heard.texts, written.out, written.err])
    for secret in (CANARY, ECHO, ANSWER, "sk-declared"):
        assert secret not in everything
    assert (written.out, written.err) == ("", "")
    if error is not None:
        assert error.__cause__ is None
        assert error.__context__ is None
        shown = "".join(traceback.TracebackException.from_exception(error).format())
        assert ECHO not in shown + repr(error.__dict__)
        assert CANARY not in shown + repr(error.__dict__)


async def test_a_host_still_hears_its_own_use_of_the_same_libraries(
    provider: LiteLLMProvider, heard: Heard
) -> None:
    import httpx  # noqa: PLC0415

    with LoopbackServer() as server:
        await provider.complete(sending(server))
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.post(server.url + "/v1/chat/completions", json={})
    assert [text for text in heard.texts if text.startswith("httpx ")]
    assert [text for text in heard.texts if text.startswith("httpcore")]


async def test_between_two_pieces_of_a_stream_the_host_may_log(
    provider: LiteLLMProvider, heard: Heard
) -> None:
    with LoopbackServer() as server:
        async for _ in provider.stream(sending(server, VLLM, STREAM)):
            logging.getLogger("httpx").debug("of the host")
    assert [text for text in heard.texts if "of the host" in text]


@pytest.mark.parametrize(("upstream", "mode"), WAYS)
async def test_cancelling_closes_the_connection(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    with LoopbackServer(stall(10, chunk=None if mode == PLAIN else 1)) as server:
        task = asyncio.ensure_future(carry(provider, sending(server, upstream, mode), mode))
        assert await asyncio.to_thread(server.wait_for, lambda seen: len(seen.requests) == 1)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.wait_for(lambda seen: seen.requests[0].disconnected, seconds=1)
        assert len(server.requests) == 1


@pytest.mark.parametrize(("upstream", "mode"), STREAMED_WAYS)
async def test_closing_a_stream_closes_the_connection(
    provider: LiteLLMProvider, upstream: str, mode: str
) -> None:
    script = answer("one two three four five six seven eight", drip_s=0.1)
    with LoopbackServer(script) as server:
        chunks = provider.stream(sending(server, upstream, mode))
        await anext(chunks)
        await chunks.aclose()
        assert server.wait_for(lambda seen: seen.requests[0].disconnected, seconds=1)


async def test_a_stream_that_is_dropped_closes_the_connection(provider: LiteLLMProvider) -> None:
    script = answer("one two three four five six seven eight", drip_s=0.1)
    with LoopbackServer(script) as server:
        chunks = provider.stream(sending(server, VLLM, STREAM))
        await anext(chunks)
        del chunks
        gc.collect()
        await asyncio.sleep(0.1)
        assert server.wait_for(lambda seen: seen.requests[0].disconnected, seconds=1)


async def test_a_connection_is_used_again(provider: LiteLLMProvider) -> None:
    ports: set[object] = set()

    def script(received: Received) -> Behaviour:
        ports.add(threading.get_ident())  # one thread for each connection
        return answer("again")

    with LoopbackServer(script) as server:
        for upstream in UPSTREAMS:
            ports.clear()
            for mode in (PLAIN, STREAM, PLAIN, STREAM):
                await carry(provider, sending(server, upstream, mode), mode)
            assert len(ports) == 1


def test_calls_run_in_one_loop_after_another(provider: LiteLLMProvider) -> None:
    async def once(server: LoopbackServer) -> None:
        for upstream in UPSTREAMS:
            for mode in MODES:
                await carry(provider, sending(server, upstream, mode), mode)

    with LoopbackServer() as server:
        for _ in range(3):
            asyncio.run(once(server))
            gc.collect()  # a connection that was left open would warn here
        assert len(server.requests) == 3 * len(UPSTREAMS) * len(MODES)


def test_calls_run_in_several_threads_at_once(provider: LiteLLMProvider) -> None:
    failures: list[BaseException] = []

    async def many(server: LoopbackServer) -> None:
        sends = [sending(server, upstream, mode) for upstream in UPSTREAMS for mode in MODES]
        modes = [mode for _ in UPSTREAMS for mode in MODES]
        await asyncio.gather(
            *(carry(provider, send, mode) for send, mode in zip(sends, modes, strict=True))
        )

    def thread(server: LoopbackServer) -> None:
        try:
            asyncio.run(many(server))
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    with LoopbackServer() as server:
        threads = [threading.Thread(target=thread, args=(server,)) for _ in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert failures == []
        assert len(server.requests) == 6 * len(WAYS)


async def test_concurrent_calls_do_not_mix(provider: LiteLLMProvider) -> None:
    def script(received: Received) -> Behaviour:
        body: Any = received.body
        return answer(f"to {body['messages'][0]['content']}", drip_s=0.002)

    with LoopbackServer(script) as server:
        sends = [
            sending(server, VLLM, IN_HOUSE, messages=({"role": "user", "content": str(place)},))
            for place in range(40)
        ]
        done: list[Any] = [
            each.payload for each in await asyncio.gather(*map(provider.complete, sends))
        ]
    texts = [payload["choices"][0]["message"]["content"] for payload in done]
    assert texts == [f"to {place}" for place in range(40)]


LLAMA = """
import asyncio, socket, time
real = socket.socket.connect
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith("127."):
        print("CONNECT", address)
        raise OSError("blocked")
    return real(self, address)
socket.socket.connect = connect
look_up = socket.getaddrinfo
def getaddrinfo(host, *rest, **named):
    if host not in ("127.0.0.1", None):
        print("LOOKUP", host)
        raise OSError("blocked")
    return look_up(host, *rest, **named)
socket.getaddrinfo = getaddrinfo

from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.ports import Key, Send
from modelrouter.testing import LoopbackServer, answer

async def main():
    provider = LiteLLMProvider()
    await provider.warm_up()
    for usage in (None, answer().usage):
        for in_house in (True, False):
            with LoopbackServer(answer("Hi there", usage=usage)) as server:
                send = Send(model="m", upstream="hosted_vllm/meta-llama/Llama-3.1-8B",
                    api_base=server.url + "/v1", key=Key(""), in_house=in_house,
                    messages=({"role": "user", "content": "Hi"},), parameters={},
                    max_output=9, timeout_s=5.0)
                started = time.monotonic()
                await provider.complete(send)
                async for _ in provider.stream(send):
                    pass
                assert time.monotonic() - started < 4, "stalled"
    await asyncio.sleep(0.3)
asyncio.run(main())
"""


def test_a_llama_is_streamed_offline_without_a_tokenizer() -> None:
    assert run_python(LLAMA) == ""


async def test_the_event_loop_is_not_held_up(provider: LiteLLMProvider) -> None:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    ticking = asyncio.ensure_future(tick())
    with LoopbackServer(stall(0.3)) as server:
        await asyncio.gather(
            *(provider.complete(sending(server, upstream)) for upstream in UPSTREAMS)
        )
    ticking.cancel()
    assert longest < 0.3


def test_what_litellm_logs_in_threads_of_its_own_holds_no_content(
    provider: LiteLLMProvider, heard: Heard
) -> None:
    async def once(server: LoopbackServer) -> None:
        for upstream, mode in WAYS:
            await carry(provider, sending(server, upstream, mode), mode)

    with LoopbackServer(answer(ANSWER)) as server:
        asyncio.run(once(server))
    time.sleep(0.3)
    everything = "\n".join(heard.texts)
    for secret in (CANARY, ANSWER, "sk-declared"):
        assert secret not in everything
