"""A unique string in what is said is found in nothing that is kept, shown or sent elsewhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from modelrouter import ModelRouterError, Receipt, Router
from modelrouter.budget import MemoryLedger
from modelrouter.cache import ExactCache
from modelrouter.errors import ErrorKind
from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.ports import ProviderError
from modelrouter.testing import LoopbackServer, ScriptedProvider, Turn, answer, status
from tests.flow.kit import Api, bundle, key_of, model, runtime, vendor
from tests.telemetry.kit import Spans

CANARY = "canary-3b1f0c"
PROVIDER = LiteLLMProvider()
CALL: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": f"Obey {CANARY}."},
        {"role": "user", "name": CANARY, "content": [{"type": "text", "text": CANARY}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": json.dumps({"a": CANARY})},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": CANARY},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "description": CANARY, "parameters": {}}}
    ],
    "stop": [CANARY],
    "user": CANARY,
    "sensitivity": "public",
}
ON_THE_WIRE = {
    "an answer": answer(f"The answer is {CANARY}."),
    "a tool call": answer(tool_calls=(("f", json.dumps({"a": CANARY})),)),
    "an error": status(400, message=f"bad: {CANARY}", error_code="invalid_request_error"),
    "an error code": status(500, body={"error": {"code": CANARY, "message": CANARY}}),
    "an error page": status(503, body=f"<html>{CANARY}</html>"),
    "a header": status(429, message=CANARY, headers={"Retry-After": "99999", "X-Echo": CANARY}),
    "a broken answer": answer(f"{CANARY} and so on", finish_reason=None),
}
SCRIPTED = {
    "an answer": Turn(text=CANARY),
    "a refusal": Turn(text=CANARY, finish_reason="content_filter"),
    "a stream that breaks": Turn(
        text=f"{CANARY} more", error=ProviderError(ErrorKind.INCOMPLETE), pieces=2
    ),
    "a timeout": Turn(hangs=True),
}


class Kept:
    """Everything one call leaves behind."""

    def __init__(self) -> None:
        self.spans = Spans()
        self.receipts: list[Receipt] = []
        self.cache = ExactCache()
        self.ledger = MemoryLedger()
        self.shown: list[object] = []

    def router(self, provider: Any, url: str = "http://127.0.0.1:9") -> Router:
        able = {"capabilities": ["tools"]}
        return Router(
            bundle(
                model("local", url=url + "/v1", **able),
                vendor("cloud", url=url + "/v1", **able),
                runtime=runtime(attempts=2, cache={"mode": "exact"}),
                budgets=[{"id": "day", "period": "day", "limit_usd": 5}],
            ),
            provider=provider,
            credentials=key_of,
            tracer_provider=self.spans.provider,
            receipts=self.receipts.append,
            cache=self.cache,
            budgets=self.ledger,
        )

    def call(self, api: Api, router: Router) -> None:
        """Put the call whole and streamed, and keep what comes of it."""
        for work in (api.complete, api.stream):
            try:
                found: Any = work(router, **CALL, timeout=0.6)
            except ModelRouterError as error:
                self.shown += trail(error)
                continue
            if getattr(found, "error", None) is not None:
                self.shown += trail(found.error)
            reply = getattr(found, "reply", found)
            self.shown += (
                [] if reply is None else [reply, reply.decision, reply.receipt, reply.label]
            )
            self.shown += getattr(found, "chunks", [])
        self.shown += [router, *self.receipts, *self.ledger.balances.items()]
        self.shown += list(self.cache.store.items())

    def places(self, caplog: pytest.LogCaptureFixture, printed: Any) -> dict[str, str]:
        return {
            "spans": "".join(span.to_json() for span in self.spans.all),
            "logs": caplog.text + repr([vars(record) for record in caplog.records]),
            "reprs": repr(self.shown) + "".join(map(str, self.shown)),
            "receipts": json.dumps([receipt.as_json() for receipt in self.receipts]),
            "explanations": "".join(part.decision.explain() for part in self.receipts),
            "output": printed.out + printed.err,
        }


def trail(error: BaseException | None) -> Iterator[object]:
    """Yield all that an error carries: texts, arguments, notes, and what led to it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield (repr(error), str(error), error.args, vars(error), getattr(error, "__notes__", ()))
        error = error.__cause__ or error.__context__


def assert_nowhere(places: dict[str, str]) -> None:
    assert [name for name, text in places.items() if CANARY in text] == []
    assert all(places[name] for name in ("spans", "receipts", "reprs", "explanations"))


@pytest.mark.parametrize("what", list(ON_THE_WIRE))
def test_a_canary_on_the_wire_is_found_nowhere(
    api: Api,
    what: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    kept = Kept()
    with LoopbackServer(ON_THE_WIRE[what]) as server:
        kept.call(api, kept.router(PROVIDER, server.url))
        assert CANARY in json.dumps(server.requests[0].body)
    assert_nowhere(kept.places(caplog, capfd.readouterr()))


@pytest.mark.parametrize("what", list(SCRIPTED))
def test_a_canary_in_an_answer_is_found_nowhere(
    api: Api,
    what: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    kept = Kept()
    kept.call(api, kept.router(ScriptedProvider(SCRIPTED[what])))
    assert_nowhere(kept.places(caplog, capfd.readouterr()))


def test_a_canary_in_a_denied_call_is_found_nowhere(
    api: Api, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    kept = Kept()
    router = kept.router(ScriptedProvider())
    with pytest.raises(ModelRouterError) as caught:
        api.complete(router, **{**CALL, "sensitivity": "restricted", "model": "cloud"})
    kept.shown += [*trail(caught.value), *kept.receipts]
    assert_nowhere(kept.places(caplog, capfd.readouterr()))


def test_the_content_capture_of_the_conventions_changes_nothing(
    api: Api,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    caplog.set_level(logging.DEBUG)
    kept = Kept()
    kept.call(api, kept.router(ScriptedProvider(Turn(text=CANARY))))
    assert_nowhere(kept.places(caplog, capfd.readouterr()))
