"""Which changes of a policy nobody would notice: for people and as JSON."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from modelrouter.cli.common import out
from modelrouter.cli.pasting import item_of
from modelrouter.mutation.judging import Judged, Score
from modelrouter.proof.proving import request_json, request_text

if TYPE_CHECKING:
    import datetime

    from modelrouter.values import Json

__all__ = ["score_json", "show_score", "survivor_line"]

HEADS = (
    (False, "nobody would notice that less is asked for or forbidden:"),
    (True, "nobody would notice that more is asked for or forbidden:"),
)


def show_score(
    path: str, score: Score, short: str | None, *, quiet: bool, at: datetime.date | None
) -> None:
    """Print the score, and each change that survived with a request on which it shows.

    Args:
        path: The policy as the user gave it.
        score: What became of its changes.
        short: How the score falls short of what is wanted, or None.
        quiet: Whether survivors are left out unless it does.
        at: The day that the user asked about, or None.
    """
    counts = (
        f"{score.killed} killed",
        f"{len(score.survivors)} survived",
        f"{score.equivalent} equivalent",
    )
    out(f"mutation score {int(score.percent)} % ({', '.join(counts)})")
    for tightens, head in HEADS if short is not None or not quiet else ():
        parts = [part for part in score.survivors if part.mutant.tightens is tightens]
        if parts:
            out(f"  {head}")
        for part in parts:
            show_survivor(path, part, at)
    if short is not None:
        out(short)


def show_survivor(path: str, part: Judged, at: datetime.date | None) -> None:
    """Print one change, what would show it, and a test that would notice it."""
    out(f"    {survivor_line(part)}")
    witness = part.witness
    if witness is None:
        out("        no request was found on which it shows; a claim under `never_sent` may")
        return
    words = ["modelrouter", "explain", path, request_text(witness.request)]
    words += [] if at is None else ["--at", at.isoformat()]
    out(f"        see: {shlex.join(words)}")
    out(f"        decides: {witness.before}")
    out(f"        changed: {witness.after}")
    item = item_of(part, at)
    if item is not None:
        out(f"        test: {item}")


def survivor_line(part: Judged) -> str:
    """Return place and words of one change."""
    place = part.mutant.place
    return f"{place.file}:{place.line}: {part.mutant}"


def score_json(score: Score, *, enough: bool, at: datetime.date | None) -> Json:
    """Return the score and the survivors as `--json` prints them."""
    return {
        "killed": score.killed,
        "survived": len(score.survivors),
        "equivalent": score.equivalent,
        "percent": int(score.percent),
        "enough": enough,
        "survivors": [survivor_json(part, at) for part in score.survivors],
    }


def survivor_json(part: Judged, at: datetime.date | None) -> Json:
    """Return one change that nobody noticed."""
    mutant, witness = part.mutant, part.witness
    return {
        "section": mutant.section,
        "kind": mutant.noun,
        "id": mutant.place.id,
        "file": mutant.place.file,
        "line": mutant.place.line,
        "change": mutant.words,
        "tightens": mutant.tightens,
        "request": None if witness is None else request_json(witness.request),
        "decides": None if witness is None else witness.before,
        "changed": None if witness is None else witness.after,
        "test": item_of(part, at),
    }
