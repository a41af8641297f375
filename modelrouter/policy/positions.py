"""Where the parts of a policy stand: one question for every finding about a loaded bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelrouter.policy.catalogue import Catalog, ModelEntry
from modelrouter.policy.document import Budget, Objective, Policy, Rule, Runtime
from modelrouter.policy.shapes import is_list, is_mapping
from modelrouter.yamlsource import DataPath, Source

__all__ = ["NOWHERE", "Part", "Positions", "positions_of", "stacked"]

Part = tuple[str, str]
"""A section of the policy and a name in it: `("rules", id)`, or `(section, "")` for the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Where each named part stands, in whichever document holds it.

    Attributes:
        main: The policy's own document; None for a bundle that was not read from files.
        parts: Document and path by part. Where policies are layered, a part lies in the
            document of the layer that declares it.
    """

    main: Source | None = None
    parts: Mapping[Part, tuple[Source, DataPath]] = field(
        default_factory=dict[Part, tuple[Source, DataPath]]
    )

    def at(
        self, section: str, name: str = "", *within: str | int, key: bool = False
    ) -> tuple[str, int, int]:
        """Return file, line and column of a part, or of the value at `within` inside it.

        A path that does not resolve is answered by the nearest value around it, and a part
        that is not known by the section.

        Args:
            section: A key of the policy document, such as `rules`.
            name: The id or name inside the section; empty for the section itself.
            within: Keys and indices below the part.
            key: Ask for the key instead of the value.
        """
        source, path = self.parts.get((section, name), (self.main, (section,)))
        if source is None:
            return "policy", 1, 1
        return source.file, *source.position((*path, *within), key=key)

    def renamed(self, name: Callable[[str], str]) -> Positions:
        """Return the same places in files of other names."""
        sources = {source.file: source for source, _ in self.parts.values()}
        if self.main is not None:
            sources[self.main.file] = self.main
        new = {file: replace(source, file=name(file)) for file, source in sources.items()}
        return Positions(
            main=None if self.main is None else new[self.main.file],
            parts={part: (new[source.file], path) for part, (source, path) in self.parts.items()},
        )


NOWHERE = Positions()


def positions_of(
    policy: Policy,
    source: Source,
    catalogs: Iterable[tuple[Source, Catalog]],
) -> Positions:
    """Return where everything with a name stands.

    Args:
        policy: The policy.
        source: Its document.
        catalogs: Each catalogue with its document.
    """
    found: dict[Part, tuple[Source, DataPath]] = {}
    sections: tuple[tuple[str, Sequence[Rule | Budget | Objective | Runtime]], ...] = (
        ("rules", policy.rules),
        ("budgets", policy.budgets),
        ("objectives", policy.objectives),
        ("runtime", policy.runtime),
    )
    for section, parts in sections:
        found |= {
            (section, part.id): (source, (section, place)) for place, part in enumerate(parts)
        }
    found |= {("facts", name): (source, ("facts", name)) for name in policy.facts}
    found |= {("tasks", name): (source, task_path(source, name)) for name in policy.tasks or ()}
    found |= {
        ("lint", str(place)): (source, ("lint", "allow", place))
        for place in range(len(policy.lint.allow))
    }
    found |= models_and_sets(policy.models, policy.sets, source)
    for document, catalog in catalogs:
        found |= models_and_sets(catalog.models, catalog.sets, document)
    return Positions(main=source, parts=found)


def stacked(layers: Sequence[tuple[Policy, Source, Iterable[tuple[Source, Catalog]]]]) -> Positions:
    """Return where everything stands in layers that were composed, from the top down."""
    found: dict[Part, tuple[Source, DataPath]] = {}
    accepted = 0
    for policy, source, catalogs in layers:
        own = dict(positions_of(policy, source, catalogs).parts)
        # The composed list of accepted findings begins with those of the layers above.
        entries = [own.pop(("lint", str(place))) for place in range(len(policy.lint.allow))]
        found |= {("lint", str(accepted + place)): part for place, part in enumerate(entries)}
        accepted += len(entries)
        found = {**own, **found}  # the uppermost declaration is the one in force
    return Positions(main=layers[-1][1], parts=found)


def models_and_sets(
    models: Sequence[ModelEntry], sets: Iterable[str], source: Source
) -> dict[Part, tuple[Source, DataPath]]:
    """Return where the models and sets of one document stand."""
    found: dict[Part, tuple[Source, DataPath]] = {
        ("models", entry.id): (source, ("models", place)) for place, entry in enumerate(models)
    }
    return found | {("sets", name): (source, ("sets", name)) for name in sets}


def task_path(source: Source, name: str) -> DataPath:
    """Return the path of a task, which may stand in a list of names or as a key."""
    written = source.data.get("tasks") if is_mapping(source.data) else None
    if is_list(written) and name in written:
        return ("tasks", written.index(name))
    return ("tasks", name)
