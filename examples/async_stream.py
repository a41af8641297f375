"""Several streams at once from one router.

Run it with `.venv/bin/python examples/async_stream.py`. The models are stand-ins; leave out
`endpoints=` to reach those of the catalogue.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from stand_ins import stand_ins

from modelrouter import Router

POLICY = Path(__file__).parents[1] / "policies" / "quickstart"


async def ask(router: Router, question: str, task: str) -> str:
    """Return the answer, read piece by piece, with who gave it."""
    messages = [{"role": "user", "content": question}]
    stream = router.astream(messages, sensitivity="public", task=task, max_tokens=60)
    async with stream:  # leaving it early stops the model
        pieces = [chunk.text async for chunk in stream]
    return f"{stream.reply.model} in {len(pieces)} pieces: {''.join(pieces)}"


async def main() -> None:
    """Ask two models at the same time."""
    with stand_ins() as endpoints:
        router = Router.from_policy(POLICY, endpoints=endpoints)
        answers = await asyncio.gather(
            ask(router, "What does a firewall do?", "other"),
            ask(router, "Write a function is_even(n) in Python.", "code"),
        )
    print("\n".join(answers))


if __name__ == "__main__":
    asyncio.run(main())
