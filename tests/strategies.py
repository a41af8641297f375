"""Hypothesis strategies for random valid policies, catalogues and requests.

Everything is plain data, as YAML or JSON would give it. The vocabularies are small and
the figures lie close together, so that rules meet models, budgets are exhausted to the
last unit and floors are reached exactly. `test_oracle.py` measures how often that happens.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

import yaml
from hypothesis import strategies as st

Json = dict[str, Any]
Case = tuple[Json, list[Json], Json]
T = TypeVar("T")

IDS = ("a/one", "a/two", "b/three", "b/four", "c/five")
DATES = ("2026-11-22", "2026-11-23", "2026-11-24")
LATER = (*DATES, "2026-11-22", "2027-03-01", "2027-03-01")
LAST_DAYS = (*DATES, *("2026-12-21", "2026-12-22", "2026-12-23", "2026-12-24") * 2, LATER[-1])
QUALITIES = (0.72, 0.75, 0.78, 0.8, 0.82, 0.85, 0.9)
RATES = ("input", "output", "cache_write", "reasoning", "request")
LATENCIES = (200, 400, 500, 600, 900)
PRICES = (2, 2, 4, 4, 6, 8, 0.5, 2.125)
CAPABILITIES = ("tools", "vision", "json_schema")
TAGS = ("fast", "frontier")
AGREEMENTS = ("dpa", "scc")
LEVELS = ("public", "internal", "confidential", "restricted")
STANDARD = ("pii", "phi", "secrets", "source_code")
TENANTS = ("acme-eu", "acme-us", "beta")
PURPOSES = ("care", "research", "admin")
VALUES: dict[str, Sequence[Any]] = {
    "enum": PURPOSES,
    "string": TENANTS,
    "bool": (False, True),
    "int": (1, 5, 10),
}


@functools.cache
def _below(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, count - 1)


@functools.cache
def _bytes(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=count, max_size=count)


@functools.cache
def _odds(percent: int) -> tuple[bool, ...]:
    return (False,) * (100 - percent) + (True,) * percent


@functools.cache
def _subsets(count: int, most: int) -> tuple[tuple[int, ...], ...]:
    """List the subsets of `range(count)` up to a size, single members three times."""
    sizes = (1, 1, *range(1, min(most, count) + 1))
    return tuple(s for size in sizes for s in itertools.combinations(range(count), size))


class Dice:
    """Small decisions; each shrinks towards its first option."""

    def __init__(self, draw: st.DrawFn) -> None:
        """Keep the `draw` of a composite strategy."""
        self._draw = draw

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self._draw(_below(len(options)))]

    def picks(self, *choices: Sequence[Any]) -> list[Any]:
        """Pick from each of several sequences.

        One draw serves all of them, a byte each, because draws are what takes the time.
        Bytes are drawn evenly and shrink one by one; wide integers would be drawn small.
        """
        drawn = self._draw(_bytes(len(choices)))
        return [c[byte * len(c) // 256] for c, byte in zip(choices, drawn, strict=True)]

    def chance(self, percent: int) -> bool:
        """Return True in about that share of the draws; shrinks to False."""
        return self.pick(_odds(percent))

    def some(self, options: Sequence[T], *, most: int = 2) -> list[T]:
        """Return between one and `most` different options."""
        return [options[index] for index in self.pick(_subsets(len(options), most))]

    def short(self, names: list[T]) -> Any:
        """Return a list of one sometimes as a scalar, the shorthand for it."""
        return names[0] if len(names) == 1 and self.chance(50) else names


class World:
    """The names that a policy's clauses may use."""

    def __init__(self, dice: Dice) -> None:
        """Draw labels, facts, tasks and models, in the order in which they depend."""
        self.dice = dice
        self.budget_ids: list[str] = []
        self.declared: list[str] = []  # the request's categories
        self.unlabelled = False
        self.levels: Sequence[str] = LEVELS
        self.categories: Sequence[str] = STANDARD
        self.tasks: list[str] = []
        self.draw_labels()
        kinds: Json = {
            "purpose": {"type": "enum", "values": list(PURPOSES)},
            "tenant": {"type": "string"},
            "urgent": {"type": "bool"},
            "seats": {"type": "int"},
        }
        present = dice.picks(*[_odds(45)] * len(kinds))
        self.facts: Json = {
            name: _fact(dice, kind)
            for (name, kind), here in zip(kinds.items(), present, strict=True)
            if here
        }
        self.draw_tasks()
        names = [name for name in self.tasks if name != "other"]
        count = dice.pick((3, 4, 5, 5, 5))
        self.catalogue = [_model(dice, name, names, first=name == IDS[0]) for name in IDS[:count]]
        if self.declared_tasks is None:
            found = {
                t
                for m in self.catalogue
                if isinstance(m.get("quality"), dict)
                for t in m["quality"]
            }
            self.tasks = [*sorted(found - {"*", "other"}), "other"]
        self.capabilities = [
            name
            for name in CAPABILITIES
            if any(name in _listed(m.get("capabilities")) for m in self.catalogue)
        ]
        self.sets: Json = {}
        for name in ("inside", "outside", "trusted")[: dice.pick((0, 1, 2, 3))]:
            self.sets[name] = _models(self, depth=1)

    def draw_labels(self) -> None:
        """Draw the levels, the categories and what stands in for a missing label."""
        dice = self.dice
        if dice.chance(25):
            self.labels: Any = "standard"
            return
        self.labels = {}
        if dice.chance(50):
            self.levels = ("open", "team", "board", "vault")[: dice.pick((3, 4))]
            self.labels["levels"] = list(self.levels)
        self.categories = ("pii", "phi", "secrets", "deid")[: dice.pick((2, 3, 4))]
        declared: Json = {}
        for name in self.categories:
            level, including, chained = dice.picks(self.levels, _odds(60), _odds(80))
            before = list(declared)
            declared[name] = {"at_least": level}
            if before and including:
                included = before[-1:] if chained else dice.some(before)
                declared[name]["includes"] = dice.short(included)
        self.labels["categories"] = declared
        if dice.chance(75):
            stand_ins = ("top", "detected", *self.levels[:2], "top", self.levels[-1])
            self.labels["unlabelled"] = dice.pick(stand_ins)

    def draw_tasks(self) -> None:
        """Draw the `tasks` section, which may be absent, a list or a mapping."""
        dice = self.dice
        self.tasks = ["summary", "code"] + (["other"] if dice.chance(80) else [])
        form = dice.pick(("list", "mapping", "mapping", "absent"))
        self.declared_tasks: Any = None
        if form == "list":
            self.declared_tasks = list(self.tasks)
        if form == "mapping":
            self.declared_tasks = {}
            for name in self.tasks:
                settings: Json = {}
                carrying, output = dice.picks(_odds(33), (None, None, None, 100, 500, 750))
                if carrying:
                    settings["carries"] = dice.short(dice.some(self.categories))
                if output:
                    settings["expected_output"] = output
                self.declared_tasks[name] = settings or None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _fact(dice: Dice, kind: Json) -> Json:
    forms = ("required", "required", "default", "strictest", "optional", "optional")
    source, form, value, classified = dice.picks(
        ("host", "auth", "caller"), forms, VALUES[kind["type"]], _odds(20)
    )
    fact: Json = {**kind, "source": source}
    if form == "required":
        fact["required"] = True
    elif form == "default":
        fact["default"] = value
    elif form == "strictest":
        fact["when_missing"] = "strictest"
    elif classified:
        fact["source"] = "classifier"
    return fact


# -- catalogue ----------------------------------------------------------------


def _record(lower: float, *, spread: str = "0.02") -> Json:
    score = float(Decimal(str(lower)) + Decimal(spread))
    evidence = {"n": 300, "source": "evals/set@1", "measured": "2026-10-01"}
    return {"score": score, "lower": lower, **evidence}


RECORDS: tuple[Any, ...] = (
    *(_record(lower) for lower in QUALITIES),
    *(_record(lower, spread="0.05") for lower in QUALITIES),
    *QUALITIES[1:5],
    {"score": 0.85},
    None,
)
TRAITS: tuple[tuple[str, Sequence[Any]], ...] = (
    ("weights", ("open", "closed")),
    ("hosting", ("self_hosted", "private_cloud", "vendor_api")),
    ("operator", ("house", "acme", "beta", None)),
    ("region", ("eu-west", "eu-north", "us-east", None)),
    ("licence", ("apache-2.0", "proprietary", None)),
    ("capabilities", (list(CAPABILITIES), ["tools", "vision"], ["tools"], "vision", None)),
    ("tags", (None, "fast", ["fast", "frontier"], ["frontier"])),
    ("context_window", (None, None, *[8000] * 7, 5000, 3000, 1500)),
    ("max_output", (None, None, None, *[4000] * 5, 2000, 1000, 500)),
)
DATA: tuple[tuple[str, Sequence[Any]], ...] = (
    ("retention_days", (0, 0, 0, 7, 30, None, None)),
    ("trains_on_data", (False, False, True, None)),
    ("agreements", (["dpa"], "scc", ["dpa", "scc"], None)),
)
EXTRAS: tuple[Json, ...] = (
    *[{}] * 6,
    {"cached_input": 0.25},
    {"cache_write": 6},
    {"cache_write": 10},
    {"reasoning": 6},
    {"reasoning": 12},
    {"request": 0.001},
    {"request": 0.005},
)
# At most one of these befalls a model.
ODDITIES = (
    *[""] * 14,
    "embed",
    "chat",
    "retires",
    "retires",
    "expires",
    "no data",
    "no price",
    "no latency",
    "no quality",
    "data expires",
    "price expires",
    "latency expires",
    "quality expires",
)


def _model(dice: Dice, name: str, tasks: Sequence[str], *, first: bool) -> Json:
    values = dice.picks(
        *(options for _, options in TRAITS + DATA),
        PRICES,
        PRICES,
        EXTRAS,
        (*LATENCIES, *LATENCIES, None),
        ODDITIES,
    )
    input_price, output_price, extra, ttft, oddity = values[len(TRAITS) + len(DATA) :]
    traits = [(key, v) for (key, _), v in zip(TRAITS, values, strict=False) if v is not None]
    facts = zip(DATA, values[len(TRAITS) :], strict=False)
    data = {key: v for (key, _), v in facts if v is not None}
    model: Json = {"id": name, **dict(traits)}
    if data:
        model["data"] = data
    model["price"] = {"input": input_price, "output": output_price, **extra}
    model["latency"] = {"ttft_ms_p50": 100}
    if ttft is not None:
        model["latency"]["ttft_ms_p95"] = ttft
    model["quality"] = _quality(dice, tasks)
    if oddity in ("embed", "chat") and not first:
        model["role"] = oddity
    elif oddity == "retires":
        model[oddity] = dice.pick(LAST_DAYS)
    elif oddity == "expires":
        model[oddity] = dice.pick(LATER)
    elif oddity.startswith("no "):
        model.pop(oddity.removeprefix("no "), None)
    elif oddity == "quality expires" and isinstance(model["quality"], dict):
        for task, record in model["quality"].items():
            if isinstance(record, dict):
                model["quality"][task] = {**record, "expires": dice.pick(LATER)}
    elif oddity.endswith(" expires") and isinstance(block := model.get(oddity.split()[0]), dict):
        block |= {"attested_by": "audit", "as_of": "2026-09-01", "expires": dice.pick(LATER)}
    return model


def _quality(dice: Dice, tasks: Sequence[str]) -> Any:
    scalar, *records = dice.picks((*[None] * 42, *QUALITIES[:6]), *[RECORDS] * (len(tasks) + 1))
    found = {t: r for t, r in zip((*tasks, "*"), records, strict=True) if r is not None}
    return scalar or found or QUALITIES[0]


# -- matchers -----------------------------------------------------------------


def _collection(dice: Dice, names: Sequence[str]) -> Any:
    form = dice.pick(("any", "any", "bare", "all", "none", "two"))
    chosen = dice.some(names)
    if form == "bare":
        return dice.short(chosen)
    if form == "two":
        return {"any": dice.some(names, most=3), "none": dice.short([dice.pick(names)])}
    return {form: dice.short(chosen)}


def _scalar(dice: Dice, values: Sequence[T], prefixes: Sequence[str] = ()) -> Any:
    singles = [values[index] for index in range(len(values))]
    lists = [[values[i] for i in chosen] for chosen in _subsets(len(values), 2)]
    options = [*singles, *singles, *lists[:: 1 + bool(len(values) > 2)]]
    return dice.pick([*options, *({"prefix": prefix} for prefix in prefixes)])


def _range(dice: Dice, values: Sequence[int]) -> Any:
    forms = ("at_least", "at_most", "above", "below", "both", "scalar")
    form, one, two = dice.picks(forms, values, values)
    if form == "scalar":
        return one
    return {"at_least": min(one, two), "at_most": max(one, two)} if form == "both" else {form: one}


MODEL_KEYS = (
    "hosting",
    "weights",
    "region",
    "operator",
    "licence",
    "retention_days",
    "trains_on_data",
    "agreements",
    "tags",
    "capabilities",
    "id",
    "id",
    "set",
    "set",
    "not",
    "not",
    "not",
)


def _models(world: World, *, depth: int = 0) -> Json:
    dice = world.dice
    one, two, both = dice.picks(MODEL_KEYS, MODEL_KEYS, _odds(20))
    matcher: Json = {}
    for key in (one, two) if both else (one,):
        if key == "set" and world.sets:
            matcher[key] = dice.pick(list(world.sets))
        elif key == "not" and depth < 3:
            matcher[key] = _models(world, depth=depth + 1)
        else:
            name = "hosting" if key in ("set", "not") else key
            matcher[name] = _attribute(world, name)
    return matcher


def _attribute(world: World, key: str) -> Any:
    dice = world.dice
    scalars: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        "hosting": (("self_hosted", "private_cloud", "vendor_api"), ()),
        "weights": (("open", "closed"), ()),
        "region": (("eu-west", "eu-north", "us-east"), ("eu-", "us-")),
        "operator": (("house", "acme", "beta"), ("a",)),
        "licence": (("apache-2.0", "proprietary"), ("apache-",)),
        "id": ([m["id"] for m in world.catalogue], ("a/", "b/")),
    }
    if key in scalars:
        return _scalar(dice, *scalars[key])
    if key == "retention_days":
        return _range(dice, (0, 7, 30))
    if key == "trains_on_data":
        return dice.chance(50)
    names = {
        "agreements": AGREEMENTS,
        "tags": TAGS,
        "capabilities": world.capabilities or ("tools",),
    }
    return _collection(dice, names[key])


def _when(world: World) -> Json:
    dice = world.dice
    keys = ["level", "categories", "categories", "task", "tokens"]
    keys += ["facts", "facts"] * bool(world.facts) + ["needs"] * bool(world.capabilities)
    if world.unlabelled:
        keys += ["categories"] * 4
    clause: Json = {}
    one, two, both = dice.picks(keys, keys, _odds(33))
    for key in dict.fromkeys((one, two) if both else (one,)):
        if key == "level":
            clause[key] = _level(world)
        elif key == "categories":
            clause[key] = _collection(dice, world.categories)
        elif key == "task":
            clause[key] = _scalar(dice, world.tasks)
        elif key == "tokens":
            clause[key] = _range(dice, (500, 1000, 2000))
        elif key == "needs":
            clause[key] = _collection(dice, world.capabilities)
        else:
            clause[key] = {n: _fact_matcher(world, n) for n in dice.some(list(world.facts))}
    return clause


def _level(world: World) -> Any:
    dice = world.dice
    ranks = range(len(world.levels))
    forms = ("at_least", "at_least", "scalar", "at_most", "both", "list")
    form, one, two = dice.picks(forms, ranks, ranks)
    low, high = world.levels[min(one, two)], world.levels[max(one, two)]
    if form == "scalar":
        return low
    if form == "list":
        return [low, high] if low != high else [low]
    return {"at_least": low, "at_most": high} if form == "both" else {form: low}


def _fact_matcher(world: World, name: str) -> Any:
    dice = world.dice
    kind = world.facts[name]["type"]
    if kind == "enum":
        return _scalar(dice, PURPOSES)
    if kind == "string":
        return _scalar(dice, TENANTS, ("acme-", "beta"))
    return dice.chance(50) if kind == "bool" else _range(dice, (1, 5, 10))


# -- rules, budgets, objectives -----------------------------------------------


def _rules(world: World, default_deny_from: str) -> list[Json]:
    dice = world.dice
    rules: list[Json] = []
    counts: Json = {
        "forbid": (0, 0, 0, 1, 1, 2),
        "require": (0, 0, 1),
        "permit": (0, 1, 1),
        "floor": (0, 1, 2, 2, 3),
        "obligate": (0, 1, 2, 3),
    }
    bare, narrow, forbidding, backwards, *numbers = dice.picks(
        _odds(3), _odds(16), _odds(10), _odds(30), *counts.values()
    )
    if not bare:
        clause = {"level": {"at_least": default_deny_from}} if dice.chance(85) else _when(world)
        rules.append({"effect": "permit", "when": clause})
        rules[0]["models"] = _models(world) if narrow else "all"
        if dice.chance(15):
            rules[0]["expires"] = dice.pick(LATER)
    for effect, count in zip(counts, numbers, strict=True):
        rules += [_rule(world, effect) for _ in range(count)]
    if forbidding or (world.unlabelled and dice.chance(22)):
        clause = _when(world)
        if dice.chance(75):
            undeclared = [n for n in world.categories if n not in world.declared]
            clause = {"categories": dice.some(undeclared or world.categories)}
        rules.append({"effect": "forbid", "when": clause, "models": "all"})
    if backwards:
        rules.reverse()
    return [{"id": f"{rule['effect']}-{n}", **rule} for n, rule in enumerate(rules, start=1)]


def _rule(world: World, effect: str) -> Json:
    dice = world.dice
    rule: Json = {"effect": effect}
    guard = effect in ("forbid", "require", "permit")
    ids = [model["id"] for model in world.catalogue]
    conditional, limited, narrow, name, soft, advisory, expires, reason, share = dice.picks(
        _odds(92 if effect in ("forbid", "require") else 45),
        _odds(99 if effect in ("forbid", "require") else 35),
        _odds(50),
        ids,
        _odds(70),
        _odds(8),
        (*[None] * (12 if effect == "permit" else 60), *LATER),
        _odds(15),
        _odds(30),
    )
    if conditional:
        rule["when"] = _when(world)
    if narrow and guard and effect != "permit":
        rule["models"] = {"id": name} if effect == "forbid" else {"not": {"id": name}}
    elif limited or effect == "permit":
        rule["models"] = _models(world)
    if effect == "floor":
        rule["set"] = _floor(dice)
        if soft:
            rule["strength"] = "soft"
    if effect == "obligate":
        rule["do"] = _do(world)
    if advisory:
        rule["strength"] = "advisory"
        if world.budget_ids and share:
            budget = {dice.pick(world.budget_ids): {"spent_at_least": 0.8}}
            rule["when"] = {**rule.get("when", {}), "budget": budget}
    if expires:
        rule["expires"] = expires
    if reason:
        rule["reason"] = "agreed with the owner"
    return rule


def _floor(dice: Dice) -> Json:
    quality, ttft, cost = dice.picks(
        (*QUALITIES[:3], *QUALITIES[:3], *QUALITIES[:4], *[None] * 4),
        (*[None] * 12, 900, 600, 500, 400),
        (*[None] * 12, 0.05, 0.02, 0.01, 0.006),
    )
    limits = {"min_quality": quality, "max_ttft_ms": ttft, "max_cost_usd": cost}
    return {k: v for k, v in limits.items() if v is not None} or {"min_quality": QUALITIES[1]}


def _do(world: World) -> Json:
    dice = world.dice
    keys, trace, cache, log, approval = dice.picks(
        _subsets(5, 5),
        ("hash", "redacted", "none", "content", "hash", "redacted"),
        ("none", "exact"),
        ("decision+hash", "decision", "none"),
        ("clinician", "hr", ["hr"], ["hr", "clinician"]),
    )
    redact = dice.short(dice.some(world.categories)) if 3 in keys else None
    pairs = [("trace", trace), ("cache", cache), ("log", log), ("redact", redact)]
    pairs.append(("approval", approval))
    return {name: value for index, (name, value) in enumerate(pairs) if index in keys}


def _budget(world: World, name: str, request: Json) -> Json:
    """Build a budget whose limit lies close to what one of the models would cost."""
    dice = world.dice
    period, scoped, conditional, limited, unit, model, spent, warn_at = dice.picks(
        ("month", "day", "call"),
        (None, "", "fact"),
        _odds(33),
        _odds(55),
        ("usd", "usd", "usd", "tokens", "calls"),
        range(len(world.catalogue)),
        range(8),
        (None, None, None, 0.5, 0.75, 1),
    )
    budget: Json = {"id": name, "period": period}
    if scoped is not None:
        budget["scope"] = [next(iter(world.facts))] if scoped and world.facts else []
    if conditional:
        budget["when"] = _when(world)
    if limited:
        budget["models"] = _models(world)
    if unit == "usd":
        cost = _worst_milli_usd(world.catalogue[model], request)
        spent = (0, 0, 7, 20, 40, 57, 100, 115)[spent]
    elif unit == "tokens":
        cost = request.get("tokens", 1000) + request.get("max_output", 500)
        spent = (0, 0, 0, 2000, 4000, 6000, 8000, 9000)[spent]
    else:
        cost, spent = 1, (0, 0, 0, 1, 2, 4, 4, 9)[spent]
    spent = 0 if period == "call" else spent
    # Room for the call exactly, nearly, amply; then half, four fifths and all of it spent.
    rooms = (
        cost,
        cost,
        cost,
        cost - 1,
        cost - 1,
        cost + 1,
        2 * cost,
        *[9 * cost] * 3,
        spent,
        spent // 4,
        0,
    )
    if unit == "usd":
        rooms = (*rooms, 100 - spent, 100 - spent)
    room, reaction, redirected, floor = dice.picks(
        rooms,
        ("degrade", "degrade", "deny", "warn"),
        _odds(60),
        (0.7, 0.7, *QUALITIES[:2], None),
    )
    limit = max(spent + room, 1)
    scale = 1000 if unit == "usd" else 1
    budget[f"limit_{unit}"] = limit / scale if limit % scale else limit // scale
    if spent:
        spent_by_id = request.setdefault("given", {}).setdefault("budgets", {})
        spent_by_id[name] = spent / scale if spent % scale else spent // scale
    if warn_at:
        budget["warn_at"] = warn_at
    budget["on_exceed"] = reaction
    if reaction == "degrade":
        if redirected:
            budget["degrade_to"] = _models(world)
        if floor:
            budget["degrade_floor"] = floor
    return budget


def _worst_milli_usd(model: Json, request: Json) -> int:
    """Return a model's worst cost in thousandths of a dollar, rounded up."""
    if "price" not in model:
        return 10
    price = {key: Decimal(str(model["price"].get(key, 0))) for key in RATES}
    worst: Decimal = request.get("tokens", 1000) * max(price["input"], price["cache_write"])
    worst += request.get("max_output", 500) * max(price["output"], price["reasoning"])
    return math.ceil(worst / 1000 + 1000 * price["request"])


COLUMNS = ("cost", "quality", "ttft", "retention")
ORDERS = [order for size in (1, 2, 3) for order in itertools.permutations(COLUMNS, size)]


def _objectives(world: World) -> list[Json]:
    dice = world.dice
    goals = {
        "cost": ("minimise", (0.001, 0.002, 0.004)),
        "ttft": ("minimise", (100, 200, 300)),
        "quality": ("maximise", (0.02, 0.03, 0.05, 0.07)),
        "retention": ("minimise", (7, 30)),
    }
    objectives: list[Json] = []
    for number in range(dice.pick((1, 1, 2, 2, 3))):
        order: list[Json] = []
        for column in dice.pick(ORDERS):
            verb, tolerances = goals[column]
            order.append({verb: column})
            if tolerance := dice.pick((None, *tolerances)):
                order[-1]["within"] = tolerance
        objectives.append({"id": f"objective-{number}", "order": order})
    for objective in objectives:
        _roll_out(world, objective)
    for objective in objectives[:-1] if not dice.chance(8) else objectives:
        spent = dice.pick((*[None] * 6, 0.5, 0.8, 1))
        if world.budget_ids and spent:
            share = {dice.pick(world.budget_ids): {"spent_at_least": spent}}
            objective["when"] = {"budget": share}
        else:
            objective["when"] = _when(world)
    return objectives


def _roll_out(world: World, objective: Json) -> None:
    dice = world.dice
    chats = [m["id"] for m in world.catalogue if m.get("role", "chat") == "chat"]
    rolled, model, share = dice.picks(_odds(40), chats, (0.5, 0.5, 0.5, 0.25, 0.75, 0.1, 0, 1))
    if rolled and world.facts:
        key = dice.short(dice.some(list(world.facts), most=3))
        objective["rollout"] = {"model": model, "share": share, "key": key}


# -- request and case ---------------------------------------------------------


def _request(world: World) -> Json:
    dice = world.dice
    request: Json = {}
    levels, names = world.levels, world.categories
    level, category, task, tokens, output, needing, down, at, stream = dice.picks(
        (*levels[:2], *levels[:2], *levels, *[None] * len(levels)),
        (
            *[None] * 7,
            [],
            *([name] for name in names[:2]),
            list(names[:2]),
            [names[-1]],
            [names[-1]],
        ),
        (*world.tasks, *world.tasks, None),
        (None, None, None, 500, 1000, 2000, 2500, 4000),
        (None, None, None, 500, 1000, 1500, 100),
        _odds(15),
        _odds(10),
        (*[None] * 6, *DATES),
        _odds(5),
    )
    if task is None and "other" not in world.tasks:
        task = world.tasks[0]
    stated = {"level": level, "categories": category, "task": task}
    stated |= {"tokens": tokens, "max_output": output}
    request |= {key: value for key, value in stated.items() if value is not None}
    if needing and world.capabilities:
        request["needs"] = dice.some(world.capabilities)
    facts: Json = {}
    for name, fact in world.facts.items():
        value, forgotten, left_out = dice.picks(VALUES[fact["type"]], _odds(8), _odds(35))
        missing = forgotten if fact.get("required") else left_out
        if fact["source"] != "classifier" and not missing:
            facts[name] = value
    if facts or level is None:
        request["facts"] = facts
    if stream:
        request["stream"] = True
    given: Json = {}
    if down:
        failed = world.catalogue if dice.chance(15) else dice.some(world.catalogue)
        given["health"] = {model["id"]: "down" for model in failed}
    if at:
        given["at"] = at
    if given:
        request["given"] = given
    return request


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a policy, its catalogue and a request that both accept.

    The request carries everything it depends on but the date, which `given.at` states
    in about a third of the cases; the dates in the documents lie around 2026-11-23.
    """
    _, case = draw_case(Dice(draw))
    return case


def draw_case(dice: Dice) -> tuple[World, Case]:
    """Draw a case, and return the names its clauses use beside it."""
    world = World(dice)
    request = _request(world)
    world.declared = request.get("categories", [])
    world.unlabelled = not world.declared and "level" not in request
    count, stated, rank, column, unknown, ordered = dice.picks(
        (0, 1, 1, 2, 2, 3),
        _odds(50),
        (-1, -1, -2, *range(len(world.levels))),
        (None, None, None, "lower", "score", "score"),
        (None, None, "ignore", "exclude"),
        _odds(80),
    )
    world.budget_ids = [f"budget-{n}" for n in range(count)]
    budgets = [_budget(world, name, request) for name in world.budget_ids]
    default_deny_from = world.levels[rank] if stated else world.levels[-1]
    defaults: Json = {"default_deny_from": default_deny_from} if stated else {}
    if column:
        defaults["compare_quality"] = column
    if unknown:
        defaults["unknown_quality"] = unknown
    policy: Json = {"labels": world.labels}
    sections: Json = {
        "tasks": world.declared_tasks,
        "facts": world.facts,
        "sets": world.sets,
        "defaults": defaults,
        "rules": _rules(world, str(default_deny_from)),
        "budgets": budgets,
        "objectives": _objectives(world) if ordered else [],
    }
    policy |= {key: section for key, section in sections.items() if section}
    return world, (policy, world.catalogue, request)


class _Dumper(yaml.SafeDumper):
    """Writes every value out; the policy loader refuses anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Repeat a value that occurs twice."""
        return True


def to_yaml(policy: Json, catalogue: list[Json]) -> str:
    """Return the policy and its catalogue as one `kind: Policy` document."""
    document: Json = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": "generated", "version": "1"},
        **policy,
        "models": catalogue,
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False)
