"""Large and tangled policies end in time: decided, or with a note that says what is not."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import yaml

from modelrouter.lint.linting import examine
from modelrouter.lint.regions import STEPS_AT_MOST, Regions
from modelrouter.loader import load_text
from modelrouter.policy.bundle import Bundle
from modelrouter.proof.space import TooHardError
from tests.benchmarks.sized_policy import engine_of, model
from tests.lint.snippets import DAY, policy

OPERATORS = [f"operator-{number}" for number in range(5)]
CATEGORIES = ("pii", "phi", "secrets", "pci", "legal", "financial")


def tangled(rules: int, models: int, facts: int) -> Bundle:
    """Return a policy whose rules read several facts each, no two alike."""
    dice = random.Random(7)  # noqa: S311 - a tangle that is the same every time
    declared: dict[str, Any] = {
        f"f{number}": {
            "type": "enum",
            "values": [f"v{value}" for value in range(6)],
            "source": "auth",
            "required": True,
        }
        for number in range(facts)
    }
    written: list[dict[str, Any]] = []
    for number in range(rules):
        read = dice.sample(sorted(declared), dice.randint(2, 4))
        when: dict[str, Any] = {
            "facts": {name: dice.sample(declared[name]["values"], 3) for name in read}
        }
        if dice.random() < 0.5:
            when["categories"] = {"any": dice.sample(CATEGORIES, 2)}
        written.append(
            {
                "id": f"r{number}",
                "effect": dice.choice(("forbid", "require", "permit")),
                "when": when,
                "models": {"operator": dice.choice(OPERATORS)},
            }
        )
    document = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "labels": "standard",
        "facts": declared,
        "models": [model(number) for number in range(models)],
        "rules": written,
    }
    return load_text(yaml.safe_dump(document, sort_keys=False), at=DAY)


def test_three_hundred_rules_for_a_hundred_models_are_decided() -> None:
    found = examine(engine_of(300, 100).bundle, DAY)
    assert "MR299" not in {part.code for part in found.problems}


@pytest.mark.parametrize(("rules", "models", "facts"), [(100, 20, 10), (300, 100, 8)])
def test_a_tangle_ends_with_findings_or_a_note(rules: int, models: int, facts: int) -> None:
    bundle = tangled(rules, models, facts)
    found = examine(bundle, DAY)
    notes = [part for part in found.problems if part.code == "MR299"]
    assert len(notes) <= 1
    for note in notes:
        assert note.severity == "info"
        assert "too large to decide MR" in note.message


def test_a_check_that_takes_too_many_steps_gives_up_and_the_next_begins_anew() -> None:
    regions = Regions(engine_of(20, 12))
    space = regions.requests
    space.spend(STEPS_AT_MOST)
    with pytest.raises(TooHardError):
        space.spend(1)
    regions.restart()
    space.spend(1)


def test_what_does_not_need_regions_is_found_in_a_policy_of_any_size() -> None:
    names = [f"c{number}" for number in range(3000)]
    chain = ", ".join(f"{one}: {{includes: {two}}}" for one, two in itertools.pairwise(names))
    labels = f"{{categories: {{{chain}, {names[-1]}: {{at_least: restricted}}}}}}"
    rule = "{id: a, effect: forbid, models: {operator: nobody}}"
    found = examine(load_text(policy(rule, labels=labels), at=DAY), DAY).problems
    assert {part.code for part in found} == {"MR205", "MR299"}


def test_an_acceptance_of_what_could_not_be_decided_is_not_stale() -> None:
    names = [f"c{number}" for number in range(600)]
    labels = f"{{categories: {{{', '.join(f'{name}: {{}}' for name in names)}}}}}"
    defaults = "{default_deny_from: public}"
    allow = "{allow: [{code: MR203, about: restricted, reason: x}]}"
    text = policy("-", labels=labels, defaults=defaults, lint=allow)
    found = examine(load_text(text, at=DAY), DAY).problems
    assert {part.code for part in found} == {"MR299"}


def test_hundreds_of_capabilities_and_tags_are_looked_at_one_by_one() -> None:
    entries = "".join(
        f"\n- {{id: home/m{number}, weights: open, hosting: self_hosted, quality: 1, "
        f"capabilities: [c{number}, tools], tags: [t{number}]}}"
        for number in range(100)
    )
    rule = "{id: a, effect: forbid, when: {categories: phi}, models: {capabilities: c7}}"
    found = examine(load_text(policy(rule, models=entries), at=DAY), DAY).problems
    assert [(part.code, part.about) for part in found] == [("MR203", "restricted+phi+c7")]
