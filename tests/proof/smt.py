"""Properties as a satisfiability question, written from the semantics of the policy language.

A request is a set of variables: a level, for every category whether the call is known to carry
it and whether that is unknown, a task, needs, tokens, facts. A condition is a pair of formulas:
when it is true, and when it is false; where neither holds it is unknown. A property is false
if and only if its negation has a model.

Nothing here is shared with the package: documents are read as plain data.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import z3

__all__ = ["Policy"]

Json = dict[str, Any]
STANDARD_LEVELS = ["public", "internal", "confidential", "restricted"]
STANDARD_CATEGORIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pii": ("confidential", ()),
    "financial": ("confidential", ()),
    "legal": ("confidential", ()),
    "source_code": ("internal", ()),
    "phi": ("restricted", ("pii",)),
    "pci": ("restricted", ()),
    "secrets": ("restricted", ()),
    "export_controlled": ("restricted", ()),
}
MOST_TOKENS = 10**12
HOSTING = ("self_hosted", "private_cloud", "vendor_api")
WEIGHTS = ("open", "closed")
KINDS = ("tags", "capabilities", "agreements")
CERTAIN, NEVER = True, False
"""What is settled stays a constant of Python's, so that the formulas stay small."""


def every(parts: Iterable[Any]) -> Any:
    left = [part for part in parts if part is not True]
    if any(part is False for part in left):
        return NEVER
    return z3.And(left) if len(left) > 1 else left[0] if left else CERTAIN


def some(parts: Iterable[Any]) -> Any:
    left = [part for part in parts if part is not False]
    if any(part is True for part in left):
        return CERTAIN
    return z3.Or(left) if len(left) > 1 else left[0] if left else NEVER


def negation(part: Any) -> Any:
    return not part if isinstance(part, bool) else z3.Not(part)


def compared(known: Any, fits: Any) -> Three:
    """Return a comparison with something of which it may not be known what it is."""
    return Three(every([known, fits]), every([known, negation(fits)]))


@dataclass(frozen=True)
class Three:
    """A condition that may be true, false or neither."""

    true: Any
    false: Any

    @property
    def possible(self) -> Any:
        return negation(self.false)

    def __invert__(self) -> Three:
        return Three(self.false, self.true)


ALWAYS = Three(CERTAIN, NEVER)


def conjunction(parts: Iterable[Three]) -> Three:
    found = list(parts)
    return Three(every(p.true for p in found), some(p.false for p in found))


def disjunction(parts: Iterable[Three]) -> Three:
    found = list(parts)
    return Three(some(p.true for p in found), every(p.false for p in found))


def exact(value: Any) -> Any:
    """Return a number of a document as a z3 number."""
    whole = Fraction(str(value))
    return z3.RealVal(f"{whole.numerator}/{whole.denominator}")


def bounded(value: Any, bound: Any) -> Any:
    """Return a bound as a number that the value can be compared with."""
    return Fraction(str(bound)) if isinstance(value, int) else exact(bound)


def as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def past(block: Json, at: datetime.date) -> bool:
    """Whether a block's last day lies before `at`."""
    return "expires" in block and datetime.date.fromisoformat(str(block["expires"])) < at


# -- comparisons: `known` says whether there is a value at all -----------------


def text(value: Any, known: Any, wanted: Any) -> Three:
    if isinstance(wanted, dict):
        prefix = wanted["prefix"]
        if isinstance(value, str):
            return compared(known, value.startswith(prefix))
        return compared(known, z3.PrefixOf(z3.StringVal(prefix), value))
    return compared(known, some(value == one for one in as_list(wanted)))


def choice(value: Any, known: Any, wanted: Any, names: Iterable[Any]) -> Three:
    """Compare the place of a name in a list."""
    order = list(names)
    fits = some(value == order.index(one) for one in as_list(wanted))
    return compared(known, fits)


def count(value: Any, known: Any, wanted: Any) -> Three:
    if isinstance(wanted, dict):
        signs = {
            "at_least": lambda bound: value >= bound,
            "at_most": lambda bound: value <= bound,
            "above": lambda bound: value > bound,
            "below": lambda bound: value < bound,
        }
        fits = every(signs[side](bounded(value, bound)) for side, bound in wanted.items())
    else:
        fits = some(value == bounded(value, one) for one in as_list(wanted))
    return compared(known, fits)


def truth(value: Any, known: Any, wanted: Any) -> Three:
    fits = some(value == one for one in as_list(wanted))
    return compared(known, fits)


def among(member: Mapping[str, Three], wanted: Any) -> Three:
    """Compare a set, given for each name whether it is a member."""
    clauses = wanted if isinstance(wanted, dict) else {"any": wanted}
    found = []
    for how, names in clauses.items():
        parts = [member[name] for name in as_list(names)]
        whole = conjunction(parts) if how == "all" else disjunction(parts)
        found.append(~whole if how == "none" else whole)
    return conjunction(found)


# -- the request -------------------------------------------------------------------


class Vocabulary:
    """The words of a policy."""

    def __init__(self, policy: Json, catalogue: list[Json]) -> None:
        labels = policy.get("labels")
        if isinstance(labels, dict):
            self.levels: list[str] = labels.get("levels") or STANDARD_LEVELS
            self.categories = {
                name: (shape.get("at_least", self.levels[0]), tuple(as_list(shape.get("includes"))))
                for name, shape in (labels.get("categories") or {}).items()
            }
        else:
            self.levels, self.categories = STANDARD_LEVELS, dict(STANDARD_CATEGORIES)
        tasks = policy.get("tasks")
        if tasks is None:
            tables = [m["quality"] for m in catalogue if isinstance(m.get("quality"), dict)]
            tasks = sorted({t for table in tables for t in table if t != "*"} | {"other"})
        self.tasks: Json = tasks if isinstance(tasks, dict) else dict.fromkeys(tasks)
        self.names = list(self.tasks)
        self.facts: Json = policy.get("facts") or {}
        self.capabilities = {"tools", "json_schema", "vision", "audio", "file"} | {
            name for model in catalogue for name in as_list(model.get("capabilities"))
        }


class Call:
    """The variables of one request, and what is true of every request."""

    def __init__(self, words: Vocabulary, name: str = "") -> None:
        self.words = words
        self.level = z3.Int(f"{name}level")
        self.known = {c: z3.Bool(f"{name}known.{c}") for c in words.categories}
        self.unknown = {c: z3.Bool(f"{name}unknown.{c}") for c in words.categories}
        self.task = z3.Int(f"{name}task")
        self.needs = {c: z3.Bool(f"{name}needs.{c}") for c in words.capabilities}
        self.tokens = z3.Int(f"{name}tokens")
        sorts = {"enum": z3.Int, "string": z3.String, "bool": z3.Bool, "int": z3.Int}
        self.facts = {f: sorts[d["type"]](f"{name}fact.{f}") for f, d in words.facts.items()}
        self.stated = {f: z3.Bool(f"{name}stated.{f}") for f in words.facts}

    def possible(self) -> list[Any]:
        """Return what holds of every request that can exist."""
        words = self.words
        found: list[Any] = [self.level >= 0, self.level < len(words.levels)]
        found += [self.task >= 0, self.task < len(words.names)]
        found += [self.tokens >= 0, self.tokens <= MOST_TOKENS]
        for name, (at_least, includes) in words.categories.items():
            known, unknown = self.known[name], self.unknown[name]
            found.append(z3.Not(z3.And(known, unknown)))
            found.append(
                z3.Implies(z3.Or(known, unknown), self.level >= words.levels.index(at_least))
            )
            for other in includes:
                found.append(z3.Implies(known, self.known[other]))
                found.append(z3.Implies(unknown, z3.Or(self.known[other], self.unknown[other])))
        for place, task in enumerate(words.names):
            for name in as_list((words.tasks[task] or {}).get("carries")):
                found.append(z3.Implies(self.task == place, self.known[name]))
        for name, fact in words.facts.items():
            value = self.facts[name]
            if fact["type"] == "enum":
                found += [value >= 0, value < len(fact["values"])]
            if fact.get("required") or "default" in fact:
                # Without a required fact nothing is sent; an absent one takes its default.
                found.append(self.stated[name])
        return found

    def certain(self) -> list[Any]:
        """Return what makes a request one of which everything is known."""
        return [*(z3.Not(u) for u in self.unknown.values()), *self.stated.values()]

    def resolves(self, other: Call) -> list[Any]:
        """Return what makes this a way of resolving what is unknown of another request."""
        found = [self.level == other.level, self.task == other.task, self.tokens == other.tokens]
        found += [self.needs[c] == other.needs[c] for c in self.needs]
        for name in self.known:
            found.append(z3.Implies(other.known[name], self.known[name]))
            found.append(
                z3.Implies(self.known[name], z3.Or(other.known[name], other.unknown[name]))
            )
        for name in self.facts:
            found.append(z3.Implies(other.stated[name], self.facts[name] == other.facts[name]))
        return found

    def when(self, clause: Json | None) -> Three:
        """Return when a `when` is true, and when it is false."""
        return conjunction(self.condition(key, wanted) for key, wanted in (clause or {}).items())

    def condition(self, key: str, wanted: Any) -> Three:
        words = self.words
        if key == "level":
            if isinstance(wanted, dict):
                places = {side: words.levels.index(name) for side, name in wanted.items()}
                return count(self.level, CERTAIN, places)
            return choice(self.level, CERTAIN, wanted, words.levels)
        if key == "categories":
            members = {
                c: Three(self.known[c], z3.Not(z3.Or(self.known[c], self.unknown[c])))
                for c in words.categories
            }
            return among(members, wanted)
        if key == "task":
            if isinstance(wanted, dict):
                wanted = [t for t in words.names if t.startswith(wanted["prefix"])]
            return choice(self.task, CERTAIN, wanted, words.names)
        if key == "needs":
            return among({c: Three(v, z3.Not(v)) for c, v in self.needs.items()}, wanted)
        if key == "tokens":
            return count(self.tokens, CERTAIN, wanted)
        assert key == "facts", key
        return conjunction(self.fact(name, one) for name, one in wanted.items())

    def fact(self, name: str, wanted: Any) -> Three:
        value, stated, fact = self.facts[name], self.stated[name], self.words.facts[name]
        if fact["type"] == "enum":
            return choice(value, stated, wanted, fact["values"])
        compare = {"string": text, "bool": truth, "int": count}[fact["type"]]
        return compare(value, stated, wanted)


# -- the model --------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A model as matchers see it: each value, and whether it is known.

    Attributes:
        own: Whether what the entry says of the model is known, and not expired.
        data: The same for what it says of data.
        sets: For each kind of name, whether the model has it.
    """

    id: Any
    values: Mapping[str, tuple[Any, Any]]
    own: Any
    data: Any
    sets: Mapping[str, Mapping[str, Any]]


def entry(model: Json, at: datetime.date, names: Mapping[str, set[str]]) -> Seen:
    """Return a model of the catalogue."""
    data = model.get("data") or {}
    own, fresh = not past(model, at), not past(data, at)
    values: dict[str, tuple[Any, Any]] = {
        "hosting": (HOSTING.index(model["hosting"]), own),
        "weights": (WEIGHTS.index(model["weights"]), own),
    }
    for key in ("operator", "region", "licence"):
        values[key] = (model.get(key, ""), own and key in model)
    days, trains = data.get("retention_days", 0), data.get("trains_on_data", False)
    values["retention_days"] = (days, fresh and "retention_days" in data)
    values["trains_on_data"] = (trains, fresh and "trains_on_data" in data)
    sets = {
        kind: {n: n in as_list(block.get(kind)) for n in names[kind]}
        for kind, block in (("tags", model), ("capabilities", model), ("agreements", data))
    }
    return Seen(
        id=model["id"],
        values=values,
        own=own,
        data=fresh,
        sets=sets,
    )


def conceivable(names: Mapping[str, set[str]]) -> tuple[Seen, list[Any]]:
    """Return any model a catalogue could hold, and what is true of all of them."""
    own, data = z3.Bool("own"), z3.Bool("data")
    hosting, weights, days = z3.Int("hosting"), z3.Int("weights"), z3.Int("retention_days")
    values: dict[str, Any] = {"hosting": (hosting, own), "weights": (weights, own)}
    for key in ("operator", "region", "licence"):
        values[key] = (z3.String(key), z3.And(own, z3.Bool(f"has.{key}")))
    values["retention_days"] = (days, z3.And(data, z3.Bool("has.retention_days")))
    trains = z3.Bool("trains_on_data")
    values["trains_on_data"] = (trains, z3.And(data, z3.Bool("has.trains_on_data")))
    sets = {kind: {n: z3.Bool(f"{kind}.{n}") for n in found} for kind, found in names.items()}
    rules = [hosting >= 0, hosting < 3, weights >= 0, weights < 2, days >= 0]
    return Seen(id=z3.String("id"), values=values, own=own, data=data, sets=sets), rules


def covers(matcher: Any, model: Seen, named: Json) -> Three:
    """Return when a model matcher is true of a model, and when it is false."""
    if matcher is None or matcher == "all":
        return ALWAYS
    return conjunction(attribute(key, wanted, model, named) for key, wanted in matcher.items())


def attribute(key: str, wanted: Any, model: Seen, named: Json) -> Three:
    if key == "not":
        return ~covers(wanted, model, named)
    if key == "set":
        return disjunction(covers(named[name], model, named) for name in as_list(wanted))
    if key == "id":
        return text(model.id, CERTAIN, wanted)
    if key in model.sets:
        known = model.data if key == "agreements" else model.own
        members = {n: compared(known, has) for n, has in model.sets[key].items()}
        return among(members, wanted)
    value, known = model.values[key]
    if key == "hosting":
        return choice(value, known, wanted, HOSTING)
    if key == "weights":
        return choice(value, known, wanted, WEIGHTS)
    compare = {"retention_days": count, "trains_on_data": truth}.get(key, text)
    return compare(value, known, wanted)


def collected(document: Any, found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Collect every tag, capability and agreement that a document mentions anywhere."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in found:
                parts = value.values() if isinstance(value, dict) else [value]
                found[key] |= {name for part in parts for name in as_list(part)}
            elif key not in ("needs", "categories"):
                collected(value, found)
    elif isinstance(document, list):
        for part in document:
            collected(part, found)
    return found


# -- the property --------------------------------------------------------------------


class Policy:
    """A policy as formulas."""

    def __init__(self, policy: Json, catalogue: list[Json], at: datetime.date) -> None:
        self.policy, self.catalogue, self.at = policy, catalogue, at
        self.words = Vocabulary(policy, catalogue)
        self.sets: Json = policy.get("sets") or {}
        self.rules = [r for r in policy.get("rules") or [] if r.get("strength") != "advisory"]
        lowest = (policy.get("defaults") or {}).get("default_deny_from", self.words.levels[-1])
        self.deny_from = self.words.levels.index(lowest)
        self.call = Call(self.words)
        self.possible = self.call.possible()
        self.resolved = Call(self.words, "resolved.")
        self.resolving = [
            *self.resolved.possible(),
            *self.resolved.certain(),
            *self.resolved.resolves(self.call),
        ]
        self.whens = {
            r["id"]: self.call.when(r.get("when"))
            for r in self.rules
            if "budget" not in (r.get("when") or {})
        }
        self.names = collected([policy, catalogue], {key: set() for key in KINDS})
        self.seen = {m["id"]: entry(m, at, self.names) for m in catalogue}
        self.passing = {
            m["id"]: NEVER if self.retired(m) else self.guard(self.seen[m["id"]]) for m in catalogue
        }

    def guard(self, model: Seen) -> Any:
        """Return when nothing forbids the model and, where it must be, it is permitted."""
        passes, permitted = [], [self.call.level < self.deny_from]
        for rule in self.rules:
            when = self.whens[rule["id"]]
            covered = covers(rule.get("models"), model, self.sets)
            if rule["effect"] == "forbid":
                passes.append(negation(every([when.possible, covered.possible])))
            elif rule["effect"] == "require":
                passes.append(some([when.false, covered.true]))
            elif rule["effect"] == "permit" and not past(rule, self.at):
                permitted.append(every([when.true, covered.true]))
        return every([some(permitted), *passes])

    def retired(self, model: Json) -> bool:
        day = model.get("retires")
        return day is not None and datetime.date.fromisoformat(str(day)) <= self.at

    def holds(self, claim: Json) -> bool:
        """Return whether a property holds.

        Raises:
            RuntimeError: The solver gave up.
        """
        solver = z3.Solver()
        solver.set("timeout", 60_000)
        solver.add(*self.possible)
        if "always_served" in claim:
            from tests.proof.smt_service import unserved  # noqa: PLC0415 - it stands on this one

            solver.add(*self.call.certain(), self.call.when(claim.get("when")).true)
            solver.add(*unserved(self, self.call, claim))
        else:
            solver.add(*self.resolving, self.resolved.when(claim.get("when")).true)
            solver.add(self.sent(claim, solver))
        answer = solver.check()
        if answer == z3.unknown:
            raise RuntimeError(solver.reason_unknown())
        return bool(answer == z3.unsat)

    def sent(self, claim: Json, solver: Any) -> Any:
        """Return when a model that the property means passes the guard."""
        matcher = claim["never_sent"]
        names = collected([self.policy, self.catalogue, claim], {key: set() for key in KINDS})
        if claim.get("over") == "any":
            model, rules = conceivable(names)
            solver.add(*rules)
            return every([self.guard(model), covers(matcher, model, self.sets).possible])
        return some(
            every(
                [
                    covers(matcher, entry(one, self.at, names), self.sets).possible,
                    self.passing[one["id"]],
                ]
            )
            for one in self.catalogue
        )
