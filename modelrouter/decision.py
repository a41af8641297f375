"""A decision, and everything it says of each model: candidates, exclusions, obligations.

`Decision.excluded` is derived on demand from `removals`, so that deciding stays cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from modelrouter.labels import Label
from modelrouter.rollouts import RolloutSide
from modelrouter.values import Json, usd, usd_text

__all__ = [
    "NO_OBLIGATIONS",
    "Candidate",
    "Decision",
    "Exclusion",
    "Obligations",
    "Reason",
    "Removal",
    "RuleRef",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRef:
    """Where a clause of the policy stands.

    Attributes:
        id: Rule, budget or fact id; None where the engine itself speaks.
        file: File of the clause, or None.
        line: 1-based line of the clause, or None.
    """

    id: str | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return `id (file:line)` as far as known."""
        place = f"{self.file}:{self.line}" if self.file else ""
        return f"{self.id} ({place})" if self.id and place else self.id or place


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason why a model is not a candidate.

    Attributes:
        stage: `missing_fact:NAME`, `guard`, `capability`, `budget`, `floor`, `obligation`.
        rule: The clause, with its place in the policy.
        detail: For people.
        unclassified: True if the reason rests on unknown categories or facts alone.
    """

    stage: str
    rule: RuleRef
    detail: str
    unclassified: bool = False

    def __str__(self) -> str:
        """Return `stage: detail [file:line]`."""
        place = f" [{self.rule.file}:{self.rule.line}]" if self.rule.file else ""
        return f"{self.stage}: {self.detail}{place}"

    def as_json(self) -> dict[str, Json]:
        """Return the reason as `modelrouter decide` prints it."""
        return {
            "stage": self.stage,
            "rule": self.rule.id,
            "file": self.rule.file,
            "line": self.rule.line,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A model that is not a candidate, with all its reasons.

    Attributes:
        model: Catalogue id.
        reasons: Never empty; in the order of the stages.
    """

    model: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One reason and the set of models it removes, as a bitmask over the catalogue.

    Attributes:
        models: Bit `i` stands for the model at place `i` of the catalogue.
        reason: Why.
    """

    models: int
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligations:
    """What must be done if a candidate is used; None and () mean nothing is asked.

    Attributes:
        trace: How much content a trace may hold: `none` < `hash` < `redacted` < `content`.
        cache: `none` forbids storing and sharing an answer; `exact` allows the exact cache.
        log: `decision+hash`, `decision` or `none`.
        redact: Categories to be replaced before sending, sorted.
        approval: Roles that must approve, sorted.
    """

    trace: Literal["none", "hash", "redacted", "content"] | None = None
    cache: Literal["none", "exact"] | None = None
    log: Literal["decision+hash", "decision", "none"] | None = None
    redact: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return only what is asked, as JSON values."""
        scalars: dict[str, Json] = {"trace": self.trace, "cache": self.cache, "log": self.log}
        lists: dict[str, Json] = {"redact": [*self.redact], "approval": [*self.approval]}
        return {name: value for name, value in (scalars | lists).items() if value}


NO_OBLIGATIONS = Obligations()


class Candidate(NamedTuple):
    """A model that may serve the call. A tuple, because a decision makes many of them.

    Attributes:
        model: Catalogue id.
        expected_pico: Expected cost in pico-dollars, or None without a price.
        worst_pico: Worst-case cost in pico-dollars, or None without a price or an output limit.
        worst_tokens: Input and output tokens in the worst case, or None.
        quality: The value that floors compare, 0 to 1, or None.
        evidence: Where `quality` comes from.
        obligations: What must be done if this model is used.
    """

    model: str
    expected_pico: int | None
    worst_pico: int | None
    worst_tokens: int | None
    quality: Decimal | None
    evidence: Literal["measured", "asserted", "uncertified", "none"]
    obligations: Obligations = NO_OBLIGATIONS

    @property
    def expected_cost_usd(self) -> Decimal | None:
        """Expected cost in US dollars."""
        return usd(self.expected_pico)

    @property
    def worst_cost_usd(self) -> Decimal | None:
        """Worst-case cost in US dollars."""
        return usd(self.worst_pico)

    def __str__(self) -> str:
        """Return id, cost, quality and obligations on one line."""
        cost = self.expected_cost_usd
        parts = [
            f"{self.model}:",
            "unpriced" if cost is None else f"about {usd_text(cost)} USD",
            "" if self.worst_cost_usd is None else f"(at most {usd_text(self.worst_cost_usd)})",
            f"quality {self.quality} {self.evidence}" if self.quality is not None else "",
        ]
        asked = ", ".join(f"{name}={value}" for name, value in self.obligations.as_json().items())
        return " ".join(part for part in (*parts, f"[{asked}]" if asked else "") if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says of one call.

    Attributes:
        outcome: `route` or `deny`.
        candidates: The models that may serve the call, best first; empty on a denial.
        removals: Every reason with the models it removed; `excluded` is the readable form.
        models: Ids of the whole catalogue, in its order.
        label: The closed label the decision was taken on.
        task: The task the decision was taken for.
        warnings: Budgets near their limit, lowered floors, and the retirement of the best model.
        deny_stage: The stage that emptied the set, or None.
        rules: Ids of the clauses that shaped a route, or that emptied the set of a denial.
        unclassified: On `unclassified` denials: what is unknown and why.
        objective: Id of the objective that ordered the candidates, or None.
        runtime: Place of the runtime section that governs the call, or None for the defaults.
        degraded: Ids of the budgets that restricted the call.
        advisory: Ids of the advisory rules that would have applied.
        rollout: Which side of the objective's rollout the call is on, or None without one.
        policy: Name of the policy.
        policy_digest: SHA-256 of the bundle, in hexadecimal.
    """

    outcome: Literal["route", "deny"]
    candidates: tuple[Candidate, ...]
    removals: tuple[Removal, ...]
    models: tuple[str, ...]
    label: Label
    task: str
    warnings: tuple[str, ...]
    deny_stage: str | None
    rules: tuple[str, ...]
    unclassified: tuple[str, ...]
    objective: str | None
    runtime: int | None
    degraded: tuple[str, ...]
    advisory: tuple[str, ...]
    rollout: RolloutSide | None
    policy: str
    policy_digest: str

    @property
    def allowed(self) -> bool:
        """Whether any model may serve the call."""
        return self.outcome == "route"

    @property
    def model(self) -> str | None:
        """The best candidate's id, or None on a denial."""
        return self.candidates[0].model if self.candidates else None

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """Every model that is not a candidate, with all its reasons, in catalogue order."""
        chosen = {candidate.model for candidate in self.candidates}
        found: list[Exclusion] = []
        for place, model in enumerate(self.models):
            bit = 1 << place
            reasons = tuple(part.reason for part in self.removals if part.models & bit)
            if model not in chosen:
                found.append(Exclusion(model=model, reasons=reasons))
        return tuple(found)

    def as_json(self) -> dict[str, Json]:
        """Return the decision as `modelrouter decide` prints it."""
        return {
            "decision": self.outcome,
            "model": self.model,
            "ranked": [
                {
                    "model": part.model,
                    "expected_cost_usd": as_number(part.expected_cost_usd),
                    "worst_cost_usd": as_number(part.worst_cost_usd),
                    "obligations": part.obligations.as_json(),
                    "quality": as_number(part.quality),
                    "evidence": part.evidence,
                }
                for part in self.candidates
            ],
            "excluded": [
                {"model": part.model, "reasons": [reason.as_json() for reason in part.reasons]}
                for part in self.excluded
            ],
            "warnings": [*self.warnings],
            "deny_stage": self.deny_stage,
            "rules": [*self.rules],
            "unclassified": [*self.unclassified],
            "advisory": [*self.advisory],
            "label": str(self.label),
            "task": self.task,
            "objective": self.objective,
            **({} if self.rollout is None else {"rollout": self.rollout.as_json()}),
            "policy_digest": self.policy_digest,
        }

    def explain(self) -> str:
        """Return the decision for people: what was chosen, and why nothing else was."""
        head = f"{self.policy}: task `{self.task}`, label {self.label}"
        lines = [head, f"decision: {self.outcome}"]
        if self.deny_stage:
            clauses = f" by {', '.join(self.rules)}" if self.rules else ""
            lines[-1] += f" at {self.deny_stage}{clauses}"
        for number, part in enumerate(self.candidates, start=1):
            lines.append(f"  {number}. {part}")
        lines += [f"  unclassified: {text}" for text in self.unclassified]
        lines += [f"rollout {self.rollout}"] if self.rollout else []
        if self.excluded:
            lines.append("not candidates:")
        for excluded in self.excluded:
            lines.append(f"  {excluded.model}")
            lines += [f"    {reason}" for reason in excluded.reasons]
        lines += [f"warning: {text}" for text in self.warnings]
        lines += [f"advisory: rule `{name}` would apply" for name in self.advisory]
        return "\n".join(lines)


def as_number(value: Decimal | None) -> float | None:
    """Return a decimal as the JSON number closest to it."""
    return None if value is None else float(value)
