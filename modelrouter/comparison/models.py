"""What differs between the catalogues of two policies, and where data then go elsewhere.

A fact of a model is not only what rules read: it says who receives the data. A change of the
operator, the region or the host counts as wider although no rule may speak of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelrouter.comparison.changes import Change, Judge, changes_between, in_order, more_is, set_is
from modelrouter.policy.endpoints import VENDOR_BASES, host_of, provider_of

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.catalogue import ModelEntry
    from modelrouter.values import Json

__all__ = ["destination_of", "model_changes"]

HOSTING = ("self_hosted", "private_cloud", "vendor_api")
JUDGES: Mapping[str, Judge] = {
    "hosting": in_order(HOSTING),
    "data.retention_days": more_is("looser", absent="most"),
    "data.trains_on_data": in_order(("False", "None", "True")),
    "data.agreements": set_is("tighter"),
}
ELSEWHERE = {
    "operator": "another operator receives the data",
    "region": "data go to another region",
}
LOOSER = {
    "hosting": "data leave for a place that is less under control",
    "data.retention_days": "data are kept longer, or nobody says how long",
    "data.trains_on_data": "data may be trained on",
    "data.agreements": "an agreement is missing",
}


def model_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield the models that differ, and why data go elsewhere or are treated worse."""
    before = {entry.id: entry for entry in old.models}
    after = {entry.id: entry for entry in new.models}
    for change in changes_between("models", before, after, JUDGES):
        if change.kind in {"added", "removed"}:
            yield replace(change, fields=())
            continue
        reasons = [*reasons_of(change, before[change.id], after[change.id])]
        yield replace(change, wider="; ".join(reasons) or None)


def reasons_of(change: Change, old: ModelEntry, new: ModelEntry) -> Iterator[str]:
    """Yield why a changed model counts as wider."""
    for part in change.fields:
        if part.name in ELSEWHERE:
            yield ELSEWHERE[part.name]
        elif part.name == "role":  # left out, it is `chat`
            yield "it is sent chats now" if part.new is None else "others are sent its chats now"
        elif part.name in LOOSER and not tighter(part.name, part.old, part.new):
            yield LOOSER[part.name]
    before, after = destination_of(old), destination_of(new)
    if before != after:
        yield f"calls go to `{after or 'nowhere'}` instead of `{before or 'nowhere'}`"


def tighter(name: str, old: Json, new: Json) -> bool:
    """Whether a change of a fact is one for the better; what cannot be ordered is not."""
    if name == "data.trains_on_data":
        old, new = str(old), str(new)
    return JUDGES[name](old, new) == "tighter"


def destination_of(entry: ModelEntry) -> str | None:
    """Return the host and port that receive a model's calls, or None without an endpoint."""
    endpoint = entry.endpoint
    if endpoint is None:
        return None
    base = endpoint.api_base or VENDOR_BASES.get(provider_of(endpoint.model), "")
    host = host_of(base)
    if host is None:
        return base or provider_of(endpoint.model) or endpoint.model
    parts = urlsplit(base)
    port = parts.port or {"http": 80}.get(parts.scheme, 443)
    return f"{parts.scheme}://{host}:{port}"
