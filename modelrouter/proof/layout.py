"""Lays out the space of everything that given policies and claims can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modelrouter.proof.coherence import NO, UNKNOWN, YES, Coherence
from modelrouter.proof.fields import ABSENT, Atom, Field, number_atoms, starts_of, text_atoms
from modelrouter.proof.space import FieldTable, Space

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.document import Fact
    from modelrouter.policy.matchers import ModelMatcher, RequestMatcher

__all__ = ["DEFAULT_TOKENS", "Mentions", "mentions_of", "space_of"]

DEFAULT_TOKENS = 1000
"""Input tokens of a request that does not state any, in tests and claims."""
MOST = 10**12
"""The most tokens a request, and days a catalogue, can state."""
TEXTS = ("id", "operator", "region", "licence")
SETS = ("tags", "capabilities", "agreements")
LISTED: Mapping[str, tuple[object, ...]] = {
    "hosting": ("self_hosted", "private_cloud", "vendor_api"),
    "weights": ("open", "closed"),
    "trains_on_data": (True, False),
}
OF_DATA = frozenset({"retention_days", "trains_on_data", "agreements"})


class Mentions:
    """Every condition whose values the space must tell apart.

    Attributes:
        whens: Conditions on the request.
        models: Conditions on the model, sets and what stands below `not` included.
        tokens: Further numbers of input tokens at which something changes.
        budgets: Budgets that may be untouched or exhausted.
    """

    __slots__ = ("budgets", "models", "tokens", "whens")

    def __init__(self, whens: Iterable[RequestMatcher] = ()) -> None:
        self.whens: list[RequestMatcher] = [*whens]
        self.models: list[ModelMatcher] = []
        self.tokens: list[int] = []
        self.budgets: list[str] = []

    def add_models(self, matcher: ModelMatcher | None) -> None:
        """Add a condition on the model with what it holds."""
        while matcher is not None:
            self.models.append(matcher)
            matcher = matcher.negated


def mentions_of(bundles: Iterable[Bundle]) -> Mentions:
    """Return every condition in the clauses of policies."""
    found = Mentions()
    for bundle in bundles:
        policy = bundle.policy
        whens = [part.when for part in policy.rules]
        whens += [part.when for part in policy.budgets]
        whens += [part.when for part in policy.objectives]
        whens += [part.when for part in policy.runtime]
        found.whens += [when for when in whens if when is not None]
        for rule in policy.rules:
            found.add_models(rule.models)
        for budget in policy.budgets:
            found.add_models(budget.models)
            found.add_models(budget.degrade_to)
        for matcher in bundle.sets.values():
            found.add_models(matcher)
    return found


def space_of(bundle: Bundle, mentions: Mentions, *, any_model: bool = False) -> Space:
    """Return the space of the requests to a policy.

    Args:
        bundle: Declares labels, tasks and facts.
        mentions: What must be told apart.
        any_model: Whether conceivable models are part of the space.
    """
    table = FieldTable()
    scheme = bundle.scheme
    level = table.add("level", [Atom(value=name, text=name) for name in scheme.levels])
    categories = {
        name: table.add(
            f"category:{name}",
            [
                Atom(value=NO, text="no"),
                Atom(value=UNKNOWN, text="unknown"),
                Atom(value=YES, text="yes"),
            ],
        )
        for name in in_order_of_inclusion(bundle)
    }
    tasks = sorted(bundle.words.tasks)
    if any_model and bundle.policy.tasks is None:
        tasks += tasks_of_others(tasks, mentions.whens)
    task = table.add("task", [Atom(value=name, text=name) for name in tasks])
    others = [
        table.add(f"fact:{name}", fact_atoms(name, fact, mentions.whens))
        for name, fact in bundle.policy.facts.items()
    ]
    others += request_fields(table, mentions)
    entry: list[Field] = []
    data: list[Field] = []
    if any_model:
        for name, part in model_fields(table, mentions.models):
            group = others if name == "id" or ":" in name else data if name in OF_DATA else entry
            group.append(part)
    coherent = (level, task, *categories.values(), *entry, *data)
    return Space(
        table,
        Coherence(
            scheme=scheme,
            level=level,
            categories=categories,
            task=task,
            carried=carried_by(bundle, tasks),
            entry=entry,
            data=data,
            others=others,
            relevant=sum(part.mask for part in coherent),
        ),
    )


def in_order_of_inclusion(bundle: Bundle) -> list[str]:
    """Return the categories, each before what it includes."""
    scheme = bundle.scheme
    found: dict[str, None] = {}
    for name in sorted(scheme.categories):
        waiting = [name]  # not by recursion: a chain may be thousands of categories long
        while waiting:
            includes = sorted(scheme.categories[waiting[-1]].includes)
            after = next((part for part in includes if part not in found), None)
            if after is None:
                found[waiting.pop()] = None
            else:
                waiting.append(after)
    return [*reversed(found)]


def tasks_of_others(tasks: Sequence[str], whens: Iterable[RequestMatcher]) -> list[str]:
    """Return a task for each way in which one that a new model brings can differ.

    A policy without `tasks:` has those of its catalogue, so a model can bring one of its own.
    """
    atoms = text_atoms([when.task for when in whens if when.task is not None])
    return [name for name in (str(atom.value) for atom in atoms) if name not in tasks]


def carried_by(bundle: Bundle, tasks: Sequence[str]) -> list[tuple[int, frozenset[str]]]:
    """Return what tasks carry, with the bits of the tasks that carry just that."""
    found: dict[frozenset[str], int] = {}
    for place, name in enumerate(tasks):
        declared = bundle.policy.tasks
        carried = frozenset(declared[name].carries) if declared else frozenset[str]()
        found[carried] = found.get(carried, 0) | 1 << place
    return [(found[carried], carried) for carried in sorted(found, key=sorted)]


def fact_atoms(name: str, fact: Fact, whens: Iterable[RequestMatcher]) -> Sequence[Atom]:
    """Return the atoms of a fact; the last one is "missing" where a fact may be unknown."""
    matches = [when.facts[name] for when in whens if when.facts and name in when.facts]
    atoms: list[Atom] = []
    if fact.type == "enum":
        atoms += [Atom(value=value, text=value) for value in fact.values or ()]
    elif fact.type == "bool":
        atoms += [Atom(value=False, text="false"), Atom(value=True, text="true")]
    elif fact.type == "int":
        starts = [start for match in matches for start in starts_of(match)]
        atoms += number_atoms(starts, lowest=None)
    else:
        atoms += text_atoms(matches)
    if not fact.required and fact.default is None:
        atoms.append(Atom(value=ABSENT, text="missing"))
    return atoms


def request_fields(table: FieldTable, mentions: Mentions) -> Iterator[Field]:
    """Add the fields of capabilities, tokens and budgets, and yield them."""
    sets = [when.needs for when in mentions.whens if when.needs is not None]
    needs = {
        name for part in sets for name in (*(part.any or ()), *(part.all or ()), *(part.none or ()))
    }
    for name in sorted(needs):
        yield table.add(
            f"need:{name}", [Atom(value=False, text="not needed"), Atom(value=True, text="needed")]
        )
    starts = [*mentions.tokens]
    for when in mentions.whens:
        if when.tokens is not None:
            starts += starts_of(when.tokens)
    atoms = number_atoms(starts, lowest=0, highest=MOST, wanted=DEFAULT_TOKENS)
    usual = sum(start <= DEFAULT_TOKENS for start in {*starts} if start > 0)
    yield table.add("tokens", atoms, preferred=usual)
    for name in mentions.budgets:
        yield table.add(
            f"budget:{name}",
            [Atom(value=False, text="untouched"), Atom(value=True, text="exhausted")],
        )


def model_fields(
    table: FieldTable, matchers: Sequence[ModelMatcher]
) -> Iterator[tuple[str, Field]]:
    """Add the fields of conceivable models that matchers mention, and yield name and field."""
    for name in TEXTS:
        matches = [match for part in matchers if (match := getattr(part, name)) is not None]
        if matches:
            atoms = text_atoms(matches)
            yield name, table.add(f"model:{name}", atoms if name == "id" else [*atoms, MISSING])
    for name, values in LISTED.items():
        if any(getattr(part, name) is not None for part in matchers):
            listed = [Atom(value=value, text=str(value).lower()) for value in values]
            yield name, table.add(f"model:{name}", [*listed, MISSING])
    days = [part.retention_days for part in matchers if part.retention_days is not None]
    if days:
        starts = [start for part in days for start in starts_of(part)]
        numbers = number_atoms(starts, lowest=0, highest=MOST)
        yield "retention_days", table.add("model:retention_days", [*numbers, MISSING])
    for name in SETS:
        yield from set_fields(table, name, matchers)


MISSING: Atom = Atom(value=ABSENT, text="not stated")


def set_fields(
    table: FieldTable, name: str, matchers: Sequence[ModelMatcher]
) -> Iterator[tuple[str, Field]]:
    """Add the fields of one set of names: whether it is known, and what is in it."""
    sets = [match for part in matchers if (match := getattr(part, name)) is not None]
    named = {
        item for part in sets for item in (*(part.any or ()), *(part.all or ()), *(part.none or ()))
    }
    if sets:
        known = Atom(value=True, text="known")
        yield name, table.add(f"model:{name}", [known, MISSING])
    for item in sorted(named):
        part = table.add(
            f"model:{name}:{item}", [Atom(value=False, text="no"), Atom(value=True, text="yes")]
        )
        yield f"{name}:{item}", part
