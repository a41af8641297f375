"""One call: what was decided, what came back, and what a denial looks like.

Run it with `.venv/bin/python examples/sync_call.py`. The models are stand-ins; leave out
`endpoints=` to reach those of the catalogue.
"""

from __future__ import annotations

from pathlib import Path

from stand_ins import stand_ins

from modelrouter import PolicyDenied, Router

POLICY = Path(__file__).parents[1] / "policies" / "quickstart"


def main() -> None:
    """Ask twice: once as the policy allows it, once as it does not."""
    with stand_ins() as endpoints:
        router = Router.from_policy(POLICY, endpoints=endpoints)
        messages = [{"role": "user", "content": "What does a firewall do?"}]

        reply = router.completion(messages, sensitivity="confidential", max_tokens=60)
        print(reply.text)
        print(f"{reply.model}, {reply.cost_usd:f} USD")
        print(reply.decision.explain())

        try:  # code needs the vendor's quality, what is confidential may not go there
            router.completion(messages, sensitivity="confidential", task="code", max_tokens=60)
        except PolicyDenied as error:
            print(f"denied: {error}")


if __name__ == "__main__":
    main()
