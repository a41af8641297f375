"""What a caller gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from modelrouter.decision import Decision
from modelrouter.labels import Label
from modelrouter.receipts import Receipt
from modelrouter.shadowing import ShadowDifference
from modelrouter.values import Json, Usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["Answer", "Reply", "choices_of", "finish_reasons_of", "text_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, and how it came about.

    Attributes:
        text: Text of the first choice; empty where it has none, as in a tool call.
        model: Catalogue id of the model that answered.
        usage: Tokens as the provider reported them, or None. A cached answer keeps the
            usage of the call that paid for it.
        cost_usd: Cost of this call from the catalogue's prices, failed attempts that may
            have been billed included; None without a price or without reported usage,
            zero from the cache.
        decision: The decision that was carried out.
        label: Label of the answer: at least that of the request.
        finish_reason: Why the first choice ended: `stop`, `length`, `tool_calls`,
            `content_filter`, …
        cached: Whether the answer came from the cache or an identical call under way.
        sends: Transmissions this call made.
        receipt: The record of the call.
        payload: The answer as an OpenAI-shaped `chat.completion` JSON object.
    """

    text: str = field(repr=False)
    model: str
    usage: Usage | None
    cost_usd: Decimal | None
    decision: Decision = field(repr=False)
    label: Label
    finish_reason: str | None
    cached: bool
    sends: int
    receipt: Receipt = field(repr=False)
    payload: Mapping[str, Json] = field(repr=False)
    as_response: Callable[[Mapping[str, Json]], ChatCompletion] = field(repr=False, compare=False)

    @property
    def response(self) -> ChatCompletion:
        """The answer as an OpenAI `ChatCompletion`."""
        return self.as_response(self.payload)

    if not TYPE_CHECKING:  # a type checker must not think that any name exists

        def __getattr__(self, name: str) -> object:
            """Point to the OpenAI-shaped object, where users of other SDKs look for names."""
            message = f"`Reply` has no `{name}`; the OpenAI-shaped answer is `reply.response`"
            raise AttributeError(message, name=name, obj=self)

    @property
    def shadow(self) -> ShadowDifference | None:
        """What the shadow policy would have done otherwise, or None."""
        return self.receipt.shadow

    @property
    def warnings(self) -> tuple[str, ...]:
        """Budgets near their limit and floors that a budget lowered."""
        return self.decision.warnings


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said, wherever it came from.

    Attributes:
        model: Catalogue id of the model.
        payload: The answer as an OpenAI-shaped `chat.completion` JSON object.
        usage: Tokens as reported, or None.
    """

    model: str
    payload: Mapping[str, Json] = field(repr=False)
    usage: Usage | None


def choices_of(payload: Mapping[str, Json]) -> list[dict[str, Json]]:
    """Return the choices of an answer."""
    choices = payload.get("choices")
    return [part for part in choices if isinstance(part, dict)] if isinstance(choices, list) else []


def text_of(payload: Mapping[str, Json]) -> str:
    """Return the text of the first choice, or the empty string."""
    choices = choices_of(payload)
    message: Json = choices[0].get("message") if choices else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def finish_reasons_of(payload: Mapping[str, Json]) -> list[str]:
    """Return why each choice ended."""
    return [str(part["finish_reason"]) for part in choices_of(payload) if part.get("finish_reason")]
