"""Probe 40: nothing of what was said is found where it does not belong."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from modelrouter import CallFailed, Receipt
from modelrouter.cache import ExactCache
from modelrouter.testing import LoopbackServer, answer, status
from tests.conformance.conftest import Ask, Serve, router_for
from tests.flow.kit import runtime

CANARY = "canary-7f3a9d"


@pytest.mark.parametrize(
    "failure",
    [
        status(400, message=f"cannot read: {CANARY}", error_code="invalid"),
        status(401, body={"error": {"message": CANARY, "code": CANARY}}),
        status(429, body={"detail": CANARY}),
        status(500, body=CANARY),
        answer(CANARY, finish_reason=None),
    ],
    ids=["400", "401", "429", "500", "broken answer"],
)
def test_row_40_a_canary_is_found_nowhere(
    ask_any: Ask,
    serve: Serve,
    cloud: LoopbackServer,
    failure: object,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    spans = InMemorySpanExporter()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    receipts: list[Receipt] = []
    cache = ExactCache()
    router = router_for(
        serve(failure),
        cloud,
        runtime=runtime(cache={"mode": "exact"}),
        router={"tracer_provider": tracing, "receipts": receipts.append, "cache": cache},
    )
    said = [
        {"role": "system", "content": CANARY},
        {"role": "user", "content": f"what is {CANARY}?"},
    ]
    with pytest.raises(CallFailed) as caught:
        ask_any(router, said, sensitivity="restricted", user=CANARY)
    trail: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None and error not in trail:
        trail.append(error)
        error = error.__cause__ or error.__context__
    printed = capfd.readouterr()
    places = {
        "spans": "".join(span.to_json() for span in spans.get_finished_spans()),
        "logs": caplog.text + repr([vars(record) for record in caplog.records]),
        "errors": repr([(str(e), e.args, vars(e), getattr(e, "__notes__", ())) for e in trail]),
        "receipts": repr(receipts) + repr([receipt.as_json() for receipt in receipts]),
        "cache": repr(list(cache.store)),
        "output": printed.out + printed.err,
    }
    assert [name for name, text in places.items() if CANARY in text] == []
    assert len(spans.get_finished_spans()) >= 2
    assert len(receipts) == 1
