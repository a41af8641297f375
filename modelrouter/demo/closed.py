"""The closed side of the demo: the vendor itself, or a stand-in without a key.

The stand-in is an HTTP server on 127.0.0.1 that speaks the vendor's wire protocol. It is no
model: it knows three answers, begins each with `[simulated]`, and estimates its token counts
from the length of the text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from modelrouter.receipts import Receipt
from modelrouter.testing import Behaviour, LoopbackServer, Received, Tokens, answer

__all__ = ["ClosedSide", "stand_in", "transmissions"]

MARK = "[simulated]"
ANSWERS: Mapping[str, str] = {
    "is_even": "def is_even(n):\n    return n % 2 == 0",
    "spider": "A spider has eight legs.",
}
UNKNOWN = "This stand-in has no answer to that."
CHARACTERS_PER_TOKEN = 4  # a common estimate for English text
TOKENS_PER_MESSAGE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedSide:
    """What stands behind the closed model.

    Attributes:
        kind: `simulated` or `vendor`.
        model: Catalogue id.
        endpoint: In place of the catalogue's, or None to use that one.
        server: The stand-in, or None.
    """

    kind: Literal["simulated", "vendor"]
    model: str
    endpoint: Mapping[str, str] | None = None
    server: LoopbackServer | None = None

    def request_count(self, receipts: Sequence[Receipt]) -> int:
        """Return how many requests it got; a vendor's are counted by the receipts."""
        if self.server is not None:
            return len(self.server.requests)
        return sum(transmissions(receipt, self.model) for receipt in receipts)

    def received(self, text: str) -> bool | None:
        """Whether any request carried `text`; None where the requests cannot be seen."""
        if self.server is None:
            return None
        return any(text in seen for seen in map(everything_in, self.server.requests))


def transmissions(receipt: Receipt, model: str) -> int:
    """Return how often a call sent something to one model, by its receipt."""
    failed = sum(attempt.model == model for attempt in receipt.attempts)
    answered = receipt.model == model and receipt.cache in {"off", "miss"}
    return failed + answered


@contextmanager
def stand_in(model: str, upstream: str) -> Generator[ClosedSide, None, None]:
    """Run the stand-in for a closed model.

    Args:
        model: Catalogue id.
        upstream: Name of the model it stands in for, as LiteLLM spells it.
    """
    with LoopbackServer(reply_to) as server:
        # No key: one of the environment's is none of the stand-in's business.
        endpoint = {"model": upstream, "api_base": f"{server.url}/v1", "api_key": "none"}
        yield ClosedSide(kind="simulated", model=model, endpoint=endpoint, server=server)


def reply_to(request: Received) -> Behaviour:
    """Return the scripted answer to one request."""
    asked = json.dumps(request.body)
    text = next((text for word, text in ANSWERS.items() if word in asked), UNKNOWN)
    said = f"{MARK} {text}"
    usage = Tokens(input=TOKENS_PER_MESSAGE + tokens_of(prompt_of(request)), output=tokens_of(said))
    return answer(said, usage=usage)


def prompt_of(request: Received) -> str:
    """Return the text of the messages."""
    body = request.body if isinstance(request.body, dict) else {}
    messages = body.get("messages")
    parts = messages if isinstance(messages, list) else []
    return "\n".join(str(part.get("content")) for part in parts if isinstance(part, dict))


def tokens_of(text: str) -> int:
    """Estimate the tokens of a text."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def everything_in(request: Received) -> str:
    """Return path, headers and body as one text."""
    body = json.dumps(request.body, ensure_ascii=False)
    return "\n".join((request.path, json.dumps(dict(request.headers)), body))
