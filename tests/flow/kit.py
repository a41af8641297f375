"""What the tests of calls share: small policies, and one spelling for both APIs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelrouter import Chunk, Reply, Router
from modelrouter.budget import Account, MemoryLedger
from modelrouter.loader import load_text
from modelrouter.policy.bundle import Bundle

HELLO = [{"role": "user", "content": "Hello"}]
AT_HOME = {
    "id": "restricted-at-home",
    "effect": "permit",
    "when": {"level": "restricted"},
    "models": {"hosting": "self_hosted"},
}
STAYS_HOME = {
    "id": "sensitive-stays-home",
    "effect": "forbid",
    "when": {"level": {"at_least": "confidential"}},
    "models": {"hosting": "vendor_api"},
}
NO_PAUSE = {"initial_ms": 1, "max_ms": 1, "jitter": "none"}
NOWHERE = "http://127.0.0.1:9/v1"


def model(name: str, *, url: str = NOWHERE, **facts: Any) -> dict[str, Any]:
    """Return a self-hosted model without a key; None leaves a fact out."""
    entry = {
        "id": name,
        "weights": "open",
        "hosting": "self_hosted",
        "endpoint": {"model": f"hosted_vllm/{name}", "api_base": url, "api_key": "none"},
        "max_output": 100,
        "price": {"input": 1, "output": 1},
        "quality": {"*": 0.8},
        **facts,
    }
    return {key: value for key, value in entry.items() if value is not None}


def vendor(name: str, *, url: str = NOWHERE, **facts: Any) -> dict[str, Any]:
    """Return a vendor's model, dearer than a self-hosted one."""
    return model(
        name,
        **{
            "weights": "closed",
            "hosting": "vendor_api",
            "endpoint": {"model": f"openai/{name}", "api_base": url, "api_key_env": "CLOUD_KEY"},
            "price": {"input": 2, "output": 2},
            **facts,
        },
    )


def runtime(
    *, retries: int = 0, attempts: int = 3, timeout_ms: int = 20_000, **parts: Any
) -> list[dict[str, Any]]:
    """Return a runtime section without pauses."""
    retry = {"max": retries, **NO_PAUSE, **parts.pop("retry", {})}
    fallback = {"max_attempts": attempts, **parts.pop("fallback", {})}
    return [{"id": "all", "timeout_ms": timeout_ms, "retry": retry, "fallback": fallback, **parts}]


def bundle(*models: Mapping[str, Any], **sections: Any) -> Bundle:
    """Return a policy with the standard labels."""
    document: dict[str, Any] = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": "tested"},
        "labels": "standard",
        "models": [*models] or [model("local"), vendor("cloud")],
        "rules": [AT_HOME, STAYS_HOME],
        "runtime": runtime(),
        **sections,
    }
    return load_text(json.dumps(document))


def key_of(model: str) -> str:
    """Return an invented key for every model."""
    return f"key-of-{model}"


@dataclass(slots=True, kw_only=True)
class Streamed:
    """What came of a stream."""

    chunks: list[Chunk] = field(default_factory=list[Chunk])
    reply: Reply | None = None
    error: BaseException | None = None

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


class Api(Protocol):
    """One of the two APIs of a router."""

    def complete(self, router: Router, messages: Any = HELLO, **call: Any) -> Reply: ...

    def stream(
        self, router: Router, messages: Any = HELLO, *, most: int | None = None, **call: Any
    ) -> Streamed: ...

    def together(
        self, router: Router, calls: Sequence[Mapping[str, Any]]
    ) -> list[Reply | BaseException]: ...


class SyncApi:
    """`completion` and `stream`, and threads."""

    def complete(self, router: Router, messages: Any = HELLO, **call: Any) -> Reply:
        return router.completion(messages, **call)

    def stream(
        self, router: Router, messages: Any = HELLO, *, most: int | None = None, **call: Any
    ) -> Streamed:
        found = Streamed()
        try:
            with router.stream(messages, **call) as pieces:
                for piece in pieces:
                    found.chunks.append(piece)
                    if len(found.chunks) == most:
                        return found
                found.reply = pieces.reply
        except Exception as error:  # noqa: BLE001 - what came of it is the test's to judge
            found.error = error
        return found

    def together(
        self, router: Router, calls: Sequence[Mapping[str, Any]]
    ) -> list[Reply | BaseException]:
        ready = threading.Barrier(len(calls))

        def one(call: Mapping[str, Any]) -> Reply | BaseException:
            ready.wait(10)
            try:
                return router.completion(call.get("messages", HELLO), **without_messages(call))
            except Exception as error:  # noqa: BLE001
                return error

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls))


class AsyncApi:
    """`acompletion` and `astream`, and tasks."""

    def complete(self, router: Router, messages: Any = HELLO, **call: Any) -> Reply:
        return asyncio.run(router.acompletion(messages, **call))

    def stream(
        self, router: Router, messages: Any = HELLO, *, most: int | None = None, **call: Any
    ) -> Streamed:
        return asyncio.run(self._stream(router, messages, most, call))

    async def _stream(
        self, router: Router, messages: Any, most: int | None, call: Mapping[str, Any]
    ) -> Streamed:
        found = Streamed()
        try:
            async with router.astream(messages, **call) as pieces:
                async for piece in pieces:
                    found.chunks.append(piece)
                    if len(found.chunks) == most:
                        return found
                found.reply = pieces.reply
        except Exception as error:  # noqa: BLE001
            found.error = error
        return found

    def together(
        self, router: Router, calls: Sequence[Mapping[str, Any]]
    ) -> list[Reply | BaseException]:
        async def all_of_them() -> list[Reply | BaseException]:
            return await asyncio.gather(
                *(
                    router.acompletion(call.get("messages", HELLO), **without_messages(call))
                    for call in calls
                ),
                return_exceptions=True,
            )

        return asyncio.run(all_of_them())


def without_messages(call: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name != "messages"}


APIS: dict[str, Api] = {"sync": SyncApi(), "async": AsyncApi()}


def put(api: Api, router: Router, *, streamed: bool, **call: Any) -> str:
    """Put a call whole or streamed; return the text of the answer, or raise its error."""
    if not streamed:
        return api.complete(router, **call).text
    found = api.stream(router, **call)
    if found.error is not None:
        raise found.error
    return found.text


async def until(holds: Callable[[], object]) -> None:
    """Wait until something has happened that tells nobody."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - a fake provider has no event to wait for
            await asyncio.sleep(0.005)


def balances(ledger: MemoryLedger) -> dict[str, tuple[int, int]]:
    """Return spent and held of each budget, all its accounts together."""
    found: dict[str, tuple[int, int]] = {}
    for account, balance in ledger.balances.items():
        spent, held = found.get(account.budget, (0, 0))
        found[account.budget] = (spent + balance.spent, held + balance.held)
    return found


def account_named(ledger: MemoryLedger, budget: str) -> Account:
    """Return the only account of a budget."""
    (found,) = [account for account in ledger.balances if account.budget == budget]
    return found


def wait_until(holds: Callable[[], bool], *, seconds: float = 3.0) -> bool:
    """Wait until something done by another thread has happened."""
    waiting = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if holds():
            return True
        waiting.wait(0.01)
    return holds()
