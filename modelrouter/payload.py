"""Normalises a call: checks its arguments and freezes what will be sent.

The payload is a deep JSON copy taken once, so that what is measured, classified and
gated is what is sent, whatever the caller does to its own objects meanwhile.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from modelrouter.errors import CallError
from modelrouter.labels import Label
from modelrouter.measuring import MEDIA, Media, measure, media_of
from modelrouter.parameters import ACCEPTED_PARAMETERS
from modelrouter.values import Json

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["Payload", "normalise", "unscannable_labels"]

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
CHOICES_AT_MOST = 128
TOOL_KINDS = frozenset({"function", "custom"})
"""Tools the application runs itself. One that a provider runs (a web search, a remote server)
would send text to a recipient the policy has not seen."""
CATALOGUE = "where a call goes, and with which key, is said by `endpoint:` in the catalogue"
RUNTIME = "retries and fallback are said by `runtime:` in the policy"
KNOWN_HABITS: Mapping[str, str] = {
    **dict.fromkeys(("api_base", "api_key", "base_url", "organization"), CATALOGUE),
    **dict.fromkeys(("extra_headers", "extra_body", "custom_llm_provider"), CATALOGUE),
    **dict.fromkeys(("fallbacks", "max_retries", "num_retries"), RUNTIME),
    "caching": "the cache is said by `runtime:` in the policy",
    "metadata": "what a rule may read of a call is said with `facts={…}`",
    "request_timeout": "pass `timeout=` in seconds",
    "store": "it would have the vendor keep the conversation",
    "stream_options": "usage is always asked for",
    "tenant": "say it with `facts={…}`",
    "web_search_options": "it would send text to a recipient the policy has not seen",
}
"""Habits from other SDKs, and what to do instead."""
OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")
ACCEPTED = ACCEPTED_PARAMETERS.union(OUTPUT_LIMITS)
TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal", "thinking", "reasoning"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a call sends, frozen.

    Attributes:
        messages: OpenAI-shaped messages.
        parameters: OpenAI-shaped parameters without limits of output and choices.
        max_output: Limit of output tokens for each choice, or None.
        choices: How many answers are asked for.
        needs: Capabilities the payload can be seen to need.
        unscannable: Kinds of parts that hold no text: `image`, `audio`, `file`.
        tokens: Estimated input tokens.
        tokens_at_most: Upper bound of the input tokens: a byte-level tokenizer makes at
            most one token of a byte.
        canonical: The payload as JSON text, in the order given, for fingerprints.
    """

    messages: tuple[Mapping[str, Json], ...] = field(repr=False)
    parameters: Mapping[str, Json] = field(repr=False)
    max_output: int | None
    choices: int
    needs: frozenset[str]
    unscannable: frozenset[str]
    tokens: int
    tokens_at_most: int
    canonical: bytes = field(repr=False)


def normalise(messages: object, parameters: Mapping[str, object], *, needs: object = ()) -> Payload:
    """Return the frozen payload of a call.

    Raises:
        CallError: An argument is wrong; it names the argument.
    """
    check_parameters(parameters)
    given = {
        name: value for name, value in parameters.items() if value is not None and name != "stream"
    }
    max_output = output_limit(given)
    choices = choice_count(given)
    frozen, text = frozen_json(messages_of(messages), "messages")
    rest, rest_text = frozen_json(given, "parameters")
    copied = cast("list[dict[str, Json]]", frozen)
    for place, message in enumerate(copied):
        check_message(place, message)
    settings = cast("dict[str, Json]", rest)
    check_tools(settings)
    media = [part for message in copied for part, _ in media_of(message)]
    measured = measure(copied, len(text.encode()) + len(rest_text.encode()))
    return Payload(
        messages=tuple(copied),
        parameters=settings,
        max_output=max_output,
        choices=choices,
        needs=needs_of(copied, settings, media) | names_of(needs),
        unscannable=frozenset(part.kind for part in media),
        tokens=measured.tokens,
        tokens_at_most=measured.at_most,
        canonical=f"[{text},{rest_text},{max_output},{choices}]".encode(),
    )


def check_parameters(parameters: Mapping[str, object]) -> None:
    """Refuse parameters that would not be sent as the caller means them."""
    if parameters.get("stream"):
        raise CallError(
            "a streamed answer has its own method",
            argument="stream",
            hint="call `router.stream(...)`, or `router.astream(...)`",
        )
    for name in parameters:
        if name in KNOWN_HABITS:
            raise CallError("not a parameter of a call", argument=name, hint=KNOWN_HABITS[name])
        if name not in ACCEPTED and name != "stream":
            close = difflib.get_close_matches(name, ACCEPTED, n=1)
            raise CallError(
                "unknown parameter",
                argument=name,
                hint=f"did you mean `{close[0]}`?"
                if close
                else "OpenAI chat-completion parameters are accepted; where a call goes, and "
                "with which key, is the catalogue's to say",
            )


def output_limit(given: dict[str, object]) -> int | None:
    """Take the limit of output tokens out of the parameters."""
    found = {name: given.pop(name) for name in OUTPUT_LIMITS if name in given}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CallError("must be a whole number of at least 1", argument=name)
    limits = {value for value in found.values() if isinstance(value, int)}
    if len(limits) > 1:
        raise CallError("differs from `max_completion_tokens`", argument="max_tokens")
    return next(iter(limits), None)


def choice_count(given: dict[str, object]) -> int:
    """Return how many answers are asked for."""
    value = given.get("n", 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= CHOICES_AT_MOST:
        raise CallError(f"must be a whole number from 1 to {CHOICES_AT_MOST}", argument="n")
    return value


def messages_of(messages: object) -> list[object]:
    """Return the messages as a list of plain values."""
    if isinstance(messages, str | bytes):
        raise CallError(
            "must be a list of messages",
            argument="messages",
            hint='for example [{"role": "user", "content": "…"}]',
        )
    if not isinstance(messages, Sequence) or not messages:
        raise CallError("must be a list with at least one message", argument="messages")
    return [plain(part) for part in cast("Sequence[object]", messages)]


def plain(value: object) -> object:
    """Return a pydantic message of the OpenAI SDK or LiteLLM as a mapping."""
    dump = getattr(value, "model_dump", None)
    return dump(exclude_none=True) if callable(dump) else value


def frozen_json(value: object, argument: str) -> tuple[Json, str]:
    """Return a deep copy of a JSON value, and its text."""
    try:
        # Not sorted: models fill a schema in the order in which its keys stand.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
        copied: Json = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        copied, text = None, ""
    if not text:
        raise CallError(
            "holds something that is not JSON, or nests too deeply",
            argument=argument,
            hint="only text, numbers, booleans, null, lists and mappings can be sent",
        )
    return copied, text


def check_message(place: int, message: object) -> None:
    """Refuse a message that is not of the OpenAI shape."""
    argument = f"messages[{place}]"
    if not isinstance(message, dict):
        raise CallError("must be a mapping with `role` and `content`", argument=argument)
    parts = cast("dict[str, Any]", message)
    if str(parts.get("role")) not in ROLES:
        raise CallError("`role` must be one of " + ", ".join(sorted(ROLES)), argument=argument)
    content = parts.get("content")
    if isinstance(content, list):
        for number, part in enumerate(cast("list[object]", content)):
            check_part(f"{argument}.content[{number}]", part)
    elif content is not None and not isinstance(content, str):
        raise CallError("`content` must be text, a list of parts, or null", argument=argument)


def check_part(argument: str, part: object) -> None:
    """Refuse a content part of a kind nobody knows: it could not be scanned."""
    kind = cast("dict[str, object]", part).get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in TEXT_PARTS.union(MEDIA):
        raise CallError(
            "`type` must be one of " + ", ".join(sorted(TEXT_PARTS.union(MEDIA))),
            argument=argument,
        )


def check_tools(settings: Mapping[str, Json]) -> None:
    """Refuse tools that the provider would run itself."""
    tools = settings.get("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(kind, str) or kind not in TOOL_KINDS:
            raise CallError(
                "`type` must be `function`",
                argument=f"tools[{place}]",
                hint="a tool that the provider runs is a recipient the policy has not seen",
            )


def needs_of(
    messages: Sequence[Mapping[str, Json]], parameters: Mapping[str, Json], media: Sequence[Media]
) -> frozenset[str]:
    """Return the capabilities a payload can be seen to need."""
    found = {part.need for part in media}
    if parameters.get("tools") or parameters.get("functions"):
        found.add("tools")
    if any(message.get("tool_calls") or message.get("role") == "tool" for message in messages):
        found.add("tools")
    shape = parameters.get("response_format")
    if isinstance(shape, dict) and shape.get("type") in {"json_schema", "json_object"}:
        found.add("json_schema")
    if isinstance(parameters.get("modalities"), list) and "audio" in cast(
        "list[Json]", parameters["modalities"]
    ):
        found.add("audio")
    return frozenset(found)


def names_of(needs: object) -> frozenset[str]:
    """Return the capabilities the caller names."""
    names = [needs] if isinstance(needs, str) else needs
    if not isinstance(names, list | tuple | set | frozenset) or not all(
        isinstance(name, str) for name in cast("list[object]", names)
    ):
        raise CallError("must be a list of capabilities", argument="needs")
    return frozenset(cast("list[str]", names))


def unscannable_labels(payload: Payload, bundle: Bundle) -> tuple[Label, ...]:
    """Return what parts without text add to the label; by default the top."""
    scheme = bundle.scheme
    settings = dict(bundle.policy.classifiers.unscannable)
    found: list[Label] = []
    for kind in sorted(payload.unscannable):
        setting = {str(name): level for name, level in settings.items()}.get(kind, "top")
        if setting in scheme.rank:
            found.append(Label(level=setting))
        elif setting != "declared":
            found.append(scheme.top(f"a part of kind `{kind}` cannot be scanned"))
    return tuple(found)
