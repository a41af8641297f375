"""Labels: which nobody can serve, which one model alone serves, and conditions on none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelrouter.labels import Label
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found, listed
from modelrouter.lint.label_states import labels_of, least_labels, name_of, state_of
from modelrouter.lint.models import misspelling
from modelrouter.lint.regions import Regions, lowest_place
from modelrouter.policy.document import Rule
from modelrouter.policy.positions import Part
from modelrouter.proof.space import Region

__all__ = ["deny_from_too_high", "served_by_one", "unservable"]

RULES: Part = ("rules", "")


def unservable(context: LintContext) -> Iterator[Found]:
    """Yield the least labels, also with one capability, that no model may serve (MR203).

    What a rule with `models: all` forbids is meant.
    """
    regions, space = context.regions, context.regions.requests
    asked = labels_of(space, space.less(regions.known, denied(context)))
    alone = unserved(regions, context.chats, asked)
    idle = 0 if regions.any_eligible(context.chats, regions.known) else context.chats
    for label in least_labels(space, alone):
        yield without_models(context, label, idle)
    for capability, mask in context.capable.items():
        if not mask:
            continue
        nowhere = not regions.any_eligible(mask, regions.known)
        for label in least_labels(space, unserved(regions, mask, space.less(asked, alone))):
            yield without_capability(context, label, capability, mask, nowhere=nowhere)


def unserved(regions: Regions, mask: int, labels: Region) -> Region:
    """Return the part of a region of labels that no model of a mask may serve.

    As long as some request of a box may use a model, what that request's box says of labels is
    taken away; so only as much is worked out as labels can tell apart.
    """
    space = regions.requests
    found: list[int] = []
    waiting = [*labels]
    while waiting:
        box = waiting.pop()
        served = first_served(regions, regions.kinds(mask), box)
        if served is None:
            found.append(box)
        else:
            waiting += space.less((box,), labels_of(space, (served[1],)))
    return tuple(found)


def first_served(regions: Regions, kinds: Sequence[int], box: int) -> tuple[int, int] | None:
    """Return the first kind of models that serves part of a box, and requests it serves."""
    for kind in kinds:
        served = regions.served([lowest_place(kind)], (box,))
        if served is not None:
            return kind, served
    return None


def denied(context: LintContext) -> Region:
    """Return the requests that a rule denies for every model, on purpose."""
    space = context.regions.requests
    wholly = [
        context.regions.when(rule.when, unknown=True)
        for rule in context.in_force
        if rule.effect == "forbid" and (rule.models is None or rule.models.everything)
    ]
    return space.join(*wholly)


def without_models(context: LintContext, label: Label, idle: int) -> Found:
    """Return the finding on a label that no model may serve; `idle` ones serve no label."""
    space = context.regions.requests
    name = name_of(space, label)
    broken = selecting_nothing(context, label)
    explained: list[Part] = [("rules", rule.id) for rule in broken]
    explained += [("models", name) for name in context.ids(idle)]
    hint = f"permit a model for it, or forbid `{name}` with `models: all` if that is meant"
    if broken:
        hint = "; ".join(why_nothing(rule, context) for rule in broken)
    return Found(
        part=("labels", name),
        stands=RULES,
        message=f"no model can serve `{name}`",
        hint=hint,
        explains=tuple(explained),
    )


def why_nothing(rule: Rule, context: LintContext) -> str:
    """Return that a rule selects no model, with the name that is perhaps misspelt."""
    typo = None if rule.models is None else misspelling(rule.models, context)
    return f"`{rule.id}` selects no model" + (f": {typo}" if typo else "")


def selecting_nothing(context: LintContext, label: Label) -> Sequence[Rule]:
    """Return requires and permits that speak of a label and select no model."""
    box = (state_of(context.regions.requests, label),)
    return [
        rule
        for rule in context.in_force
        if rule.effect in {"require", "permit"}
        and not context.mask(rule.models, unknown_matches=False)
        and context.regions.requests.touches(box, context.regions.when(rule.when, unknown=False))
    ]


def without_capability(
    context: LintContext, label: Label, capability: str, mask: int, *, nowhere: bool
) -> Found:
    """Return the finding on a label that no model with a capability may serve."""
    regions, space = context.regions, context.regions.requests
    name = name_of(space, label)
    eligible = context.ids(regions.eligible_within(context.chats, (state_of(space, label),)))
    able = context.ids(mask)
    return Found(
        part=("labels", f"{name}+{capability}"),
        stands=RULES,
        message=f"no model can serve `{name}` with capability `{capability}`",
        hint=f"eligible: {listed(eligible)}; with {capability}: {listed(able)}",
        explains=tuple(("models", model) for model in able) if nowhere else (),
    )


def served_by_one(context: LintContext) -> Iterator[Found]:
    """Yield the least labels for which one model of several is eligible at most (MR207)."""
    regions, space = context.regions, context.regions.requests
    if context.chats.bit_count() < 2:  # noqa: PLR2004 - there is nothing to fall back to anyway
        return
    for label in least_labels(space, served_once(regions, context.chats)):
        box = (state_of(space, label),)
        model = context.ids(regions.eligible_within(context.chats, box))
        name = name_of(space, label)
        yield Found(
            part=("labels", name),
            stands=RULES,
            message=f"one model alone may serve `{name}`: fallback has nowhere to go",
            hint=f"eligible: {listed(model)}",
        )


def served_once(regions: Regions, mask: int) -> Region:
    """Return the labels that just one model of a mask may serve."""
    space = regions.requests
    kinds = regions.kinds(mask)
    found: list[int] = []
    waiting = [*labels_of(space, regions.known)]
    while waiting:
        box = waiting.pop()
        first = first_served(regions, kinds, box)
        if first is None:
            continue
        served = space.meet((box,), labels_of(space, (first[1],)))
        waiting += space.less((box,), served)
        if first[0].bit_count() > 1:
            continue
        others = [kind for kind in kinds if kind != first[0]]
        for part in served:
            second = first_served(regions, others, part)
            if second is None:
                found.append(part)
            else:
                waiting += space.less((part,), labels_of(space, (second[1],)))
    return tuple(found)


def deny_from_too_high(context: LintContext) -> Iterator[Found]:
    """Yield the default deny that no declared category reaches (MR301)."""
    scheme = context.engine.scheme
    gates = [gate.deny_from for gate in context.engine.gates]
    deny_from = scheme.levels[min(gates, default=0)]
    implied: Mapping[str, int] = {
        name: scheme.rank[category.at_least] for name, category in scheme.categories.items()
    }
    if not implied or max(implied.values()) >= scheme.rank[deny_from]:
        return
    written = context.policy.defaults.default_deny_from is not None
    highest = max(sorted(implied), key=lambda name: implied[name])
    permits = [rule.id for rule in context.in_force if rule.effect == "permit"]
    yield Found(
        part=("defaults", "default_deny_from"),
        stands=("defaults", "") if written else ("labels", ""),
        at=("default_deny_from",) if written else ("categories",),
        message=f"no category reaches `{deny_from}`, from which a permit is needed",
        hint=f"`{highest}` implies `{scheme.categories[highest].at_least}`: "
        "write `default_deny_from` with that level or a lower one",
        explains=tuple(("rules", name) for name in permits),
    )
