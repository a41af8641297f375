"""Say once what is true of a request; every call below it inherits it.

A web handler knows who asks and how sensitive the matter is. The functions it calls need not be
told: `router.context(...)` follows contextvars, through threads started with a copied context
and asyncio tasks. A call inside may add to it, and never take back.

Run it with `.venv/bin/python examples/request_context.py`. The models are stand-ins; leave out
`endpoints=` to reach those of the catalogue.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from stand_ins import stand_ins

from modelrouter import CallError, Router

QUICKSTART = Path(__file__).parents[1] / "policies" / "quickstart" / "policy.yaml"
FACT = "facts:\n  plan: {type: enum, values: [free, pro], source: auth, required: true}\n"
RULE = (
    "rules:\n"
    "  - {id: free-stays-home, effect: forbid, when: {facts: {plan: free}},"
    " models: {hosting: vendor_api}}\n"
)


def handle(router: Router, *, plan: str, question: str) -> str:
    """Serve one request, as a web framework would call it."""
    with router.context(facts={"plan": plan}, sensitivity="public"):
        return summarise(router, question)


def summarise(router: Router, question: str) -> str:
    """Know nothing of plans; what the handler said holds here."""
    messages = [{"role": "user", "content": question}]
    reply = router.completion(messages, max_tokens=60)
    return f"{reply.model}, allowed: {[part.model for part in reply.decision.candidates]}"


def main() -> None:
    """Serve a request of each plan, and contradict one."""
    with stand_ins() as endpoints, tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.yaml"  # the quickstart, with one more fact and rule
        policy.write_text(QUICKSTART.read_text("utf-8").replace("rules:\n", FACT + RULE), "utf-8")
        router = Router.from_policy(policy, endpoints=endpoints)
        for plan in ("free", "pro"):
            print(f"{plan}: {handle(router, plan=plan, question='What does a firewall do?')}")

        messages = [{"role": "user", "content": "What does a firewall do?"}]
        with router.context(facts={"plan": "free"}, sensitivity="public"):
            try:
                router.completion(messages, facts={"plan": "pro"}, max_tokens=60)
            except CallError as error:
                print(f"refused: {error}")


if __name__ == "__main__":
    main()
