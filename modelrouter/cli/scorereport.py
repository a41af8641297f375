"""Which changes of a policy nobody would notice: for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrouter.cli.common import out
from modelrouter.mutation.judging import Judged, Score
from modelrouter.proof.proving import request_json, request_text

if TYPE_CHECKING:
    from modelrouter.values import Json

__all__ = ["score_json", "show_score", "survivor_line"]

HEADS = (
    (False, "nobody would notice that less is asked for or forbidden:"),
    (True, "nobody would notice that more is asked for or forbidden:"),
)


def show_score(path: str, score: Score, short: str | None, *, quiet: bool) -> None:
    """Print the score, and each change that survived with a request on which it shows."""
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
            show_survivor(path, part)
    if short is not None:
        out(short)


def show_survivor(path: str, part: Judged) -> None:
    """Print one change and what would show it."""
    out(f"    {survivor_line(part)}")
    witness = part.witness
    if witness is None:
        out("        no request was found on which it shows; a claim under `never_sent` may")
        return
    request = request_text(witness.request).replace("'", "'\\''")
    out(f"        see: modelrouter explain {path} '{request}'")
    out(f"        decides: {witness.before}")
    out(f"        changed: {witness.after}")


def survivor_line(part: Judged) -> str:
    """Return place and words of one change."""
    place = part.mutant.place
    return f"{place.file}:{place.line}: {part.mutant}"


def score_json(score: Score, *, enough: bool) -> Json:
    """Return the score and the survivors as `--json` prints them."""
    return {
        "killed": score.killed,
        "survived": len(score.survivors),
        "equivalent": score.equivalent,
        "percent": int(score.percent),
        "enough": enough,
        "survivors": [survivor_json(part) for part in score.survivors],
    }


def survivor_json(part: Judged) -> Json:
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
    }
