"""The spans of a call: which, how they hang together, and what they say."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision as Sampled
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

from modelrouter import CallFailed, PolicyDenied, Router
from modelrouter.budget import Account, MemoryLedger
from modelrouter.errors import ErrorKind
from modelrouter.ports import ProviderError
from modelrouter.testing import ScriptedProvider, Turn
from modelrouter.values import Usage
from tests.flow.kit import HELLO, Api, bundle, key_of, model, runtime, vendor
from tests.telemetry.kit import Spans, attributes

PUBLIC: dict[str, Any] = {"sensitivity": "public"}
DOWN = ProviderError(ErrorKind.SERVER_ERROR, status=503)
USED = Usage(
    input_tokens=100,
    output_tokens=50,
    cached_input_tokens=40,
    cache_write_tokens=10,
    reasoning_tokens=20,
)


def traced(spans: Spans, script: Any = "x", **sections: Any) -> Router:
    return Router(
        bundle(**{"runtime": runtime(retries=1, attempts=3), **sections}),
        provider=ScriptedProvider(script),
        credentials=key_of,
        tracer_provider=spans.provider,
    )


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def identity(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_is_a_route_with_its_attempts(api: Api, spans: Spans, *, streamed: bool) -> None:
    router = traced(spans, [DOWN, DOWN, Turn(text="x", usage=USED)])
    call = {**PUBLIC, "temperature": 0.5, "max_tokens": 9}
    if streamed:
        assert api.stream(router, **call).error is None
    else:
        api.complete(router, **call)
    route, attempts = spans.route, spans.attempts
    assert len(spans.all) == 4
    assert (route.name, route.kind, parent(route)) == ("route tested", SpanKind.INTERNAL, None)
    assert [span.name for span in attempts] == ["chat local", "chat local", "chat cloud"]
    assert {span.kind for span in attempts} == {SpanKind.CLIENT}
    assert {parent(span) for span in attempts} == {identity(route)}
    assert {span.context.trace_id for span in spans.all if span.context} == {
        route.context.trace_id if route.context else 0
    }
    assert [attributes(span)["modelrouter.attempt.why"] for span in attempts] == [
        "first",
        "retry",
        "fallback",
    ]
    assert [attributes(span)["modelrouter.attempt.number"] for span in attempts] == [1, 2, 3]
    last = attributes(attempts[-1])
    first_chunk = last.pop("modelrouter.attempt.time_to_first_chunk_s", 0)
    assert (first_chunk > 0) is streamed
    assert last == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "cloud",
        "gen_ai.request.stream": streamed,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": "openai/cloud",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "server.address": "127.0.0.1",
        "server.port": 9,
        "modelrouter.attempt.model": "cloud",
        "modelrouter.attempt.number": 3,
        "modelrouter.attempt.why": "fallback",
        # 150 tokens at 2 USD a million.
        "modelrouter.attempt.cost.total_usd": 0.0003,
    }


def test_the_route_says_what_was_decided(api: Api, spans: Spans) -> None:
    reply = api.complete(traced(spans, Turn(usage=USED)), sensitivity="pii")
    found = attributes(spans.route)
    assert found.pop("modelrouter.policy.digest") == reply.decision.policy_digest
    assert found.pop("modelrouter.call.id") == reply.receipt.call
    assert found == {
        "openinference.span.kind": "CHAIN",
        "modelrouter.policy.name": "tested",
        "modelrouter.decision.outcome": "route",
        "modelrouter.decision.candidates": ("local",),
        "modelrouter.decision.rules": ("sensitive-stays-home",),
        "modelrouter.decision.warnings": (),
        "modelrouter.decision.excluded": ("cloud: guard sensitive-stays-home",),
        "modelrouter.label.level": "confidential",
        "modelrouter.label.categories": ("pii",),
        "modelrouter.label.unclassified": False,
        "modelrouter.task": "other",
        "modelrouter.cache.outcome": "off",
        "modelrouter.route.attempts": 1,
        "modelrouter.route.model": "local",
        "modelrouter.route.cost.total_usd": 0.00015,
    }


@pytest.mark.parametrize("script", ["x", [DOWN, "x"], DOWN, Turn(hangs=True)])
def test_no_route_ever_looks_like_a_generation(api: Api, spans: Spans, script: Any) -> None:
    api.stream(traced(spans, script), **PUBLIC, timeout=0.2)
    names = [name for name in attributes(spans.route) if name.startswith("gen_ai.")]
    assert names == []
    costs = [name for span in spans.all for name in attributes(span) if "cost" in name]
    assert all(name.startswith("modelrouter.") for name in costs)


@pytest.mark.parametrize("streamed", [False, True])
def test_success_leaves_the_status_unset(api: Api, spans: Spans, *, streamed: bool) -> None:
    router = traced(spans)
    api.stream(router, **PUBLIC) if streamed else api.complete(router, **PUBLIC)
    assert {span.status.status_code for span in spans.all} == {StatusCode.UNSET}
    assert [span.events for span in spans.all] == [(), ()]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_failed_attempt_names_the_kind_of_its_error_alone(
    api: Api, spans: Spans, *, streamed: bool
) -> None:
    router = traced(spans, DOWN, runtime=runtime(attempts=1))
    if streamed:
        assert isinstance(api.stream(router, **PUBLIC).error, CallFailed)
    else:
        with pytest.raises(CallFailed):
            api.complete(router, **PUBLIC)
    (attempt,) = spans.attempts
    found = attributes(attempt)
    assert attempt.status.status_code is StatusCode.ERROR
    assert attempt.status.description is None
    assert (found["error.type"], found["http.response.status_code"]) == ("server_error", 503)
    assert [(event.name, dict(event.attributes or {})) for event in attempt.events] == [
        ("exception", {"exception.type": "server_error"})
    ]
    assert spans.route.status.status_code is StatusCode.ERROR
    assert attributes(spans.route)["error.type"] == "CallFailed"
    assert spans.route.events == ()


def test_a_denial_is_the_route_alone(api: Api, spans: Spans) -> None:
    with pytest.raises(PolicyDenied):
        api.complete(traced(spans, rules=[]), sensitivity="restricted")
    (only,) = spans.all
    found = attributes(only)
    assert found["modelrouter.decision.outcome"] == "deny"
    assert found["modelrouter.decision.deny_stage"] == "guard"
    assert found["modelrouter.route.attempts"] == 0
    assert found["error.type"] == "PolicyDenied"


def test_a_cache_hit_is_the_route_alone_and_links_to_the_filling_attempt(
    api: Api, spans: Spans
) -> None:
    router = traced(spans, runtime=runtime(cache={"mode": "exact"}))
    api.complete(router, **PUBLIC)
    (attempt,) = spans.attempts
    spans.exporter.clear()
    api.complete(router, **PUBLIC)
    (hit,) = spans.all
    (link,) = hit.links
    assert link.context.span_id == identity(attempt)
    assert attempt.context is not None
    assert link.context.trace_id == attempt.context.trace_id
    assert attributes(hit)["modelrouter.cache.outcome"] == "hit"
    assert attributes(hit)["modelrouter.route.attempts"] == 0


def test_a_call_that_shares_an_answer_links_to_its_attempt(api: Api, spans: Spans) -> None:
    router = traced(spans, Turn(wait_s=0.1), runtime=runtime(cache={"mode": "exact"}))
    api.together(router, [PUBLIC] * 3)
    (attempt,) = spans.attempts
    linked = [link.context.span_id for span in spans.named("route") for link in span.links]
    assert linked == [identity(attempt)] * 2


class SlowToRead(MemoryLedger):
    """A ledger that takes its time before anything is decided."""

    async def used(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        time.sleep(0.05)  # noqa: ASYNC251 - both APIs wait for it
        return await MemoryLedger.used(self, accounts)


def test_the_route_begins_where_the_call_began(api: Api, spans: Spans) -> None:
    router = Router(
        bundle(model("local"), budgets=[{"id": "ten", "period": "day", "limit_calls": 10}]),
        provider=ScriptedProvider(Turn(wait_s=0.05)),
        tracer_provider=spans.provider,
        budgets=SlowToRead(),
    )
    before = time.time_ns()
    api.complete(router, **PUBLIC)
    route, (attempt,) = spans.route, spans.attempts
    assert route.start_time is not None
    assert attempt.start_time is not None
    assert route.end_time is not None
    assert attempt.end_time is not None
    assert before <= route.start_time < attempt.start_time < attempt.end_time <= route.end_time
    assert attempt.start_time - route.start_time >= 50_000_000
    assert attempt.end_time - attempt.start_time >= 50_000_000


class Watching(Sampler):
    """Notes what a sampler gets to see."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Any] | None = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        self.seen.append({"name": name, **(attributes or {})})
        return SamplingResult(Sampled.DROP)

    def get_description(self) -> str:
        return "watching"


def test_a_sampler_sees_the_decision(api: Api) -> None:
    sampler = Watching()
    router = Router(
        bundle(),
        provider=ScriptedProvider(),
        credentials=key_of,
        tracer_provider=TracerProvider(sampler=sampler),
    )
    api.complete(router, **PUBLIC)
    assert sampler.seen[0]["name"] == "route tested"
    assert sampler.seen[0]["modelrouter.decision.outcome"] == "route"
    assert sampler.seen[0]["modelrouter.label.level"] == "public"


def test_the_span_of_the_caller_is_the_parent(api: Api, spans: Spans) -> None:
    router = traced(spans)
    tracer = spans.provider.get_tracer("application")
    with tracer.start_as_current_span("outer") as outer:
        api.complete(router, **PUBLIC)
        api.stream(router, **PUBLIC)
        assert trace.get_current_span() is outer
    assert trace.get_current_span().get_span_context().is_valid is False
    assert [parent(span) for span in spans.named("route")] == [outer.get_span_context().span_id] * 2


def test_the_attempt_is_current_while_the_provider_works_and_only_then(
    api: Api, spans: Spans
) -> None:
    seen: list[int] = []

    def note() -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    router = traced(spans, Turn(text="a b c", before=note))
    api.complete(router, **PUBLIC)
    pieces = router.stream(HELLO, sensitivity="public")
    for _ in pieces:
        assert not trace.get_current_span().get_span_context().is_valid
    assert seen == [identity(span) for span in spans.attempts]


async def test_nothing_is_current_between_the_pieces_of_a_stream(spans: Spans) -> None:
    router = traced(spans, "a b c")
    async for _ in router.astream(HELLO, sensitivity="public"):
        assert not trace.get_current_span().get_span_context().is_valid
    assert len(spans.all) == 2


@pytest.mark.parametrize("most", [1, 2, None])
def test_a_stream_ends_its_spans_once(api: Api, spans: Spans, most: int | None) -> None:
    router = traced(spans, Turn(text="a b c d"))
    api.stream(router, **PUBLIC, most=most)
    assert sorted(span.name for span in spans.all) == ["chat local", "route tested"]
    early = most is not None
    assert (spans.route.status.status_code is StatusCode.ERROR) is early
    if early:
        assert attributes(spans.attempts[0])["error.type"] == "cancelled"


def test_calls_at_the_same_time_do_not_mix_their_parents(api: Api, spans: Spans) -> None:
    router = traced(spans, lambda _: Turn(wait_s=0.02, error=DOWN), runtime=runtime(attempts=2))
    api.together(router, [{**PUBLIC, "temperature": number} for number in range(20)])
    routes = {identity(span): span for span in spans.named("route")}
    assert len(routes) == 20
    for route in routes.values():
        children = [span for span in spans.attempts if parent(span) == identity(route)]
        assert [span.name for span in children] == ["chat local", "chat cloud"]
        temperatures = {attributes(span)["gen_ai.request.temperature"] for span in children}
        assert len(temperatures) == 1


async def test_streams_read_in_turns_do_not_mix_their_parents(spans: Spans) -> None:
    router = traced(spans, Turn(text="a b c d e", piece_s=0.001))

    async def read(number: int) -> None:
        async for _ in router.astream(HELLO, sensitivity="public", temperature=number):
            await asyncio.sleep(0)

    await asyncio.gather(*map(read, range(10)))
    assert sorted(parent(span) or 0 for span in spans.attempts) == sorted(
        identity(span) for span in spans.named("route")
    )


def test_a_broken_stream_ends_with_an_error(api: Api, spans: Spans) -> None:
    cut = ProviderError(ErrorKind.INCOMPLETE, billed=True)
    found = api.stream(traced(spans, Turn(text="a b", error=cut, pieces=2)), **PUBLIC)
    assert isinstance(found.error, CallFailed)
    (attempt,) = spans.attempts
    assert attributes(attempt)["error.type"] == "incomplete"
    assert attributes(spans.route)["modelrouter.route.attempts"] == 1


def test_without_an_sdk_nothing_is_recorded_and_nothing_breaks() -> None:
    script = """
import sys
from modelrouter import Router
from modelrouter.testing import ScriptedProvider
from tests.flow.kit import HELLO, bundle, key_of, runtime
router = Router(
    bundle(runtime=runtime(cache={"mode": "exact"})),
    provider=ScriptedProvider(), credentials=key_of,
)
for _ in range(2):
    router.completion(HELLO, sensitivity="public")
list(router.stream(HELLO, sensitivity="public"))
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


class Sink(HTTPServer):
    """An OTLP collector that keeps what it is sent."""

    received: list[bytes]


class Collect(BaseHTTPRequestHandler):
    """Takes one export."""

    server: Sink

    def do_POST(self) -> None:
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_what_leaves_over_otlp_is_the_same_tree(api: Api) -> None:
    sink = Sink(("127.0.0.1", 0), Collect)
    sink.received = []
    thread = threading.Thread(target=sink.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{sink.server_port}/v1/traces")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        router = Router(
            bundle(runtime=runtime(retries=0, attempts=2)),
            provider=ScriptedProvider([DOWN, "x"]),
            credentials=key_of,
            tracer_provider=provider,
        )
        api.complete(router, [{"role": "user", "content": "canary-otlp"}], **PUBLIC)
        provider.force_flush()
    finally:
        provider.shutdown()
        sink.shutdown()
        sink.server_close()
        thread.join()
    bodies = [ExportTraceServiceRequest.FromString(body) for body in sink.received]
    found = [
        span
        for body in bodies
        for resource in body.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (route,) = [span for span in found if span.name == "route tested"]
    attempts = sorted(
        (span for span in found if span.name.startswith("chat ")),
        key=lambda span: span.start_time_unix_nano,
    )
    assert [(span.name, span.status.code) for span in attempts] == [
        ("chat local", 2),
        ("chat cloud", 0),
    ]
    assert {span.parent_span_id for span in attempts} == {route.span_id}
    assert not [part.key for part in route.attributes if part.key.startswith("gen_ai.")]
    scopes = {
        (scope.scope.name, scope.schema_url)
        for body in bodies
        for resource in body.resource_spans
        for scope in resource.scope_spans
    }
    assert scopes == {("modelrouter", "")}
    assert b"canary-otlp" not in b"".join(sink.received)
    assert json.dumps({"spans": len(found)}) == '{"spans": 3}'


def test_every_model_has_the_provider_name_of_the_conventions(api: Api, spans: Spans) -> None:
    gemini = vendor("g", endpoint={"model": "gemini/gemini-pro", "api_key_env": "CLOUD_KEY"})
    router = Router(
        bundle(model("a"), gemini),
        provider=ScriptedProvider(DOWN),
        credentials=key_of,
        tracer_provider=spans.provider,
    )
    api.stream(router, **PUBLIC)
    found = [attributes(span) for span in spans.attempts]
    assert [part["gen_ai.provider.name"] for part in found] == ["hosted_vllm", "gcp.gemini"]
    assert [part["server.address"] for part in found] == [
        "127.0.0.1",
        "generativelanguage.googleapis.com",
    ]
