"""What a call needs from the world, as small protocols.

The flow of a call is one coroutine over these ports. An application may pass its own
provider, ledger, clock or receipt sink to `Router`; nothing in YAML names code.

Every port is asynchronous. The synchronous API steps the same coroutine over ports that
block instead of suspending (`modelrouter.bridge`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from modelrouter.errors import ErrorKind
from modelrouter.values import Json, Usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

__all__ = ["Chunk", "Completion", "Key", "Provider", "ProviderError", "Send"]


@dataclass(frozen=True, slots=True)
class Key:
    """A credential that does not show itself.

    Attributes:
        reveal: The key; empty stands for "this endpoint takes none".
    """

    reveal: str = field(repr=False)

    def __str__(self) -> str:
        """Return asterisks."""
        return "********"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One transmission to one endpoint, as the gate released it.

    Attributes:
        model: Catalogue id of the recipient.
        upstream: Provider-prefixed model name, e.g. `hosted_vllm/llama-3.1-8b`.
        api_base: Address of the endpoint, in the form LiteLLM expects for the provider; never
            empty.
        key: The credential.
        in_house: True for `self_hosted` and `private_cloud`. In-house upstreams are always
            read as a stream, because closing a stream frees the server's slot and
            cancelling a plain call does not.
        messages: OpenAI-shaped messages.
        parameters: OpenAI-shaped parameters (`temperature`, `tools`, …), without
            `model`, `messages`, `stream`, `stream_options` and `max_tokens`.
        max_output: Limit of output tokens for each choice, or None.
        timeout_s: Seconds left until the deadline of the whole call.
    """

    model: str
    upstream: str
    api_base: str
    key: Key
    in_house: bool
    messages: tuple[Mapping[str, Json], ...] = field(repr=False)
    parameters: Mapping[str, Json] = field(repr=False)
    max_output: int | None
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer.

    Attributes:
        payload: The answer as an OpenAI-shaped `chat.completion` JSON object.
        usage: Tokens as reported, or None when the provider reported none.
        upstream: Model name the provider says it used.
        first_chunk_s: Seconds to the first chunk where the answer was read as a stream.
    """

    payload: dict[str, Json] = field(repr=False)
    usage: Usage | None
    upstream: str
    first_chunk_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a streamed answer.

    Attributes:
        text: Text of the first choice in this piece; often empty.
        payload: The piece as an OpenAI-shaped `chat.completion.chunk` JSON object.
        finish_reason: Why the first choice ended, in its last piece; otherwise None.
        usage: Tokens as reported, in the piece that carries them; otherwise None.
    """

    text: str = field(repr=False)
    payload: dict[str, Json] = field(repr=False)
    finish_reason: str | None = None
    usage: Usage | None = None

    @property
    def response(self) -> ChatCompletionChunk:
        """The piece as an OpenAI `ChatCompletionChunk`."""
        from openai.types.chat import ChatCompletionChunk  # noqa: PLC0415 - 0.5 s to import

        return ChatCompletionChunk.construct(None, **self.payload)


class ProviderError(Exception):
    """One attempt failed. It holds no text of the provider: that can quote the prompt.

    Attributes:
        kind: What went wrong.
        status: HTTP status, or None where there was no response.
        retry_after_s: What the provider asked to wait, in seconds, or None.
        billed: True if the provider may have charged for the attempt.
    """

    def __init__(
        self,
        kind: ErrorKind,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        billed: bool = False,
    ) -> None:
        super().__init__(str(kind))
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        self.billed = billed


class Provider(Protocol):
    """Carries one transmission to a model and brings the answer back.

    An implementation makes exactly one HTTP request for each call, follows no redirect to
    another host, reads no address or key from the environment, and raises only
    `ProviderError` (and the cancellation of its task), outside any `except` block so that
    no cause or context carries the provider's text.
    """

    def refusal(self, upstream: str, *, in_house: bool) -> str | None:
        """Return why this provider cannot carry calls to a model, or None if it can.

        Asked when a router is built.

        Args:
            upstream: Provider-prefixed model name.
            in_house: Whether the model is `self_hosted` or `private_cloud`.
        """
        ...

    async def warm_up(self) -> None:
        """Load what the first call would otherwise wait for.

        Raises:
            ConfigurationError: No call could be carried as the policy says.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        ...

    async def complete(self, send: Send) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderError: The attempt failed; a missing finish reason is a failure.
        """
        ...

    def stream(self, send: Send) -> AsyncGenerator[Chunk, None]:
        """Yield the answer piece by piece; closing the generator closes the connection.

        Raises:
            ProviderError: The attempt failed, at any point; a stream that ends without a
                finish reason is a failure.
        """
        ...

    def as_response(self, payload: Mapping[str, Json]) -> ChatCompletion:
        """Return a stored `payload` as an OpenAI `ChatCompletion`."""
        ...
