"""What a loopback server has received, and what it is to do next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from modelrouter.testing.behaviour import Behaviour
from modelrouter.values import Json

__all__ = ["Received", "Script", "Stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived.

    Attributes:
        method: HTTP method, or `CONNECT` if the server was used as a proxy.
        path: Path with query.
        headers: By lower-case name.
        body: JSON body, or None where there is none.
        disconnected: Whether the client hung up before the reply was complete.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Json = field(repr=False)
    disconnected: bool = False


Script = Behaviour | list[Behaviour] | tuple[Behaviour, ...] | Callable[[Received], Behaviour]


class Stage:
    """What the server and the threads of its connections share."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self.closing: threading.Event = threading.Event()

    @property
    def received(self) -> tuple[Received, ...]:
        """Every request so far."""
        with self._lock:
            return tuple(self._received)

    def enter(self, received: Received) -> tuple[int, Behaviour]:
        """Keep a request; return its place and what to do with it."""
        with self._lock:
            place = len(self._received)
            self._received.append(received)
        script = self._script
        if isinstance(script, Behaviour):
            return place, script
        if callable(script):
            return place, script(received)
        return place, script[min(place, len(script) - 1)]

    def hung_up(self, place: int) -> None:
        """Note that the client of a request went away."""
        with self._lock:
            self._received[place] = replace(self._received[place], disconnected=True)
