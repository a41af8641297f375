"""A comparison of two policies as `modelrouter diff --format json` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelrouter.comparison.changes import Change
    from modelrouter.comparison.outcome import Comparison, Difference, Extent
    from modelrouter.policy.bundle import Bundle
    from modelrouter.values import Json

__all__ = ["as_json"]


def as_json(found: Comparison, old: Bundle, new: Bundle) -> dict[str, Json]:
    """Return a comparison as JSON."""
    return {
        "old": {"name": old.name, "version": old.policy.metadata.version, "digest": old.digest},
        "new": {"name": new.name, "version": new.policy.metadata.version, "digest": new.digest},
        "at": found.at.isoformat(),
        "wider": found.wider,
        "labels": "as_stated" if found.stated_labels else "closed",
        "not_comparable": found.not_comparable,
        "models": [difference_json(part) for part in found.differences],
        "later": [
            {
                "from": part.day.isoformat(),
                "models": [difference_json(one) for one in part.differences],
            }
            for part in found.later
        ],
        "changes": [change_json(part) for part in found.changes],
    }


def difference_json(part: Difference) -> dict[str, Json]:
    """Return what differs for one model."""
    return {
        "model": part.model,
        "in": part.presence,
        "wider": part.wider,
        "newly_allowed": [extent_json(extent) for extent in part.allowed],
        "more_newly_allowed": part.more_allowed,
        "newly_forbidden": [extent_json(extent) for extent in part.forbidden],
        "more_newly_forbidden": part.more_forbidden,
        "less_asked": [
            {
                "about": less.about,
                "old": less.old,
                "new": less.new,
                "where": [*less.texts],
                "more": less.more,
            }
            for less in part.less
        ],
        "not_comparable": part.not_comparable,
    }


def extent_json(extent: Extent) -> dict[str, Json]:
    """Return one region with its call."""
    request: Json = None
    if extent.request is not None:
        request = extent.request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"where": extent.text, "unlabelled": extent.unlabelled, "request": request}


def change_json(part: Change) -> dict[str, Json]:
    """Return one change of what stands in the policies."""
    return {
        "section": part.section,
        "id": part.id,
        "kind": part.kind,
        "direction": part.direction,
        "fields": [{"name": one.name, "old": one.old, "new": one.new} for one in part.fields],
        "wider": part.wider,
    }
