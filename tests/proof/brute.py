"""The truth about a property over the present catalogue, by deciding every request that can exist.

A request state is a closed label, a task, needs, tokens and facts. Of facts and tokens there
is one representative for every way in which the conditions of a policy can tell values apart;
what no condition mentions is fixed. Each state is put to `modelrouter.decide.decide` as the
least that implies it: categories without those they include, the lowest level that closing
raises to the right one. So a closure that is lost shows as a wrong label here.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from modelrouter.asking import snapshot_from
from modelrouter.decide import Snapshot, decide
from modelrouter.decision import Decision
from modelrouter.engine.compiled import compile_bundle
from modelrouter.labels import Label
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.suite import Given
from modelrouter.values import Request
from tests import oracle
from tests.oracle import ABSENT, NO, YES, Json, listed, number

__all__ = ["Labelled", "Space", "State", "TooManyStatesError", "Universe", "guard_allows"]

MOST_STATES = 6000
MOST_TOKENS = 10**12
DEFAULT_TOKENS, DEFAULT_OUTPUT = 1000, 500


class TooManyStatesError(Exception):
    """The policy is not small."""


@dataclass(frozen=True)
class Labelled:
    """A closed label; `declared` is whether the call states one."""

    level: str
    known: frozenset[str]
    unknown: frozenset[str]
    declared: bool = True


@dataclass(frozen=True)
class State:
    """One request; facts that are left out are not among `facts`."""

    label: Labelled
    task: str
    needs: frozenset[str]
    tokens: int
    facts: tuple[tuple[str, Any], ...]


def guard_allows(decision: Decision) -> frozenset[str]:
    """Return the models that nothing at the guard, or before it, excludes."""
    if (decision.deny_stage or "").startswith("missing_fact:"):
        return frozenset()
    shut = 0
    for removal in decision.removals:
        if removal.reason.stage == "guard":
            shut |= removal.models
    return frozenset(n for place, n in enumerate(decision.models) if not shut >> place & 1)


def conditions(clauses: Iterable[Json | None], key: str) -> list[Any]:
    """Return what the clauses say under one key of `when`."""
    return [clause[key] for clause in clauses if clause and key in clause]


def names_in(matchers: Iterable[Any]) -> set[str]:
    """Return the names that set matchers mention."""
    return {
        name
        for matcher in matchers
        for part in (matcher.values() if isinstance(matcher, dict) else [matcher])
        for name in listed(part)
    }


def whole_numbers(matchers: Iterable[Any]) -> set[int]:
    """Return whole numbers on both sides of every bound."""
    found: set[int] = set()
    for matcher in matchers:
        for bound in matcher.values() if isinstance(matcher, dict) else listed(matcher):
            floor = number(bound).__floor__()
            found |= {floor - 1, floor, floor + 1}
    return found


def texts(matchers: Iterable[Any]) -> set[str]:
    """Return one text for every set of texts that the matchers tell apart."""
    found = {"~"}
    for matcher in matchers:
        if isinstance(matcher, dict):
            found |= {matcher["prefix"], matcher["prefix"] + "~"}
        else:
            found |= set(listed(matcher))
    return found


@dataclass
class Universe:
    """A policy, compiled for one day, and decisions already taken."""

    policy: Json
    catalogue: list[Json]
    bundle: Bundle
    at: datetime.date
    allowed: dict[State, frozenset[str]] = field(default_factory=dict[State, frozenset[str]])

    def __post_init__(self) -> None:
        """Read what the policy declares, and compile it."""
        labels = self.policy.get("labels")
        labels = labels if isinstance(labels, dict) else {"categories": oracle.STANDARD}
        self.levels: list[str] = list(labels.get("levels") or oracle.LEVELS)
        self.categories: Json = labels.get("categories") or {}
        self.unlabelled: str = str(labels.get("unlabelled", "top"))
        self.facts: Json = self.policy.get("facts") or {}
        self.engine = compile_bundle(self.bundle, self.at)
        self.snapshot = snapshot_from(Given(), self.engine)
        tasks = self.policy.get("tasks")
        if tasks is None:
            found = [m["quality"] for m in self.catalogue if isinstance(m.get("quality"), dict)]
            tasks = {task for record in found for task in record if task != "*"} | {"other"}
        self.carries: dict[str, frozenset[str]] = {
            task: self.implied(
                listed(((tasks[task] if isinstance(tasks, dict) else None) or {}).get("carries"))
            )
            for task in sorted(tasks)
        }
        rules = [r for r in self.policy.get("rules") or [] if r.get("strength") != "advisory"]
        guards = ("forbid", "require", "permit")
        self.guard_whens = [r.get("when") for r in rules if r["effect"] in guards]
        self.all_whens = [r.get("when") for r in rules]
        self.all_whens += [b.get("when") for b in self.policy.get("budgets") or []]

    def implied(self, names: Iterable[str]) -> frozenset[str]:
        """Return categories with all that they include."""
        found = set(names)
        for _ in self.categories:
            for name in list(found):
                found |= set(listed(self.categories[name].get("includes")))
        return frozenset(found)

    def lowest(self, names: Iterable[str]) -> int:
        """Return the place of the lowest level of what carries these categories."""
        return max(
            (self.levels.index(self.categories[n].get("at_least", self.levels[0])) for n in names),
            default=0,
        )

    def request(self, state: State) -> Request:
        """Return the call that states as little as possible and still is in `state`."""
        label = state.label
        declared: Label | None = None
        evidence: tuple[Label, ...] = ()
        if label.declared:
            known = label.known - self.carries[state.task]
            own = self.bare(known)
            implied = self.lowest(label.known | label.unknown)
            level = 0 if implied == self.levels.index(label.level) else None
            declared = Label(
                level=label.level if level is None else self.levels[level], categories=own
            )
            unknown = self.bare(label.unknown)
            if unknown:
                evidence = (Label(level=self.levels[0], unknown=unknown),)
        return Request(
            declared=declared,
            evidence=evidence,
            task=state.task,
            needs=state.needs,
            tokens=state.tokens,
            max_output=DEFAULT_OUTPUT,
            facts=dict(state.facts),
        )

    def bare(self, names: frozenset[str]) -> frozenset[str]:
        """Return categories without those that others of them include."""
        return names.difference(*(self.implied([name]) - {name} for name in names))

    def decide(self, state: State, snapshot: Snapshot | None = None) -> Decision:
        """Decide one state, and see that the runtime closed its label as it should be."""
        decision = decide(self.request(state), snapshot or self.snapshot)
        label = decision.label
        found = Labelled(label.level, label.categories, label.unknown, state.label.declared)
        assert found == state.label, f"closed to {found}, not {state.label}"
        return decision

    def allows(self, state: State) -> frozenset[str]:
        """Return the models that the guard leaves."""
        found = self.allowed.get(state)
        if found is None:
            found = self.allowed[state] = guard_allows(self.decide(state))
        return found


class Space:
    """The states of one property's `when`."""

    def __init__(self, universe: Universe, claim: Json, *, served: bool) -> None:
        self.universe = universe
        self.when: Json = claim.get("when") or {}
        self.served = served
        self.clauses = [
            self.when,
            *(universe.all_whens if served else universe.guard_whens),
        ]

    def states(self) -> Iterator[State]:
        """Yield every state for which `when` holds under some way of resolving unknowns."""
        tokens, facts, needs = self.tokens(), self.facts(), self.needs()
        tasks = [t for t in self.universe.carries if self.holds("task", t)]
        labels = {task: list(self.labels(task)) for task in tasks}
        size = sum(map(len, labels.values())) * len(tokens) * len(facts) * len(needs)
        if size > MOST_STATES:
            raise TooManyStatesError
        for task in tasks:
            for parts in itertools.product(labels[task], needs, tokens, facts):
                label, needed, count, stated = parts
                yield State(label, task, needed, count, stated)

    def holds(self, key: str, value: Any) -> bool:
        """Whether one value fits the property's condition on it."""
        return key not in self.when or oracle.compare(value, self.when[key]) == YES

    def tokens(self) -> list[int]:
        if self.served and "tokens" not in self.when:
            return [DEFAULT_TOKENS]
        found = whole_numbers(conditions(self.clauses, "tokens")) | {DEFAULT_TOKENS}
        if self.served:
            found |= set(turning_points(self.universe)) | {0, MOST_TOKENS}
        return [n for n in sorted(found) if 0 <= n <= MOST_TOKENS and self.holds("tokens", n)]

    def needs(self) -> list[frozenset[str]]:
        """Return sets of capabilities; a property on service that names none asks for none."""
        if self.served and "needs" not in self.when:
            return [frozenset()]
        names = names_in(conditions(self.clauses, "needs"))
        if self.served:
            names = names_in([self.when["needs"]])
        found = [
            frozenset(part)
            for size in range(len(names) + 1)
            for part in itertools.combinations(sorted(names), size)
        ]
        wanted = self.when.get("needs")
        return [s for s in found if wanted is None or oracle.members(s, set(), wanted) == YES]

    def facts(self) -> list[tuple[tuple[str, Any], ...]]:
        """Return what may be stated of facts; None marks a fact that is left out."""
        found = conditions(self.clauses, "facts")
        choices: list[list[tuple[str, Any]]] = []
        for name, fact in self.universe.facts.items():
            matchers = [part[name] for part in found if name in part]
            values = self.values(fact, matchers)
            wanted = (self.when.get("facts") or {}).get(name)
            if wanted is not None:
                values = [v for v in values if oracle.compare(v, wanted) == YES]
            options = [(name, value) for value in (values if matchers else values[:1])]
            if (
                matchers
                and values
                and not self.served
                and not ("default" in fact and wanted is not None and fact["default"] not in values)
            ):
                options.append((name, ABSENT))
            choices.append(options)
        return [
            tuple((name, value) for name, value in stated if value is not ABSENT)
            for stated in itertools.product(*choices)
        ]

    def values(self, fact: Json, matchers: list[Any]) -> list[Any]:
        kind = fact["type"]
        if kind == "enum":
            return list(fact["values"])
        if kind == "bool":
            return [False, True]
        defaults = [fact["default"]] if "default" in fact else []
        if kind == "int":
            return sorted({*whole_numbers(matchers), 0, *defaults})
        return sorted({*texts(matchers), *defaults})

    def labels(self, task: str) -> Iterator[Labelled]:
        """Yield closed labels that carry what the task carries."""
        universe = self.universe
        carried = universe.carries[task]
        mentioned = universe.implied(names_in(conditions(self.clauses, "categories")))
        names = sorted(mentioned - carried)
        for states in itertools.product(
            (NO, YES) if self.served else (NO, 1, YES), repeat=len(names)
        ):
            known = carried | {n for n, s in zip(names, states, strict=True) if s == YES}
            unknown = {n for n, s in zip(names, states, strict=True) if s == 1}
            if universe.implied(known) != known or universe.implied(unknown) - known != unknown:
                continue
            if not self.satisfiable(frozenset(known), frozenset(unknown)):
                continue
            for level in universe.levels[universe.lowest(known | unknown) :]:
                if self.level_holds(level):
                    yield Labelled(level, frozenset(known), frozenset(unknown))
        stand_in = self.unlabelled(carried)
        meant = self.satisfiable(stand_in.known, stand_in.unknown)
        if not self.served and meant and self.level_holds(stand_in.level):
            yield stand_in

    def unlabelled(self, carried: frozenset[str]) -> Labelled:
        """Return the closed label of a call that states none."""
        universe = self.universe
        levels = universe.levels
        if universe.unlabelled in levels:
            rank = max(levels.index(universe.unlabelled), universe.lowest(carried))
            return Labelled(levels[rank], carried, frozenset(), declared=False)
        unknown = frozenset(universe.categories) - carried
        return Labelled(levels[-1], carried, unknown, declared=False)

    def level_holds(self, level: str) -> bool:
        wanted = self.when.get("level")
        if not isinstance(wanted, dict):
            return wanted is None or level in listed(wanted)
        index = self.universe.levels.index
        return oracle.compare(index(level), {s: index(n) for s, n in wanted.items()}) == YES

    def satisfiable(self, known: frozenset[str], unknown: frozenset[str]) -> bool:
        """Whether some closed set between the known and the possible categories fits `when`."""
        wanted = self.when.get("categories")
        if wanted is None:
            return True
        if oracle.members(known, set(), wanted) == YES:
            return True
        mentioned = sorted(unknown)
        for size in range(1, len(mentioned) + 1):
            for part in itertools.combinations(mentioned, size):
                whole = known.union(part)
                closed = self.universe.implied(whole) == whole
                if closed and oracle.members(whole, set(), wanted) == YES:
                    return True
        return False

    # -- the two kinds of property ---------------------------------------------

    def sent(self, matcher: Any) -> tuple[State, str] | None:
        """Return a request and a model that the guard lets meet against the property."""
        case = oracle.Case(
            {**self.universe.policy, "facts": {}},
            self.universe.catalogue,
            {"level": self.universe.levels[0], "task": next(iter(self.universe.carries))},
            self.universe.at,
        )
        covered = {m["id"] for m in self.universe.catalogue if case.covers(matcher, m) != NO}
        for state in self.states():
            hit = self.universe.allows(state) & covered
            if hit:
                return state, min(hit)
        return None

    def denied(self) -> tuple[State, Json] | None:
        """Return a request and spent budgets under which nobody serves it, if there are any."""
        snapshots = list(spendings(self.universe))
        for state in self.states():
            for spent, snapshot in snapshots:
                if self.universe.decide(state, snapshot).outcome == "deny":
                    return state, spent
        return None


def spendings(universe: Universe) -> Iterator[tuple[Json, Snapshot]]:
    """Yield every way in which budgets can be untouched or exhausted; a call's own starts at 0."""
    lasting = [b for b in universe.policy.get("budgets") or [] if b["period"] != "call"]
    for gone in itertools.product((False, True), repeat=len(lasting)):
        spent = {
            budget["id"]: next(v for k, v in budget.items() if k.startswith("limit_"))
            for budget, spend in zip(lasting, gone, strict=True)
            if spend
        }
        yield spent, snapshot_from(Given(budgets=spent), universe.engine)


def turning_points(universe: Universe) -> Iterator[int]:
    """Yield numbers of tokens on both sides of every window and every affordable cost."""
    limits = [
        Fraction(number(part["max_cost_usd"]))
        for rule in universe.policy.get("rules") or []
        for part in [rule.get("set") or {}]
        if "max_cost_usd" in part
    ]
    limits += [
        number(b["limit_usd"]) for b in universe.policy.get("budgets") or [] if "limit_usd" in b
    ]
    points: list[Fraction] = [
        Fraction(b["limit_tokens"] - DEFAULT_OUTPUT)
        for b in universe.policy.get("budgets") or []
        if "limit_tokens" in b
    ]
    for model in universe.catalogue:
        if "context_window" in model:
            points.append(Fraction(model["context_window"] - DEFAULT_OUTPUT))
        if "price" not in model:
            continue
        price = {
            key: number(value)
            for key, value in model["price"].items()
            if key not in {"as_of", "attested_by", "expires"}
        }
        rate = max(price["input"], price.get("cache_write", Fraction(0)))
        fixed = DEFAULT_OUTPUT * max(price["output"], price.get("reasoning", Fraction(0)))
        for limit in limits:
            if rate:
                room = 1_000_000 * (limit - price.get("request", Fraction(0))) - fixed
                points.append(room / rate)
    for point in points:
        yield from (point.__floor__() - 1, point.__floor__(), point.__floor__() + 1)
