"""One transmission: what may go out, and what came back on the wire.

An exchange admits one request to one declared origin with the declared key, and lets
LiteLLM have nothing but a response that reads like an answer. So a field missing somewhere
in LiteLLM, a variable of the environment or a setting of the host cannot carry the prompt
elsewhere, and a provider's error text never enters LiteLLM.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx

from modelrouter.errors import ErrorKind
from modelrouter.litellm_provider.faults import Fault, fault_of_response
from modelrouter.litellm_provider.witness import Witness, invalid
from modelrouter.values import Json

__all__ = ["Exchange", "Stopped"]

ERROR_BODY_BYTES = 65_536
DRAIN_S = 0.05

KEY_HEADERS = ("api-key", "authorization", "x-api-key", "x-goog-api-key")

# An in-house endpoint gets what its protocol needs. The rest is about us: organisation and
# project ids of a vendor from the environment, the SDK's platform report, cookies.
IN_HOUSE_HEADERS = frozenset(
    {
        *KEY_HEADERS,
        "accept",
        "accept-encoding",
        "anthropic-version",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)

NO_USAGE: Mapping[str, Mapping[str, Json]] = {
    "anthropic": {"usage": {"input_tokens": 0, "output_tokens": 0}},
    "gemini": {"usageMetadata": {}},
}


class Stopped(Exception):
    """Ends LiteLLM's part of a call; the exchange knows why. It carries no text."""


class Exchange:
    """The state of one transmission.

    Args:
        api_base: Address of the endpoint; only its origin may be contacted.
        key: The credential, or empty for "this endpoint takes none".
        in_house: Whether only the protocol's own headers may go out.
        stream: Whether the answer is read as server-sent events.
        dialect: The wire format of the answer.

    Attributes:
        stream: As given.
        sent: Whether a request has gone out.
        fault: What went wrong on the wire, or None.
        witness: What the answer says.
    """

    def __init__(
        self, *, api_base: str, key: str, in_house: bool, stream: bool, dialect: str
    ) -> None:
        self._origin = origin(httpx.URL(api_base))
        self._key = key
        self._in_house = in_house
        self.stream = stream
        self._dialect = dialect
        self._body: Body | None = None
        self.sent: bool = False
        self.fault: Fault | None = None
        self.witness: Witness = Witness(dialect)

    def stop(self, fault: Fault) -> Stopped:
        """Note the first fault and return what to raise."""
        self.fault = self.fault or fault
        return Stopped()

    def admit(self, request: httpx.Request) -> None:
        """Let the one request of this call pass, with the declared key and nothing else.

        Raises:
            Stopped: A second request, another origin, or another key.
        """
        if self.sent or origin(request.url) != self._origin:
            raise self.stop(Fault(kind=ErrorKind.INTERNAL, billed=self.sent))
        for name in KEY_HEADERS:
            value = request.headers.get(name)
            if value is None:
                continue
            if not self._key:
                del request.headers[name]
            elif value not in {self._key, f"Bearer {self._key}"}:
                raise self.stop(Fault(kind=ErrorKind.INTERNAL))
        if self._in_house:
            for name in set(request.headers) - IN_HOUSE_HEADERS:
                del request.headers[name]
        self.sent = True

    async def receive(self, response: httpx.Response) -> httpx.Response:
        """Return the response for LiteLLM to read, watched.

        Raises:
            Stopped: It is an error, or nothing that reads like an answer.
        """
        if not response.is_success:
            body = await self._error_body(response)
            raise self.stop(fault_of_response(response.status_code, response.headers, body))
        expected = "text/event-stream" if self.stream else "json"
        if expected not in response.headers.get("content-type", "").lower():
            await response.aclose()
            raise self.stop(invalid())
        self._body = Body(response, self)
        watched = httpx.Response(
            response.status_code,
            headers=decoded(response.headers),
            stream=self._body,
            request=response.request,
            extensions={"http_version": b"HTTP/1.1"},
        )
        if self.stream:
            return watched
        self.witness.whole(await watched.aread())
        if self.witness.fault is not None:
            raise self.stop(self.witness.fault)
        return watched if self.witness.usage is not None else self._readable(watched)

    async def frames(self) -> list[dict[str, Json]]:
        """Return the next chunks of a stream; none when it is over.

        Raises:
            Stopped: The stream broke, or is no stream.
        """
        witness = self.witness
        while not witness.frames and not witness.over and self._body is not None:
            await anext(self._body, b"")
        found = list(witness.frames)
        witness.frames.clear()
        return found

    async def drain(self) -> None:
        """Read a finished stream to its end, for the usage that follows the last word.

        Beyond the stream's own mark of its end it waits only briefly: a connection read to
        the end can be used again, one that is not is closed.
        """
        body = self._body
        if body is None:
            return
        try:
            while not self.witness.over:
                await anext(body)
            async with asyncio.timeout(DRAIN_S):
                async for _ in body:
                    pass
        except (Stopped, StopAsyncIteration, TimeoutError):
            return  # the answer is whole; what is lost is its usage or the connection

    async def close(self) -> None:
        """Close the response; an unfinished one closes its connection."""
        if self._body is not None:
            await self._body.aclose()

    def lost(self, error: Exception) -> Fault:
        """Return the fault of a connection that failed while the answer was read."""
        if isinstance(error, httpx.TimeoutException):
            return Fault(kind=ErrorKind.TIMEOUT, billed=True)
        return Fault(kind=ErrorKind.INCOMPLETE, status=200, billed=True)

    def _readable(self, response: httpx.Response) -> httpx.Response:
        """Return an answer without usage in a form that LiteLLM reads.

        Its adapters for Anthropic and Gemini fail without one. What they make of this is not
        reported: usage is what the witness saw, and that is none.
        """
        filler = NO_USAGE.get(self._dialect)
        if filler is None:
            return response
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            json={**self.witness.frames[0], **filler},
            request=response.request,
            extensions=response.extensions,
        )

    async def _error_body(self, response: httpx.Response) -> bytes:
        """Read as much of an error as its codes may need."""
        body = b""
        try:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > ERROR_BODY_BYTES:
                    break
        except httpx.HTTPError:
            pass  # the status alone says enough
        finally:
            await response.aclose()
        return body


class Body(httpx.AsyncByteStream):
    """The bytes of an answer, read by LiteLLM and watched by the exchange.

    It is its own iterator, so that draining goes on where LiteLLM stopped.
    """

    def __init__(self, response: httpx.Response, exchange: Exchange) -> None:
        self._response = response
        self._pieces = response.aiter_bytes()
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            piece = None
        except httpx.HTTPError as error:
            raise exchange.stop(exchange.lost(error)) from None
        if exchange.stream:
            exchange.witness.end() if piece is None else exchange.witness.feed(piece)
            if exchange.witness.fault is not None:
                raise exchange.stop(exchange.witness.fault)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Close the response under it."""
        await self._response.aclose()


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port."""
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default


def decoded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a body whose encoding has been undone."""
    gone = {"content-encoding", "content-length", "set-cookie", "transfer-encoding"}
    return {name: value for name, value in headers.items() if name.lower() not in gone}
