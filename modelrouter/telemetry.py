"""Spans of a call. Every name and attribute of this package's telemetry stands here.

::

    route {policy}            INTERNAL   what was decided, and why; no gen_ai.* attributes
    ├─ chat {upstream}        CLIENT     attempt 1
    └─ chat {upstream}        CLIENT     attempt 2

Content is never recorded, and neither is any text of a provider's error. Only the
OpenTelemetry API is needed; without an SDK in the application nothing is recorded.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from modelrouter.decision import Decision
from modelrouter.values import Usage, usd

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter
    from opentelemetry.util.types import AttributeValue

    from modelrouter.errors import ErrorKind
    from modelrouter.ports import Send
    from modelrouter.shadowing import ShadowDifference

__all__ = [
    "attached",
    "end_failed",
    "end_route",
    "end_succeeded",
    "link_to",
    "start_attempt",
    "start_route",
]

PROVIDER_NAMES: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""Values of `gen_ai.provider.name` that differ from LiteLLM's prefix.
Source: OpenTelemetry semantic conventions for generative AI, 2026."""


FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})
LONGEST_NAME = 100
SHADOW, KIND = "modelrouter.shadow.policy", "modelrouter.shadow.kind"


def route_attributes(decision: Decision) -> dict[str, AttributeValue]:
    """Return what a route span says of a decision."""
    found: dict[str, AttributeValue] = {
        "openinference.span.kind": "CHAIN",
        "modelrouter.policy.name": decision.policy,
        "modelrouter.policy.digest": decision.policy_digest,
        "modelrouter.decision.outcome": decision.outcome,
        "modelrouter.decision.candidates": [part.model for part in decision.candidates],
        "modelrouter.decision.rules": list(decision.rules),
        "modelrouter.decision.warnings": list(decision.warnings),
        "modelrouter.decision.excluded": [
            f"{part.model}: {reason.stage} {reason.rule.id or '-'}"
            for part in decision.excluded
            for reason in part.reasons
        ],
        "modelrouter.label.level": decision.label.level,
        "modelrouter.label.categories": sorted(decision.label.categories),
        "modelrouter.label.unclassified": bool(decision.label.unknown),
        "modelrouter.task": decision.task,
    }
    if decision.deny_stage is not None:
        found["modelrouter.decision.deny_stage"] = decision.deny_stage
    if decision.advisory:
        found["modelrouter.decision.advisory"] = list(decision.advisory)
    if decision.rollout is not None:
        found["modelrouter.rollout.objective"] = decision.rollout.objective
        found["modelrouter.rollout.model"] = decision.rollout.model
        found["modelrouter.rollout.inside"] = decision.rollout.inside
    if decision.objective is not None:
        found["modelrouter.decision.objective"] = decision.objective
    return found


def start_route(tracer: trace.Tracer, decision: Decision, *, started_ns: int, call: str) -> Span:
    """Start the span of a call, back-dated to where it began: samplers see the decision."""
    attributes = route_attributes(decision)
    attributes["modelrouter.call.id"] = call
    return tracer.start_span(
        f"route {decision.policy}",
        kind=SpanKind.INTERNAL,
        attributes=attributes,
        start_time=started_ns,
    )


def start_attempt(
    tracer: trace.Tracer, route: Span, send: Send, *, number: int, why: str, streamed: bool
) -> Span:
    """Start the span of one transmission."""
    prefix, _, name = send.upstream.partition("/")
    address = urlsplit(send.api_base)
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER_NAMES.get(prefix, prefix),
        "gen_ai.request.model": name or send.upstream,
        "gen_ai.request.stream": streamed,
        "server.address": address.hostname or "",
        "modelrouter.attempt.number": number,
        "modelrouter.attempt.model": send.model,
        "modelrouter.attempt.why": why,
    }
    if address.port:
        attributes["server.port"] = address.port
    if send.max_output is not None:
        attributes["gen_ai.request.max_tokens"] = send.max_output
    temperature = send.parameters.get("temperature")
    if isinstance(temperature, int | float):
        attributes["gen_ai.request.temperature"] = float(temperature)
    return tracer.start_span(
        f"chat {name or send.upstream}",
        context=trace.set_span_in_context(route),
        kind=SpanKind.CLIENT,
        attributes=attributes,
    )


@contextmanager
def attached(span: Span) -> Generator[None]:
    """Make `span` current while the provider works, never across a yield to the caller."""
    token = otel_context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        otel_context.detach(token)


def end_succeeded(
    span: Span,
    *,
    usage: Usage | None,
    upstream: str,
    finish_reasons: list[str],
    cost_pico: int | None,
    first_chunk_s: float | None,
) -> None:
    """End the span of an attempt that brought an answer; its status stays unset."""
    if span.is_recording():
        span.set_attribute("gen_ai.response.model", upstream[:LONGEST_NAME])
        # A server can write anything there; only the known words are no content.
        reasons = [part if part in FINISH_REASONS else "other" for part in finish_reasons]
        span.set_attribute("gen_ai.response.finish_reasons", reasons)
        if usage is not None:
            span.set_attributes(usage_attributes(usage))
        if cost_pico is not None:
            span.set_attribute("modelrouter.attempt.cost.total_usd", as_float(usd(cost_pico)))
        if first_chunk_s is not None:
            span.set_attribute("modelrouter.attempt.time_to_first_chunk_s", first_chunk_s)
    span.end()


def usage_attributes(usage: Usage) -> dict[str, AttributeValue]:
    """Return the tokens of an attempt."""
    found: dict[str, AttributeValue] = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }
    parts = {
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    return found | {name: value for name, value in parts.items() if value}


def end_failed(span: Span, kind: ErrorKind | str, *, status: int | None = None) -> None:
    """End the span of an attempt without an answer: the kind of error, never its text."""
    if span.is_recording():
        span.set_attribute("error.type", str(kind))
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        span.add_event("exception", {"exception.type": str(kind)})
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def end_route(
    span: Span,
    *,
    error: str | None,
    cache: str,
    attempts: int,
    cost_pico: int | None,
    model: str | None,
    shadow: ShadowDifference | None = None,
) -> None:
    """End the span of a call."""
    if shadow is not None:
        shadow_counter().add(1, {SHADOW: shadow.policy, KIND: shadow.kind})
        span.set_attributes(shadow_attributes(shadow))
    if span.is_recording():
        span.set_attribute("modelrouter.cache.outcome", cache)
        span.set_attribute("modelrouter.route.attempts", attempts)
        if model is not None:
            span.set_attribute("modelrouter.route.model", model)
        if cost_pico is not None:
            span.set_attribute("modelrouter.route.cost.total_usd", as_float(usd(cost_pico)))
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
    span.end()


def shadow_attributes(shadow: ShadowDifference) -> dict[str, AttributeValue]:
    """Return what a shadow policy would have done otherwise."""
    found: dict[str, AttributeValue | None] = {
        SHADOW: shadow.policy,
        "modelrouter.shadow.digest": shadow.policy_digest,
        KIND: shadow.kind,
        "modelrouter.shadow.outcome": shadow.outcome,
        "modelrouter.shadow.model": shadow.model,
        "modelrouter.shadow.deny_stage": shadow.deny_stage,
        "modelrouter.shadow.rules": list(shadow.rules),
        "modelrouter.shadow.error": shadow.error,
    }
    return {name: value for name, value in found.items() if value is not None}


@functools.cache
def shadow_counter() -> Counter:
    """Return the counter of differences; a second one of its name would warn."""
    from opentelemetry import metrics  # noqa: PLC0415 - only where there is something to count

    return metrics.get_meter("modelrouter").create_counter(
        "modelrouter.shadow.differences",
        unit="{call}",
        description="Calls that the shadow policy would have decided otherwise",
    )


def link_to(span: Span, *, trace_id: int, span_id: int) -> None:
    """Link the span of a cache hit to the attempt that filled the cache."""
    if trace_id and span_id and span.is_recording():
        filled = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))
        link = Link(filled, {"modelrouter.link": "cache_fill"})
        span.add_link(link.context, link.attributes)


def as_float(value: Decimal | None) -> float:
    """Return a cost as the number OpenTelemetry can carry."""
    return 0.0 if value is None else float(value)
