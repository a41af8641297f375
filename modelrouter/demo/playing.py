"""Plays the demo: starts both sides, makes the calls, notes what came of them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from modelrouter.arguments import CallArguments
from modelrouter.decision import Decision
from modelrouter.demo.closed import ClosedSide, stand_in
from modelrouter.demo.local_model import LocalModel
from modelrouter.demo.steps import STEPS, Step
from modelrouter.errors import (
    BudgetExceeded,
    CallFailed,
    ConfigurationError,
    ModelRouterError,
    PolicyDenied,
)
from modelrouter.litellm_provider import LiteLLMProvider
from modelrouter.loader import load
from modelrouter.receipts import Receipt
from modelrouter.reply import Reply
from modelrouter.router import Router

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.catalogue import Endpoint

__all__ = ["CLOSED", "HOME", "Outcome", "Session", "find_policy", "opened"]

HOME = "home/small"
CLOSED = "vendor/frontier"
DEADLINE_S = 100.0  # of the whole demo, which takes about 15 s on an idle machine
CALL_S = 20.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one call.

    Attributes:
        step: The call.
        decision: What was decided.
        reply: The answer, or None.
        error: Why there is none, or None.
        receipt: The record of the call.
        seconds: How long the caller waited.
        simulated: Whether the answer comes from the stand-in.
    """

    step: Step
    decision: Decision
    reply: Reply | None
    error: ModelRouterError | None
    receipt: Receipt
    seconds: float
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Both sides and the router between them.

    Attributes:
        bundle: The loaded policy.
        policy: Where it was loaded from.
        home: The self-hosted model.
        closed: The closed model, or its stand-in.
        router: Built from the policy.
        receipts: Of every call so far.
        ends: When the demo gives up, on the monotonic clock.
    """

    bundle: Bundle
    policy: Path
    home: LocalModel
    closed: ClosedSide
    router: Router
    receipts: list[Receipt]
    ends: float
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def play(self) -> Iterator[Outcome]:
        """Make the calls one after the other; the model is killed before those after it."""
        for step in STEPS:
            if step.killed:
                self.home.kill()
            outcome = self._make(step)
            self.outcomes.append(outcome)
            yield outcome

    def request_counts(self) -> dict[str, int]:
        """Return how many requests each side received."""
        return {
            "self_hosted": self.home.request_count(),
            "closed": self.closed.request_count(self.receipts),
        }

    def _make(self, step: Step) -> Outcome:
        reply: Reply | None = None
        failure: PolicyDenied | BudgetExceeded | CallFailed | None = None
        started = time.monotonic()
        arguments: CallArguments = {
            **step.arguments,
            "timeout": min(CALL_S, left_s(self.ends)),
        }
        try:
            reply = self.router.completion([{"role": "user", "content": step.prompt}], **arguments)
        except (PolicyDenied, BudgetExceeded, CallFailed) as error:
            failure = error
        seconds = time.monotonic() - started
        receipt = self.receipts[-1]
        return Outcome(
            step=step,
            decision=receipt.decision,
            reply=reply,
            error=failure,
            receipt=receipt,
            seconds=seconds,
            simulated=self.closed.kind == "simulated" and receipt.model == self.closed.model,
        )


@contextmanager
def opened(
    *, simulate: bool, on_progress: Callable[[float], None]
) -> Generator[Session, None, None]:
    """Start both sides and the router; leaving the block ends every process.

    Args:
        simulate: Whether to use the stand-in although the vendor's key is set.
        on_progress: Called with the fraction that is ready.

    Raises:
        ConfigurationError: A package is missing, or the model did not start.
        TimeoutError: The deadline of the whole demo passed.
    """
    ends = time.monotonic() + DEADLINE_S
    path = find_policy()
    bundle = load(path)
    receipts: list[Receipt] = []
    provider = LiteLLMProvider()
    library = Loading(provider)

    def half_way(part: float) -> None:
        left_s(ends)
        on_progress(part / 2)

    with closed_side(bundle, simulate=simulate) as closed:
        library.start()
        with LocalModel.start(half_way) as home:
            library.wait(on_progress, ends)
            endpoints: dict[str, dict[str, object]] = {
                HOME: {
                    "model": f"hosted_vllm/{home.model_name}",
                    "api_base": home.api_base,
                    "api_key": "none",
                }
            }
            if closed.endpoint is not None:
                endpoints[CLOSED] = dict(closed.endpoint)
            yield Session(
                bundle=bundle,
                policy=path,
                home=home,
                closed=closed,
                router=Router(
                    bundle, endpoints=endpoints, provider=provider, receipts=receipts.append
                ),
                receipts=receipts,
                ends=ends,
            )


def find_policy() -> Path:
    """Return the folder of the quickstart policy: the installed wheel's, or the checkout's."""
    package = Path(str(files("modelrouter")))
    installed = package / "_policies" / "quickstart"
    return installed if installed.is_dir() else package.parent / "policies" / "quickstart"


def closed_side(bundle: Bundle, *, simulate: bool) -> AbstractContextManager[ClosedSide]:
    """Return the vendor if its key is set, else the stand-in."""
    endpoint = endpoint_of(bundle, CLOSED)
    if not simulate and endpoint.api_key_env and os.environ.get(endpoint.api_key_env):
        return nullcontext(ClosedSide(kind="vendor", model=CLOSED))
    return stand_in(CLOSED, endpoint.model)


def endpoint_of(bundle: Bundle, model: str) -> Endpoint:
    """Return the catalogue's endpoint of a model."""
    found = next((entry.endpoint for entry in bundle.models if entry.id == model), None)
    if found is None:
        raise ConfigurationError(
            f"the policy has no model `{model}` with an endpoint",
            hint="the demo needs the quickstart policy as it was shipped",
        )
    return found


class Loading:
    """Loads LiteLLM in a thread, which takes seconds, while the model starts."""

    def __init__(self, provider: LiteLLMProvider) -> None:
        self._provider = provider
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._load, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, on_progress: Callable[[float], None], ends: float) -> None:
        """Wait until it is loaded. It reports no steps of its own.

        Raises:
            ConfigurationError: The process has LiteLLM send every call elsewhere.
            TimeoutError: The deadline of the whole demo passed.
        """
        while self._thread.is_alive():
            left_s(ends)
            on_progress(0.5)
            self._thread.join(POLL_S)
        if self._failure is not None:
            raise self._failure
        on_progress(1.0)

    def _load(self) -> None:
        try:
            asyncio.run(self._provider.warm_up())
        except BaseException as error:  # noqa: BLE001 - raised again in `wait`
            self._failure = error


def left_s(ends: float) -> float:
    """Return the seconds until the deadline.

    Raises:
        TimeoutError: It has passed.
    """
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"the demo took longer than {DEADLINE_S:.0f} seconds")
    return left
