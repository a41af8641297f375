"""Spans as the tests read them."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Spans:
    """A tracer provider with its finished spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def all(self) -> list[ReadableSpan]:
        """Every finished span, by its start."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, word: str) -> list[ReadableSpan]:
        """Finished spans whose name begins with a word."""
        return [span for span in self.all if span.name.split()[0] == word]

    @property
    def route(self) -> ReadableSpan:
        """The only route span."""
        (found,) = self.named("route")
        return found

    @property
    def attempts(self) -> list[ReadableSpan]:
        """The attempt spans."""
        return self.named("chat")


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})
