"""Checks for what stands twice, and for what leads back to itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from modelrouter.policy.findings import Path
from modelrouter.policy.vocabulary import References

__all__ = ["check_cycles", "check_listed_once", "check_unique"]


def check_unique(section: str, ids: Iterable[str], see: References) -> None:
    """Note every id that stands twice in one section."""
    first: dict[str, int] = {}
    for place, name in enumerate(ids):
        if name in first:
            line = see.source.position((section, first[name], "id"))[0]
            see.findings.add(
                see.source,
                (section, place, "id"),
                "MR110",
                f"duplicate id `{name}` in `{section}` (first at line {line})",
                hint="every id stands once in its section",
            )
        else:
            first[name] = place


def check_listed_once(path: Path, names: Iterable[str], noun: str, see: References) -> None:
    """Note every name that stands twice in one list."""
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen:
            see.findings.add(
                see.source,
                (*path, place),
                "MR110",
                f"duplicate {noun} `{name}`",
                hint="leave one of the two out",
            )
        seen.add(name)


def check_cycles(
    edges: Mapping[str, tuple[str, ...]],
    names: Collection[str],
    path: Path,
    verb: str,
    see: References,
) -> None:
    """Note every cycle among `edges` once, at the first of `names` on it.

    Args:
        edges: Where each name leads.
        names: The names of one document; a cycle that holds none of them is noted elsewhere.
        path: The mapping whose keys the names are.
        verb: How a name leads to another, for the message.
        see: The document.
    """
    place = {name: number for number, name in enumerate(names)}
    for cycle in cycles(edges, names):
        own = [name for name in cycle if name in place]
        if not own:
            continue
        first = min(own, key=place.__getitem__)
        turn = cycle.index(first)
        way = (*cycle[turn:], *cycle[:turn], first)
        see.findings.add(
            see.source,
            (*path, first),
            "MR109",
            f"`{first}` {verb} itself",
            hint=f"break the cycle {' -> '.join(way)}",
            key=True,
        )


def cycles(edges: Mapping[str, tuple[str, ...]], names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield the cycles that a depth-first walk from `names` closes.

    The walk sees every edge once, so that no policy takes more than linear time.
    """
    done: set[str] = set()
    for start in names:
        if start in done:
            continue
        way: list[str] = [start]
        depth = {start: 0}
        branches = [iter(edges.get(start, ()))]
        while way:
            other = next(branches[-1], None)
            if other is None:
                branches.pop()
                last = way.pop()
                del depth[last]
                done.add(last)
            elif other in depth:
                yield tuple(way[depth[other] :])
            elif other not in done:
                depth[other] = len(way)
                way.append(other)
                branches.append(iter(edges.get(other, ())))
