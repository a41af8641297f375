"""Labels: which nobody can serve, which one model alone serves, and conditions on none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelrouter.engine.spending import places
from modelrouter.labels import Label
from modelrouter.lint.context import LintContext
from modelrouter.lint.finding import Found, listed
from modelrouter.lint.label_states import labels_of, least_labels, name_of, state_of
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
    alone = space.less(asked, labels_of(space, regions.join(context.chats)))
    for label in least_labels(space, alone):
        yield without_models(context, label)
    for capability, mask in context.capable.items():
        if not mask:
            continue
        served = labels_of(space, regions.join(mask))
        left = space.less(space.less(asked, served), alone)
        for label in least_labels(space, left):
            yield without_capability(context, label, capability, mask, nowhere=not served)


def denied(context: LintContext) -> Region:
    """Return the requests that a rule denies for every model, on purpose."""
    space = context.regions.requests
    wholly = [
        context.regions.when(rule.when, unknown=True)
        for rule in context.in_force
        if rule.effect == "forbid" and (rule.models is None or rule.models.everything)
    ]
    return space.join(*wholly)


def without_models(context: LintContext, label: Label) -> Found:
    """Return the finding on a label that no model may serve."""
    space = context.regions.requests
    name = name_of(space, label)
    broken = selecting_nothing(context, label)
    lowest = label == space.coherence.scheme.label()
    explained: list[Part] = [("rules", rule.id) for rule in broken]
    if lowest:  # then no model serves anything
        explained += [("models", context.models[place].id) for place in places(context.chats)]
    hint = f"permit a model for it, or forbid `{name}` with `models: all` if that is meant"
    if broken:
        hint = f"no model is selected by {', '.join(rule.id for rule in broken)}"
    return Found(
        part=("labels", name),
        stands=RULES,
        message=f"no model can serve `{name}`",
        hint=hint,
        explains=tuple(explained),
    )


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
    kinds: dict[int, int] = {}
    for place in places(context.chats):
        signature = regions.guard.signature(place)
        kinds[signature] = kinds.get(signature, 0) | 1 << place
    once: Region = ()
    twice: Region = ()
    for mask in kinds.values():
        served = labels_of(space, regions.join(mask))
        twice = space.join(twice, served if mask.bit_count() > 1 else space.meet(once, served))
        once = space.join(once, served)
    for label in least_labels(space, space.less(once, twice)):
        box = (state_of(space, label),)
        model = context.ids(regions.eligible_within(context.chats, box))
        name = name_of(space, label)
        yield Found(
            part=("labels", name),
            stands=RULES,
            message=f"one model alone may serve `{name}`: fallback has nowhere to go",
            hint=f"eligible: {listed(model)}",
        )


def deny_from_too_high(context: LintContext) -> Iterator[Found]:
    """Yield the default deny that no declared category reaches (MR301)."""
    scheme = context.engine.scheme
    deny_from = context.policy.defaults.default_deny_from or scheme.highest
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
