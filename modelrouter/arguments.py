"""The arguments of a call: what is said to the router, and what is passed on to the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypedDict, cast

from modelrouter.context import Inherited, merge_facts, merge_task
from modelrouter.engine.subject import check_label, unknown_name
from modelrouter.errors import CallError
from modelrouter.labels import Label
from modelrouter.payload import Payload, normalise, unscannable_labels
from modelrouter.values import FactValue, Limits, Request

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["CallArguments", "Messages", "Prepared", "Sensitivity", "prepare", "said"]

Messages = Sequence[Mapping[str, Any] | object]
Sensitivity = str | Iterable[str] | Label | None


class RoutingArguments(TypedDict, total=False):
    """What is said to the router.

    Attributes:
        task: The use case; one of the policy's tasks. Default `other`.
        sensitivity: A level, a category, or a list of them. A floor: the label can only
            rise. None or an empty list leaves the call unlabelled.
        facts: Facts by name, as the policy declares them.
        needs: Capabilities beyond those the payload shows: `vision`, `tools`, …
        model: One catalogue id or several: the only models to be considered. Narrows.
        max_cost_usd: Ceiling of the worst-case cost in US dollars.
        min_quality: Quality floor, 0 to 1.
        max_ttft_ms: Ceiling of the p95 time to the first token, in milliseconds.
        timeout: Deadline of the whole call in seconds; the policy's holds if it is shorter.
    """

    task: str | None
    sensitivity: Sensitivity
    facts: Mapping[str, FactValue] | None
    needs: str | Iterable[str]
    model: str | Iterable[str] | None
    max_cost_usd: Decimal | float | str | None
    min_quality: Decimal | float | str | None
    max_ttft_ms: int | None
    timeout: float | None


class CallArguments(RoutingArguments, total=False):
    """What is said to the router, and OpenAI's chat-completion parameters.

    Attributes:
        max_tokens: Limit of output tokens for each choice.
        max_completion_tokens: The same by its newer name.
        n: How many choices.
    """

    audio: Mapping[str, Any] | None
    frequency_penalty: float | None
    function_call: Any
    functions: Sequence[Mapping[str, Any]] | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    modalities: Sequence[str] | None
    n: int | None
    parallel_tool_calls: bool | None
    prediction: Mapping[str, Any] | None
    presence_penalty: float | None
    reasoning_effort: str | None
    response_format: Mapping[str, Any] | None
    seed: int | None
    service_tier: str | None
    stop: str | Sequence[str] | None
    stream: bool | None
    temperature: float | None
    tool_choice: Any
    tools: Sequence[Mapping[str, Any]] | None
    top_logprobs: int | None
    top_p: float | None
    user: str | None
    verbosity: str | None


LARGEST = 1_000_000
LONGEST_FACT = 1_000
LARGEST_FACT = 2**63
LIMITS = ("model", "max_cost_usd", "min_quality", "max_ttft_ms")
ROUTING = frozenset(RoutingArguments.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A call, checked and frozen.

    Attributes:
        timeout_s: The call's own deadline in seconds, or None.
        by: Returns the request as another policy checks it.
    """

    payload: Payload
    request: Request
    timeout_s: float | None
    by: Callable[[Bundle], Request]

    def under(self, bundle: Bundle) -> Prepared:
        """Return the same call checked against another policy.

        Raises:
            CallError: It names what that policy does not declare.
        """
        return replace(self, request=self.by(bundle))


def prepare(
    messages: object, given: Mapping[str, object], around: Inherited, bundle: Bundle
) -> Prepared:
    """Return the checked and frozen call.

    Raises:
        CallError: An argument is wrong; it names the argument.
    """
    parameters = {name: value for name, value in given.items() if name not in ROUTING}
    payload = normalise(messages, parameters, needs=listed(given.get("needs"), "needs"))
    inside = said(given)
    limits = {name: given.get(name) for name in LIMITS}
    if limits["model"] is not None:
        limits["model"] = listed(limits["model"], "model")

    def by(bundle: Bundle) -> Request:
        return request_of(payload, around, inside, limits, bundle)

    timeout_s = seconds(given.get("timeout"))
    return Prepared(payload=payload, request=by(bundle), timeout_s=timeout_s, by=by)


def request_of(
    payload: Payload,
    around: Inherited,
    inside: Inherited,
    limits: Mapping[str, object],
    bundle: Bundle,
) -> Request:
    """Return the request as one policy checks it."""
    names = (*around.sensitivity, *inside.sensitivity)
    return Request(
        declared=declared_label(names, (*around.labels, *inside.labels), bundle),
        evidence=unscannable_labels(payload, bundle),
        task=merge_task(around.task, inside.task),
        needs=payload.needs,
        tokens=payload.tokens,
        tokens_at_most=payload.tokens_at_most,
        max_output=payload.max_output,
        choices=payload.choices,
        facts=merge_facts(around.facts, inside.facts),
        limits=limits_of(limits, bundle),
    )


def said(given: Mapping[str, object]) -> Inherited:
    """Return facts, sensitivity and task of a call or a context."""
    facts = given.get("facts")
    if facts is not None and not isinstance(facts, Mapping):
        raise CallError("must be a mapping of names to values", argument="facts")
    table = {
        plain_name(name): plain_fact(value)
        for name, value in cast("Mapping[object, object]", facts or {}).items()
    }
    task = given.get("task")
    if task is not None and not isinstance(task, str):
        raise CallError("must be the name of a task", argument="task")
    sensitivity = given.get("sensitivity")
    labels = (sensitivity,) if isinstance(sensitivity, Label) else ()
    names = () if labels else listed(sensitivity, "sensitivity")
    return Inherited(
        facts=table,
        sensitivity=names,
        labels=labels,
        task=None if task is None else str.__str__(task),
    )


def plain_name(name: object) -> str:
    """Return a fact's name as exact text."""
    if not isinstance(name, str):
        raise CallError("names must be text", argument="facts")
    return str.__str__(name)


def plain_fact(value: object) -> FactValue:
    """Return a fact's value as an exact built-in type: rules compare types, too.

    A member of an enumeration of text or numbers stands for its value.
    """
    if isinstance(value, str) and len(value) <= LONGEST_FACT:
        return str.__str__(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < LARGEST_FACT:
        return int(value)
    raise CallError(
        f"values must be text of up to {LONGEST_FACT} characters, true, false, or whole numbers "
        "of up to 63 bits",
        argument="facts",
    )


def listed(value: object, argument: str) -> tuple[str, ...]:
    """Return a name or a list of names as a tuple."""
    if value is None:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Iterable) or isinstance(names, bytes | Mapping):
        raise CallError("must be a name or a list of names", argument=argument)
    found = tuple(cast("Iterable[object]", names))
    if not all(isinstance(name, str) for name in found):
        raise CallError("must be a name or a list of names", argument=argument)
    return tuple(str.__str__(name) for name in found if isinstance(name, str))


def declared_label(names: Sequence[str], labels: Sequence[Label], bundle: Bundle) -> Label | None:
    """Return the declared label, or None when nobody labelled the call."""
    scheme = bundle.scheme
    known = (*scheme.levels, *scheme.categories)
    for name in names:
        if name not in known:
            raise unknown_name("sensitivity", "level or category", name, known)
    for label in labels:
        check_label(label, scheme)
    parts = [
        Label(level=name)
        if name in scheme.rank
        else Label(level=scheme.lowest, categories=frozenset({name}))
        for name in names
    ]
    return scheme.join(*parts, *labels) if parts or labels else None


def limits_of(given: Mapping[str, object], bundle: Bundle) -> Limits:
    """Return the call's own limits."""
    names = listed(given.get("model"), "model")
    if given.get("model") is not None and not names:
        raise CallError("names no model", argument="model", hint="leave it out to allow all")
    for name in names:
        if name not in bundle.words.models:
            raise unknown_name("model", "model", name, bundle.words.models)
    quality = number(given.get("min_quality"), "min_quality")
    if quality is not None and quality > 1:
        raise CallError("must lie between 0 and 1", argument="min_quality")
    ttft = given.get("max_ttft_ms")
    if ttft is not None and (isinstance(ttft, bool) or not isinstance(ttft, int) or ttft < 0):
        raise CallError("must be a whole number of milliseconds", argument="max_ttft_ms")
    return Limits(
        max_cost_usd=number(given.get("max_cost_usd"), "max_cost_usd"),
        min_quality=quality,
        max_ttft_ms=ttft,
        models=frozenset(names) if names else None,
    )


def number(value: object, argument: str) -> Decimal | None:
    """Return a number that is not negative, exactly as it is written."""
    if value is None:
        return None
    found = None
    if isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            found = None
    if found is None or not found.is_finite() or not 0 <= found <= LARGEST:
        raise CallError("must be a number from 0 to a million", argument=argument)
    return found


def seconds(value: object) -> float | None:
    """Return the call's own deadline in seconds."""
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise CallError("must be a number of seconds above 0", argument="timeout")
    return float(value)
