"""Mutants of what holds for every call: the default deny, and what an unlabelled call counts as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrouter.decision import RuleRef
from modelrouter.mutation.mutant import Mutant, changed
from modelrouter.policy.labelling import Labels

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["default_deny_mutants", "unlabelled_mutants"]


def default_deny_mutants(bundle: Bundle) -> Iterator[Mutant]:
    """Yield the default deny, of each layer that has one, one level higher and one lower."""
    if len(bundle.layers) <= 1:
        now = bundle.policy.defaults.default_deny_from or bundle.scheme.highest
        place = bundle.place("defaults", "default_deny_from")
        for name in steps_from(now, bundle.scheme.levels):
            defaults = bundle.policy.defaults.model_copy(update={"default_deny_from": name})
            yield default_deny_mutant(changed(bundle, defaults=defaults), place, (now, name))
    for number, layer in enumerate(bundle.layers if len(bundle.layers) > 1 else ()):
        place = RuleRef(id=layer.file, file=layer.file, line=layer.deny_line)
        level = layer.deny_from
        for name in () if level is None else steps_from(level, bundle.scheme.levels):
            other = replace(layer, deny_from=name)
            layers = (*bundle.layers[:number], other, *bundle.layers[number + 1 :])
            yield default_deny_mutant(replace(bundle, layers=layers), place, (str(level), name))


def steps_from(now: str, levels: tuple[str, ...]) -> Iterator[str]:
    """Yield the next higher and the next lower level."""
    for place in (levels.index(now) + 1, levels.index(now) - 1):
        if 0 <= place < len(levels):
            yield levels[place]


def default_deny_mutant(bundle: Bundle, place: RuleRef, steps: tuple[str, str]) -> Mutant:
    """Return a policy whose default deny begins at another level."""
    rank = bundle.scheme.rank
    return Mutant(
        section="defaults",
        noun="default deny",
        place=place,
        words=f"from {steps[1]} instead of {steps[0]}",
        tightens=rank[steps[1]] < rank[steps[0]],
        guards=True,
        bundle=bundle,
    )


def unlabelled_mutants(bundle: Bundle) -> Iterator[Mutant]:
    """Yield what stands in for a missing label one step lower, lowest, and one step higher."""
    labels = bundle.policy.labels
    if labels is None:
        labels = Labels.model_validate({"=": True})
    steps = (*bundle.scheme.levels, "top")
    now = labels.unlabelled if labels.unlabelled in steps else "top"  # nothing detects here
    place = steps.index(now)
    for other in dict.fromkeys((place - 1, 0, place + 1)):
        if 0 <= other < len(steps) and other != place:
            updated = labels.model_copy(update={"unlabelled": steps[other]})
            yield Mutant(
                section="labels",
                noun="unlabelled calls",
                place=bundle.place("labels", "unlabelled"),
                words=f"count as {steps[other]} instead of {now}",
                tightens=other > place,
                guards=False,
                bundle=changed(bundle, labels=updated),
            )
