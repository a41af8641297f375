"""A second, slow implementation of the decision, for comparison only.

It reads the plain data of a policy document and shares no code with the package.
Every matcher value is one of three numbers, so that "and" is `min`, "or" is `max`
and "not" is `YES - value`.

Two things a comparison has to know: the reasons of an excluded model are distinct
(stage, rule) pairs, and `excluded` stands in the catalogue's order.
"""

from __future__ import annotations

import datetime
import hashlib
from decimal import Decimal
from fractions import Fraction
from typing import Any

Json = dict[str, Any]

NO, UNKNOWN, YES = 0, 1, 2
ABSENT = object()  # what nobody stated, or what has expired

LEVELS = ["public", "internal", "confidential", "restricted"]
STANDARD: Json = {
    "pii": {"at_least": "confidential"},
    "financial": {"at_least": "confidential"},
    "legal": {"at_least": "confidential"},
    "source_code": {"at_least": "internal"},
    "phi": {"at_least": "restricted", "includes": ["pii"]},
    "pci": {"at_least": "restricted"},
    "secrets": {"at_least": "restricted"},
    "export_controlled": {"at_least": "restricted"},
}
STRICTEST_FIRST = {
    "trace": ["none", "hash", "redacted", "content"],
    "cache": ["none", "exact"],
    "log": ["decision+hash", "decision", "none"],
}
FACT_TYPES = {"enum": str, "string": str, "bool": bool, "int": int}
COLLECTIONS = ("tags", "capabilities", "agreements")


def number(value: Any) -> Fraction:
    """Return a number of the document exactly as it is written there."""
    return Fraction(Decimal(str(value)))


def listed(value: Any) -> list[Any]:
    """Return a list for a list, for a scalar and for nothing."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def day(value: Any) -> datetime.date:
    """Return the date that a document writes as text."""
    return datetime.date.fromisoformat(str(value))


def compare(value: Any, wanted: Any) -> int:
    """Compare one scalar with a scalar, a list, a prefix or a range."""
    if value is ABSENT:
        return UNKNOWN
    if isinstance(wanted, list):
        return max(compare(value, one) for one in wanted)
    if not isinstance(wanted, dict):
        return YES if value == wanted else NO
    results = [YES]
    for key, bound in wanted.items():
        if key == "prefix":
            holds = str(value).startswith(bound)
        elif key == "at_least":
            holds = number(value) >= number(bound)
        elif key == "at_most":
            holds = number(value) <= number(bound)
        elif key == "above":
            holds = number(value) > number(bound)
        else:
            holds = number(value) < number(bound)
        results.append(YES if holds else NO)
    return min(results)


def members(known: Any, unknown: set[str], wanted: Any) -> int:
    """Compare a collection with {any, all, none}; a bare list means any."""
    if known is ABSENT:
        return UNKNOWN
    result = YES
    for key, names in (wanted if isinstance(wanted, dict) else {"any": wanted}).items():
        states = [YES if n in known else UNKNOWN if n in unknown else NO for n in listed(names)]
        value = min(states) if key == "all" else max(states)
        result = min(result, YES - value if key == "none" else value)
    return result


class Case:
    """One request under one policy: label closed, facts completed, matchers evaluated."""

    def __init__(
        self, policy: Json, catalogue: list[Json], request: Json, at: datetime.date
    ) -> None:
        """Read the request, or raise `ValueError`."""
        given: Json = request.get("given") or {}
        self.at = day(given["at"]) if "at" in given else at
        self.down = {m for m, state in (given.get("health") or {}).items() if state == "down"}
        self.spent: Json = given.get("budgets") or {}
        self.budgets: list[Json] = policy.get("budgets") or []
        self.sets: Json = policy.get("sets") or {}
        self.defaults: Json = policy.get("defaults") or {}
        self.tokens: int = request.get("tokens", 1000)
        self.max_output: int | None = request.get("max_output", 500)
        self.needs = set(request.get("needs") or [])
        self.read_task(policy.get("tasks"), catalogue, request)
        self.read_label(policy.get("labels"), request)
        self.read_facts(policy.get("facts") or {}, request.get("facts") or {})

    def read_task(self, tasks: Any, catalogue: list[Json], request: Json) -> None:
        """Find the task and its settings; evidence names the tasks where the policy does not."""
        if tasks is None:
            records = [m["quality"] for m in catalogue if isinstance(m.get("quality"), dict)]
            tasks = [task for record in records for task in record if task != "*"] + ["other"]
        self.task: str = request.get("task", "other")
        if self.task not in (tasks if isinstance(tasks, dict) else listed(tasks)):
            raise ValueError(f"unknown task `{self.task}`")
        settings: Json = (tasks[self.task] or {}) if isinstance(tasks, dict) else {}
        self.carries = set(listed(settings.get("carries")))
        self.expected_output: int | None = settings.get("expected_output")

    def read_label(self, labels: Any, request: Json) -> None:
        """Join and close the label; a call without one gets the policy's stand-in."""
        labels = labels if isinstance(labels, dict) else {"categories": STANDARD}
        self.levels: list[str] = labels.get("levels") or LEVELS
        categories: Json = labels.get("categories") or {}
        declared = set(request.get("categories") or [])
        level = request.get("level", self.levels[0])
        if level not in self.levels or not declared <= set(categories):
            raise ValueError("unknown level or category")
        self.unknown: set[str] = set()
        if "level" not in request and not declared:
            level = labels.get("unlabelled", "top")
            if level in ("top", "detected"):
                level, self.unknown = self.levels[-1], set(categories)
        self.known = declared | self.carries
        for _ in categories:  # at most as many rounds as there are categories
            for name in list(self.known):
                self.known |= set(listed(categories[name].get("includes")))
        self.unknown -= self.known
        ranks = [self.levels.index(level)]
        ranks += [
            self.levels.index(categories[n].get("at_least", self.levels[0])) for n in self.known
        ]
        self.level = self.levels[max(ranks)]

    def read_facts(self, declared: Json, given: Json) -> None:
        """Check the facts and fill the defaults; what is left is `ABSENT`."""
        for name, value in given.items():
            fact = declared.get(name)
            if fact is None or fact.get("source") == "classifier":
                raise ValueError(f"fact `{name}` is not declared, or not the caller's to give")
            if type(value) is not FACT_TYPES[fact["type"]]:
                raise ValueError(f"fact `{name}` has the wrong type")
            if fact["type"] == "enum" and value not in listed(fact["values"]):
                raise ValueError(f"fact `{name}` has an undeclared value")
        self.facts = {n: given.get(n, fact.get("default", ABSENT)) for n, fact in declared.items()}

    def needs_permit(self) -> bool:
        """Say whether the label is at or above `default_deny_from`."""
        lowest = self.defaults.get("default_deny_from", self.levels[-1])
        return self.levels.index(self.level) >= self.levels.index(lowest)

    def expired(self, block: Json) -> bool:
        """Say whether a fact block, an entry or a rule is past its last day."""
        return "expires" in block and day(block["expires"]) < self.at

    def spent_share(self, budget: Json) -> Fraction:
        """Return the spent share of a budget's limit; a limit of 0 is spent."""
        limit = next(number(budget[key]) for key in budget if key.startswith("limit_"))
        return number(self.spent.get(budget["id"], 0)) / limit if limit else Fraction(1)

    def when(self, clause: Json) -> int:
        """Evaluate the `when` of a rule, a budget or an objective."""
        results = [YES]
        for key, wanted in (clause.get("when") or {}).items():
            if key == "level":
                index = self.levels.index
                if isinstance(wanted, dict):
                    bounds = {side: index(name) for side, name in wanted.items()}
                    results.append(compare(index(self.level), bounds))
                else:
                    results.append(compare(self.level, wanted))
            elif key == "categories":
                results.append(members(self.known, self.unknown, wanted))
            elif key == "needs":
                results.append(members(self.needs, set(), wanted))
            elif key == "task":
                results.append(compare(self.task, wanted))
            elif key == "tokens":
                results.append(compare(self.tokens, wanted))
            elif key == "facts":
                results += [compare(self.facts[name], one) for name, one in wanted.items()]
            else:
                for budget in self.budgets:
                    if budget["id"] in wanted:
                        least = number(wanted[budget["id"]]["spent_at_least"])
                        results.append(YES if self.spent_share(budget) >= least else NO)
        return min(results)

    def sees(self, model: Json, name: str) -> Any:
        """Return a model's attribute, `ABSENT` where it is unknown."""
        if name == "id":
            return model["id"]
        in_data = name in ("retention_days", "trains_on_data", "agreements")
        block = (model.get("data") or {}) if in_data else model
        if self.expired(block):
            return ABSENT
        return set(listed(block.get(name))) if name in COLLECTIONS else block.get(name, ABSENT)

    def covers(self, matcher: Any, model: Json) -> int:
        """Evaluate a model matcher; None and "all" cover every model."""
        if matcher is None or matcher == "all":
            return YES
        results = []
        for key, wanted in matcher.items():
            if key == "not":
                results.append(YES - self.covers(wanted, model))
            elif key == "set":
                results.append(max(self.covers(self.sets[name], model) for name in listed(wanted)))
            elif key in COLLECTIONS:
                results.append(members(self.sees(model, key), set(), wanted))
            else:
                results.append(compare(self.sees(model, key), wanted))
        return min(results)

    def quality(self, model: Json) -> Fraction | None:
        """Return the quality that floors and objectives compare."""
        evidence = model.get("quality") or {}
        evidence = evidence if isinstance(evidence, dict) else {"*": evidence}
        record = evidence[self.task] if self.task in evidence else evidence.get("*")
        if not isinstance(record, dict):
            return None if record is None else number(record)
        column = self.defaults.get("compare_quality", "lower")
        known = column in record and not self.expired(record)
        return number(record[column]) if known else None

    def ttft(self, model: Json) -> Fraction | None:
        """Return the p95 of the time to the first token, in ms."""
        latency: Json = model.get("latency") or {}
        known = "ttft_ms_p95" in latency and not self.expired(latency)
        return number(latency["ttft_ms_p95"]) if known else None

    def longest(self, model: Json) -> int | None:
        """Return the most tokens the model may write for this call."""
        own: int | None = model.get("max_output")
        return own if self.max_output is None else self.max_output

    def cost(self, model: Json, output: int | None, *, worst: bool) -> Fraction | None:
        """Return the cost of the call with that output, in USD."""
        price = model.get("price")
        if price is None or self.expired(price) or output is None:
            return None
        inputs, outputs = [number(price["input"])], [number(price["output"])]
        if worst:
            inputs += [number(price[key]) for key in ("cache_write",) if key in price]
            outputs += [number(price[key]) for key in ("reasoning",) if key in price]
        per_million = self.tokens * max(inputs) + output * max(outputs)
        return per_million / 1_000_000 + number(price.get("request", 0))

    def worst(self, model: Json) -> Fraction | None:
        """Return what budgets and `max_cost_usd` compare."""
        return self.cost(model, self.longest(model), worst=True)

    def expected(self, model: Json) -> Fraction | None:
        """Return what ranking compares."""
        outputs = [n for n in (self.max_output, self.expected_output) if n is not None]
        return self.cost(model, min(outputs, default=500), worst=False)


def decide(policy: Json, catalogue: list[Json], request: Json, at: datetime.date) -> Json:
    """Decide one request.

    Args:
        policy: The parsed document, with the catalogues' `sets` merged in.
        catalogue: The raw model entries.
        request: The JSON object of a request, `given` included.
        at: The date of the decision where `given` has none.

    Returns:
        The decision; money is exact, in USD, None where it is unknown.

    Raises:
        ValueError: The request names something the policy does not declare.
    """
    case = Case(policy, catalogue, request, at)
    rules = [r for r in policy.get("rules") or [] if r.get("strength") != "advisory"]
    reasons: dict[str, list[tuple[str, str | None]]] = {m["id"]: [] for m in catalogue}
    warnings: list[str] = []
    for name, fact in (policy.get("facts") or {}).items():
        if fact.get("required") and case.facts[name] is ABSENT:
            stage = f"missing_fact:{name}"
            return denial(stage, {model: [(stage, None)] for model in reasons}, warnings)

    deny_stage: str | None = None
    # Models of another role take no part in chats; they only show among the exclusions.
    left = [m for m in catalogue if m.get("role", "chat") == "chat"]
    for stage in ("guard", "capability", "budget", "floor"):
        if stage == "guard":
            unclassified = guard(case, rules, catalogue, reasons)
        elif stage == "capability":
            for model in catalogue:
                if not capable(case, model):
                    reasons[model["id"]].append(("capability", None))
        elif stage == "budget":
            lowered_to = meter(case, left, reasons, warnings)
        else:
            floors(case, rules, catalogue, lowered_to, reasons, warnings)
        entered = left
        left = [m for m in left if not reasons[m["id"]]]
        if entered and not left:
            deny_stage = "unclassified" if stage == "guard" and unclassified else stage
            emptied = {m["id"] for m in entered}
    if deny_stage is not None:
        found = denial(deny_stage, reasons, warnings)
        named = "guard" if deny_stage == "unclassified" else deny_stage
        found["rules"] = sorted(
            {r for m in emptied for s, r in reasons[m] if s == named and r is not None}
        )
        return found

    return route(case, policy, rules, left, reasons, warnings)


def route(
    case: Case,
    policy: Json,
    rules: list[Json],
    left: list[Json],
    reasons: Json,
    warnings: list[str],
) -> Json:
    """Rank what is left and say which rules had a part in it."""
    order: list[Json] = [{"minimise": "cost"}]
    governing: Json = {}
    for objective in reversed(policy.get("objectives") or []):
        if case.when(objective) == YES:
            order, governing = objective["order"], objective
    obliged = {m["id"]: obligations(case, rules, m) for m in left}
    used = {
        rule for found in reasons.values() for stage, rule in found if stage == "guard" and rule
    }
    used |= {rule for bound, _ in obliged.values() for rule in bound}
    for rule in rules:
        if rule["effect"] == "floor" and case.when(rule) != NO:
            used.add(rule["id"])
        if rule["effect"] == "permit" and case.needs_permit() and not case.expired(rule):
            used |= {rule["id"]} if case.when(rule) == YES else set()
    ranked = rank(case, sorted(left, key=lambda m: str(m["id"])), order)
    rolled: Json | None = None
    canary = (governing.get("rollout") or {}).get("model")
    if canary in [m["id"] for m in ranked]:
        inside = in_share(case, governing)
        rolled = {"objective": governing["id"], "model": canary, "inside": inside}
        # False sorts before True, and sorting is stable.
        ranked.sort(key=lambda m: (m["id"] != canary) if inside else (m["id"] == canary))
    last = ranked[0].get("retires")
    if last is not None and (day(last) - case.at).days <= 30:
        warnings = [*warnings, f"{ranked[0]['id']}:retires {last}"]
    return {
        "decision": "route",
        "model": ranked[0]["id"],
        "ranked": [
            {
                "model": m["id"],
                "expected_cost_usd": case.expected(m),
                "worst_cost_usd": case.worst(m),
                "obligations": obliged[m["id"]][1],
            }
            for m in ranked
        ],
        "excluded": excluded(reasons),
        "warnings": warnings,
        "deny_stage": None,
        "rules": sorted(used),
        "rollout": rolled,
    }


def in_share(case: Case, objective: Json) -> bool:
    """Say whether the key of this call lies in the share of the objective's rollout."""
    rollout = objective["rollout"]
    written = [("s", objective["id"].encode()), ("s", rollout["model"].encode())]
    for name in listed(rollout["key"]):
        value = case.facts[name]
        if value is ABSENT:
            return False
        if value is True or value is False:
            written.append(("b", str(value).lower().encode()))
        elif isinstance(value, int):
            sign = "-" if value < 0 else ""
            written.append(("i", (sign + f"{abs(value):x}").encode()))
        else:
            written.append(("s", value.encode()))
    digest = hashlib.sha256()
    for tag, text in written:
        digest.update(tag.encode() + bytes.fromhex(f"{len(text):016x}") + text)
    return Fraction(int(digest.hexdigest(), 16), 2**256) < number(rollout["share"])


def excluded(reasons: Json) -> list[Json]:
    """List every model that has a reason, each reason once."""
    return [
        {"model": m, "reasons": [{"stage": s, "rule": r} for s, r in dict.fromkeys(found)]}
        for m, found in reasons.items()
        if found
    ]


def denial(stage: str, reasons: Json, warnings: list[str]) -> Json:
    """Build a denial; its rules are those of the stage that denied."""
    named = "guard" if stage == "unclassified" else stage
    return {
        "decision": "deny",
        "model": None,
        "ranked": [],
        "excluded": excluded(reasons),
        "warnings": warnings,
        "deny_stage": stage,
        "rules": sorted({r for found in reasons.values() for s, r in found if s == named and r}),
    }


def guard(case: Case, rules: list[Json], catalogue: list[Json], reasons: Json) -> bool:
    """Add the guard's reasons; say whether some chat model's rest on unknowns alone."""
    unclassified = False
    for model in catalogue:
        resting: list[bool] = []  # for each reason: does it rest on something unknown?
        permits: list[int] = [NO]
        for rule in rules:
            holds, covered = case.when(rule), case.covers(rule.get("models"), model)
            out = (rule["effect"], covered != NO) == ("forbid", True)
            out = out or (rule["effect"], covered == YES) == ("require", False)
            if holds != NO and out:
                reasons[model["id"]].append(("guard", rule["id"]))
                resting.append(holds == UNKNOWN)
            if rule["effect"] == "permit" and covered == YES and not case.expired(rule):
                permits.append(holds)
        if case.needs_permit() and max(permits) != YES:
            reasons[model["id"]].append(("guard", None))
            resting.append(max(permits) == UNKNOWN)
        if "retires" in model and day(model["retires"]) <= case.at:
            reasons[model["id"]].append(("guard", None))
            resting.append(False)
        if model.get("role", "chat") == "chat" and resting and all(resting):
            unclassified = True
    return unclassified


def capable(case: Case, model: Json) -> bool:
    """Say whether the model can serve the call at all."""
    skills = case.sees(model, "capabilities")
    if model.get("role", "chat") != "chat" or model["id"] in case.down:
        return False
    if case.needs and (skills is ABSENT or not case.needs <= skills):
        return False
    output = case.max_output or 0
    window, longest = model.get("context_window"), model.get("max_output")
    fits = window is None or case.tokens + output <= window
    return fits and (longest is None or output <= longest)


def meter(case: Case, left: list[Json], reasons: Json, warnings: list[str]) -> list[Any]:
    """Add the budgets' reasons and warnings; return the floors that soft ones may fall to."""
    lowered_to: list[Any] = []
    for budget in case.budgets:
        metered = [m for m in left if case.covers(budget.get("models"), m) != NO]
        if case.when(budget) == NO or not metered:
            continue
        unit = next(key for key in budget if key.startswith("limit_"))
        spent = number(case.spent.get(budget["id"], 0))
        dropped: list[Json] = []  # models whose own cost is unknown or too high
        over: list[Json] = []
        for model in metered:
            longest = case.longest(model)
            amounts = {
                "limit_usd": case.worst(model),
                "limit_tokens": None if longest is None else number(case.tokens + longest),
                "limit_calls": number(1),
            }
            amount = amounts[unit]
            if amount is None:
                dropped.append(model)
            elif amount and spent + amount > number(budget[unit]):  # nothing exceeds nothing
                over.append(model)
        share = case.spent_share(budget)
        if share >= number(budget.get("warn_at", 0.8)) or not number(budget[unit]):
            warnings.append(f"{budget['id']}:{int(100 * share)}%")
        if budget["on_exceed"] == "deny":
            dropped += over
        elif budget["on_exceed"] == "warn":
            dropped = []
        elif over:
            dropped += over  # also inside degrade_to: a limit is a limit
            warnings.append(f"{budget['id']}:degraded")
            lowered_to += [budget["degrade_floor"]] if "degrade_floor" in budget else []
            if "degrade_to" in budget:
                dropped += [m for m in left if case.covers(budget["degrade_to"], m) != YES]
            else:
                dropped += metered
        for model in dropped:
            reasons[model["id"]].append(("budget", budget["id"]))
    return lowered_to


def floors(
    case: Case,
    rules: list[Json],
    catalogue: list[Json],
    lowered_to: list[Any],
    reasons: Json,
    warnings: list[str],
) -> None:
    """Add the floors' reasons, and a warning for each soft one that was lowered."""
    matching = [r for r in rules if r["effect"] == "floor" and case.when(r) != NO]
    lowest: dict[str, Any] = {}
    for rule in matching:
        stated = lowest[rule["id"]] = rule["set"].get("min_quality")
        if stated is not None and rule.get("strength") == "soft" and lowered_to:
            lowest[rule["id"]] = min(stated, max(lowered_to, key=number), key=number)
            warning = f"floor lowered {stated}->{lowest[rule['id']]}"
            if number(lowest[rule["id"]]) < number(stated) and warning not in warnings:
                warnings.append(warning)
    for model in catalogue:
        quality, ttft, worst = case.quality(model), case.ttft(model), case.worst(model)
        judged = case.defaults.get("unknown_quality", "exclude") == "ignore"
        for rule in matching:
            if case.covers(rule.get("models"), model) == NO:
                continue
            least, limits = lowest[rule["id"]], rule["set"]
            failed = least is not None and (quality is None or quality < number(least))
            for most, value in (("max_ttft_ms", ttft), ("max_cost_usd", worst)):
                if most in limits and (value is None or value > number(limits[most])):
                    failed = True
            if failed:
                reasons[model["id"]].append(("floor", rule["id"]))
            judged = judged or least is not None
        if quality is None and not judged:
            reasons[model["id"]].append(("floor", None))


def rank(case: Case, models: list[Json], order: list[Json]) -> list[Json]:
    """Order models, which come sorted by id, by the goals, the first goal first."""
    if not order:
        return models
    goal, rest = order[0], order[1:]
    retention = [case.sees(m, "retention_days") for m in models]
    columns = {
        "cost": [case.expected(m) for m in models],
        "ttft": [case.ttft(m) for m in models],
        "quality": [case.quality(m) for m in models],
        "retention": [None if days is ABSENT else number(days) for days in retention],
    }
    sign = 1 if "minimise" in goal else -1
    column = columns[goal.get("minimise") or goal["maximise"]]
    known = [(sign * v, m) for v, m in zip(column, models, strict=True) if v is not None]
    result: list[Json] = []
    while known:
        limit = min(value for value, _ in known) + number(goal.get("within", 0))
        result += rank(case, [m for value, m in known if value <= limit], rest)
        known = [(value, m) for value, m in known if value > limit]
    unknown = [m for value, m in zip(column, models, strict=True) if value is None]
    return result + rank(case, unknown, rest)


def obligations(case: Case, rules: list[Json], model: Json) -> tuple[set[str], Json]:
    """Return the rules that bind this candidate and what they ask for."""
    bound: set[str] = set()
    result: Json = {}
    for rule in rules:
        if rule["effect"] != "obligate" or case.when(rule) == NO:
            continue
        if case.covers(rule.get("models"), model) == NO:
            continue
        bound.add(rule["id"])
        for key, value in rule["do"].items():
            if key in STRICTEST_FIRST:
                result[key] = min(result.get(key, value), value, key=STRICTEST_FIRST[key].index)
            else:
                result[key] = sorted({*result.get(key, []), *listed(value)})
    return bound, result
