"""Servers on 127.0.0.1 in place of the models of `policies/quickstart`, for the examples.

In a program of your own nothing of this is needed: the catalogue says where the models are.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from modelrouter.testing import LoopbackServer, answer


@contextmanager
def stand_ins() -> Generator[dict[str, dict[str, str]], None, None]:
    """Run both servers; yield what `Router(endpoints=…)` takes."""
    home = LoopbackServer(answer("[stand-in at home] A firewall filters network traffic."))
    vendor = LoopbackServer(answer("[stand-in of a vendor] def is_even(n): return n % 2 == 0"))
    with home, vendor:
        yield {
            "home/small": endpoint("hosted_vllm/smollm2-135m-instruct", home),
            "vendor/frontier": endpoint("openai/gpt-4.1-mini", vendor),
        }


def endpoint(model: str, server: LoopbackServer) -> dict[str, str]:
    """Return an endpoint as it stands in a catalogue."""
    return {"model": model, "api_base": f"{server.url}/v1", "api_key": "none"}
