"""Stand-ins for the world outside a router: for the tests of applications and our own."""

from __future__ import annotations

from modelrouter.testing.behaviour import (
    Behaviour,
    Tokens,
    answer,
    drop,
    empty,
    garbage,
    html,
    redirect,
    stall,
    status,
    truncate,
)
from modelrouter.testing.loopback import LoopbackServer
from modelrouter.testing.scripted import ManualClock, ScriptedProvider, Turn
from modelrouter.testing.stage import Received

__all__ = [
    "Behaviour",
    "LoopbackServer",
    "ManualClock",
    "Received",
    "ScriptedProvider",
    "Tokens",
    "Turn",
    "answer",
    "drop",
    "empty",
    "garbage",
    "html",
    "redirect",
    "stall",
    "status",
    "truncate",
]
