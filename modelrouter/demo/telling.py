"""Tells the demo: as text for people, or as one JSON object."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal

from modelrouter.demo.expectations import Check
from modelrouter.demo.playing import CLOSED, HOME, Outcome, Session
from modelrouter.demo.steps import PATIENT
from modelrouter.values import Json, usd_text

__all__ = ["KILLED", "call_as_json", "call_as_text", "ending", "opening", "summary_as_json"]

WIDTH = 100
INDENT = 17
KILLED = f"\n-- now the process of {HOME} is killed: SIGKILL, as when a machine dies --"


def opening(session: Session) -> str:
    """Return what this is and who takes part."""
    model = session.home.model_name
    lines = [
        "modelrouter: one policy decides for each call which model may serve it, and says why.",
        "",
        *row("policy", f"{session.policy.name}/policy.yaml"),
        *row(HOME, f"open, self-hosted: {model}, running now at {session.home.api_base}"),
        *row(CLOSED, f"closed, at a vendor: {closed_model(session)}"),
    ]
    return "\n".join(lines)


def closed_model(session: Session) -> str:
    """Return what stands behind the closed model."""
    entry = next(entry for entry in session.bundle.models if entry.id == CLOSED)
    name = entry.endpoint.model.rpartition("/")[2] if entry.endpoint else CLOSED
    key = entry.endpoint.api_key_env if entry.endpoint else None
    if session.closed.server is None:
        return f"{name} itself, with your key; these calls cost less than a cent"
    return f"{name}, SIMULATED by {session.closed.server.url}; with {key} set, the real one"


def call_as_text(number: int, outcome: Outcome) -> str:
    """Return one call in a few lines."""
    step, decision = outcome.step, outcome.decision
    lines = ["", f"{number}. {step.title}"]
    lines += row("asked", " / ".join(step.prompt.split("\n\n")))
    lines += row("said", step.said)
    lines += row("label", f"{decision.label}, task {decision.task}")
    lines += row("decision", " then ".join(part.model for part in decision.candidates) or "nobody")
    for place, reason in enumerate(reasons(outcome)):
        lines += row("" if place else "why", reason)
    if outcome.error is None:
        for place, attempt in enumerate(outcome.receipt.attempts):
            lines += row("" if place else "tried", str(attempt))
    else:
        lines += row("error", f"{type(outcome.error).__name__}: {outcome.error}")
        lines += row("hint", outcome.error.hint or "")
    if outcome.reply is not None:
        who = f"{outcome.reply.model}{' (simulated)' if outcome.simulated else ''}"
        lines += row("answered by", "the cache" if outcome.reply.cached else who)
        lines += row("answer", outcome.reply.text or "(no text: all tokens went into reasoning)")
    lines += row("used", used(outcome))
    return "\n".join(lines)


def ending(session: Session, checks: Sequence[Check], *, seconds: float) -> str:
    """Return what each side received, and whether everything was as promised."""
    counts = session.request_counts()
    note = "counted by the receipts" if session.closed.server is None else "simulated"
    lines = ["", "Requests that arrived"]
    lines += row(HOME, str(counts["self_hosted"]))
    lines += row(CLOSED, f"{counts['closed']} ({note})")
    lines += ["", "Checked"]
    lines += [f"  {'ok' if check.holds else 'FAILED':8}{check.text}" for check in checks]
    failed = sum(not check.holds for check in checks)
    verdict = f"{failed} of {len(checks)} FAILED" if failed else f"all {len(checks)} hold"
    return "\n".join([*lines, "", f"{verdict}; the demo took {seconds:.1f} s"])


def call_as_json(outcome: Outcome) -> dict[str, Json]:
    """Return one call as JSON values."""
    decision, reply, error = outcome.decision, outcome.reply, outcome.error
    usage = None if reply is None else reply.usage
    return {
        "name": outcome.step.name,
        "title": outcome.step.title,
        "label": str(decision.label),
        "task": decision.task,
        "decision": decision.outcome,
        "candidates": [part.model for part in decision.candidates],
        "reasons": [
            {"model": part.model, **reason.as_json()}
            for part in decision.excluded
            for reason in part.reasons
        ],
        "model": None if reply is None else reply.model,
        "answer": None if reply is None else reply.text,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "cost_usd": as_number(outcome.receipt.cost_usd),
        "seconds": round(outcome.seconds, 4),
        "error": None if error is None else type(error).__name__,
        "message": None if error is None else str(error),
        "hint": None if error is None else error.hint,
        "attempts": [str(attempt) for attempt in outcome.receipt.attempts],
        "sends": outcome.receipt.sends,
        "cached": reply is not None and reply.cached,
        "simulated": outcome.simulated,
    }


def summary_as_json(
    session: Session, checks: Sequence[Check], *, seconds: float
) -> dict[str, Json]:
    """Return the whole demo as one JSON object."""
    return {
        "calls": [call_as_json(outcome) for outcome in session.outcomes],
        "requests": dict(session.request_counts()),
        "closed_is": session.closed.kind,
        "restricted_text_reached_closed": session.closed.received(PATIENT),
        "checks": [{"text": check.text, "holds": check.holds} for check in checks],
        "passed": all(check.holds for check in checks),
        "seconds": round(seconds, 2),
    }


def reasons(outcome: Outcome) -> Iterator[str]:
    """Yield why these models, in this order."""
    decision = outcome.decision
    for excluded in decision.excluded:
        for reason in excluded.reasons:
            place = f" (policy.yaml:{reason.rule.line})" if reason.rule.line else ""
            yield f"not {excluded.model}: {reason.detail}{place}"
    costs = [f"{part.model} about {money(part.expected_cost_usd)}" for part in decision.candidates]
    if len(costs) > 1:
        yield f"the cheapest of those allowed comes first: {', '.join(costs)}"


def used(outcome: Outcome) -> str:
    """Return tokens, cost and time."""
    parts = [f"{money(outcome.receipt.cost_usd)}", f"{outcome.seconds:.3f} s"]
    usage = None if outcome.reply is None else outcome.reply.usage
    if outcome.reply is not None and outcome.reply.cached:
        parts.insert(0, "no tokens")
    elif usage is not None:
        parts.insert(0, f"{usage.input_tokens} + {usage.output_tokens} tokens")
    elif outcome.receipt.sends == 0:
        parts.insert(0, "nothing was sent")
    return ", ".join(parts)


def money(value: Decimal | None) -> str:
    """Return an amount with its unit."""
    return "unknown cost" if value is None else f"{usd_text(value)} USD"


def as_number(value: Decimal | None) -> float | None:
    """Return an amount as the JSON number closest to it."""
    return None if value is None else float(value)


def row(name: str, text: str) -> list[str]:
    """Return a name and its text, wrapped; lines of the text stay apart."""
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        lines += textwrap.wrap(
            line, WIDTH - INDENT - 3, drop_whitespace=False, break_on_hyphens=False
        ) or [""]
    heads = [name, *[""] * (len(lines) - 1)]
    return [f"   {head:{INDENT}}{line}".rstrip() for head, line in zip(heads, lines, strict=True)]
