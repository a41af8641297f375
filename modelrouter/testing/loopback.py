"""A scripted model server on 127.0.0.1, for tests and for demonstrations without keys.

It speaks the wire protocols of OpenAI (`/chat/completions`), Anthropic (`/messages`) and
Gemini (`:generateContent`), plain and streamed, misbehaves on request, and records every
request it got.

Example:
    ```python
    with LoopbackServer([status(503), answer("Hello")]) as server:
        router = Router.from_policy(policy_with(api_base=server.url + "/v1"))
        ...
    assert len(server.requests) == 2
    ```
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from modelrouter.testing.behaviour import Behaviour, answer
from modelrouter.testing.formats import Reply, reply
from modelrouter.testing.stage import Received, Script, Stage
from modelrouter.values import Json

__all__ = ["LoopbackServer"]

POLL_S = 0.01


class LoopbackServer:
    """A context manager around a threaded HTTP server.

    Args:
        script: One behaviour for every request, a list that is used up (its last one
            repeats), or a function of the request.

    Attributes:
        url: `http://127.0.0.1:PORT`, without a path.
        port: The port, chosen by the system.
    """

    def __init__(self, script: Script | None = None) -> None:
        self._stage = Stage(answer() if script is None else script)
        self._server = _Server(self._stage)
        self.port: int = self._server.server_port
        self.url: str = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": POLL_S},
            name=f"loopback-{self.port}",
            daemon=True,
        )

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving and close every connection."""
        self._stage.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def requests(self) -> tuple[Received, ...]:
        """Every request so far, in order of arrival."""
        return self._stage.received

    def wait_for(self, holds: Callable[[Self], bool], *, seconds: float = 2.0) -> bool:
        """Wait until `holds(self)` is true; return whether it became true in time."""
        end = time.monotonic() + seconds
        while not holds(self):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        return True


class _Server(ThreadingHTTPServer):
    """Threads that end with the process, and no words about clients that hang up."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the standard library."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: object, client_address: object) -> None:
        """Remember the connection, so that closing the server closes it."""
        assert isinstance(request, socket.socket)
        self._open.add(request)
        super().process_request(request, client_address)  # pyright: ignore[reportArgumentType]

    def shutdown_request(self, request: object) -> None:
        """Forget the connection and close it."""
        assert isinstance(request, socket.socket)
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close the listener and every connection."""
        super().server_close()
        for connection in tuple(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is part of the tests."""


class _HungUpError(Exception):
    """The client closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _stage(self) -> Stage:
        assert isinstance(self.server, _Server)
        return self.server.stage

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_POST(self) -> None:
        """Record the request and do what the script says."""
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        try:
            body: Json = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        received = Received(
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        place, behaviour = self._stage.enter(received)
        try:
            self._act(behaviour, reply(self.path.partition("?")[0], body, behaviour))
        except (_HungUpError, ConnectionError):
            self._stage.hung_up(place)
            self.close_connection = True

    do_GET = do_PUT = do_CONNECT = do_POST  # noqa: N815 - the base's names

    def _act(self, behaviour: Behaviour, answer: Reply | None) -> None:
        """Carry out one behaviour."""
        if behaviour.drop:
            self._reset()
        elif behaviour.stall_at is None:
            self._pause(behaviour.stall_s)
        if behaviour.drop:
            return
        if behaviour.body is not None:
            self._whole(behaviour.code, behaviour.body, behaviour.content_type, behaviour.headers)
        elif answer is None:
            self._whole(404, b'{"error": {"message": "no such path"}}', "application/json", {})
        elif answer.streamed:
            self._stream(behaviour, answer)
        else:
            content = json.dumps(answer.whole).encode()
            self._whole(behaviour.code, content, "application/json", behaviour.headers)

    def _whole(self, code: int, body: bytes, content_type: str, extra: Mapping[str, str]) -> None:
        """Send a plain response."""
        self.send_response(code)
        usual = {"Content-Type": content_type, "Content-Length": str(len(body))}
        for name, value in {**usual, **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, behaviour: Behaviour, answer: Reply) -> None:
        """Send server-sent events in HTTP chunks."""
        self.send_response(behaviour.code)
        for name, value in {"Content-Type": "text/event-stream", **behaviour.headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place, (event, data) in enumerate(answer.events):
            if place == behaviour.stop_at:
                self._cut(behaviour)
                return
            self._pause(behaviour.stall_s if place == behaviour.stall_at else behaviour.drip_s)
            head = "" if event is None else f"event: {event}\n"
            text = "{no json" if place == behaviour.garbage_at else json.dumps(data)
            self._chunk(f"{head}data: {text}\n\n".encode())
        if answer.terminator:
            self._chunk(answer.terminator)
        self.wfile.write(b"0\r\n\r\n")

    def _cut(self, behaviour: Behaviour) -> None:
        """End a stream before its terminator."""
        if behaviour.stop_how == "clean":
            self.wfile.write(b"0\r\n\r\n")
        elif behaviour.stop_how == "close":
            self.close_connection = True
        else:
            time.sleep(POLL_S * 3)  # lets the client read what was sent: a reset discards it
            self._reset()

    def _chunk(self, data: bytes) -> None:
        """Send one HTTP chunk, unless the client hung up."""
        self._pause(0)
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _pause(self, seconds: float) -> None:
        """Wait, and notice a client that hangs up meanwhile."""
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, min(POLL_S, end - time.monotonic()))
            readable, _, _ = select.select([self.connection], [], [], left)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise _HungUpError
            if self._stage.closing.is_set():
                raise _HungUpError
            if time.monotonic() >= end:
                return
            if readable:  # a pipelined request: do not spin on it
                time.sleep(left)

    def _reset(self) -> None:
        """Close with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.flush()
        self.connection.close()
