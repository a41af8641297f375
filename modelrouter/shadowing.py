"""A second policy decided beside every call: what it would have done otherwise is recorded.

It never affects a call. It sees the same request, facts and labels, the same health and
handlers, and of budgets what the real ones with its ids and units have spent.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelrouter.decide import Snapshot, decide
from modelrouter.decision import NO_OBLIGATIONS, Decision, Obligations
from modelrouter.engine.clauses import Engine
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.subject import check_label, unknown_name
from modelrouter.errors import CallError, ConfigurationError
from modelrouter.values import Json, Request

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle

__all__ = ["Shadow", "ShadowDifference", "told_by"]

DAYS_KEPT = 4
VALUE_OF_FACT = "unknown value of fact "


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowDifference:
    """What a shadow policy would have done otherwise.

    Attributes:
        kind: What differs first: the outcome, the best model, or its obligations; `error` if
            the shadow came to no decision.
        outcome: `route`, `deny`, or None with an error.
        model: The shadow's best model, or None.
        deny_stage: The stage of the shadow's denial, or None.
        rules: Ids of the shadow's clauses that shaped its decision.
        obligations: What the shadow asks for if its best model is used.
        error: A name the shadow does not declare, or the type of what went wrong, or None.
        policy: Name of the shadow policy.
        policy_digest: Its SHA-256, in hexadecimal.
    """

    kind: Literal["outcome", "model", "obligations", "error"]
    outcome: Literal["route", "deny"] | None = None
    model: str | None = None
    deny_stage: str | None = None
    rules: tuple[str, ...] = ()
    obligations: Obligations = NO_OBLIGATIONS
    error: str | None = None
    policy: str
    policy_digest: str

    def __str__(self) -> str:
        """Return what the shadow would have done."""
        if self.outcome is None:
            return f"shadow `{self.policy}` cannot decide: {self.error}"
        by = f" by {', '.join(self.rules)}" if self.rules else ""
        if self.outcome == "deny":
            return f"shadow `{self.policy}` would deny at {self.deny_stage}{by}"
        asked = ", ".join(f"{name}={part}" for name, part in self.obligations.as_json().items())
        what = f"`{self.model}` [{asked}]" if asked else f"`{self.model}`"
        return f"shadow `{self.policy}` would choose {what}{by}"

    def as_json(self) -> dict[str, Json]:
        """Return the difference as JSON values."""
        return {
            "kind": self.kind,
            "decision": self.outcome,
            "model": self.model,
            "deny_stage": self.deny_stage,
            "rules": [*self.rules],
            "obligations": self.obligations.as_json(),
            "error": self.error,
            "policy": self.policy,
            "policy_digest": self.policy_digest,
        }


class Shadow:
    """Decides calls by the shadow policy, for any number of threads at once.

    Args:
        bundle: The shadow policy; None takes the one that the real policy names, if any.

    Raises:
        ConfigurationError: `bundle` is no loaded policy.
    """

    __slots__ = ("bundle", "engines")

    def __init__(self, bundle: Bundle | None = None) -> None:
        if bundle is not None and not hasattr(bundle, "digest"):
            raise ConfigurationError(
                f"`shadow` is a {type(bundle).__name__}",
                hint="pass what `modelrouter.loader.load(path)` returns",
            )
        self.bundle: Bundle | None = bundle
        self.engines: Mapping[tuple[str, datetime.date], Engine] = {}

    def beside(
        self, request: Request, snapshot: Snapshot, decision: Decision
    ) -> ShadowDifference | None:
        """Return what the shadow would have done otherwise, or None. Never raises.

        Args:
            request: The call.
            snapshot: What the real decision looked at.
            decision: The real decision.
        """
        bundle = snapshot.engine.bundle.shadow if self.bundle is None else self.bundle
        if bundle is None:
            return None
        try:
            engine = self.engine(bundle, snapshot.engine.at)
            return difference(decision, decided(request, snapshot, engine))
        except CallError as error:
            said = told_by(error)
        except Exception as error:  # noqa: BLE001 - a shadow must not cost the call anything
            said = type(error).__name__
        return ShadowDifference(
            kind="error", error=said, policy=bundle.name, policy_digest=bundle.digest
        )

    def engine(self, bundle: Bundle, day: datetime.date) -> Engine:
        """Return the shadow policy compiled for a day."""
        key = (bundle.digest, day)
        found = self.engines.get(key)
        if found is None:
            found = compile_bundle(bundle, day)
            kept = [*self.engines.items()][1 - DAYS_KEPT :]
            # A new mapping: another thread may be reading the old one.
            self.engines = {**dict(kept), key: found}
        return found


def decided(request: Request, snapshot: Snapshot, engine: Engine) -> Decision:
    """Return the shadow's decision.

    Raises:
        CallError: The call names something the shadow does not declare.
    """
    words = engine.bundle.words
    for label in request.evidence:
        check_label(label, engine.scheme)
    unknown = (request.limits.models or frozenset()) - words.models
    if unknown:
        raise unknown_name("model", "model", min(unknown), words.models)
    units = {clause.budget.id: clause.unit for clause in snapshot.engine.meters}
    spent = {
        clause.budget.id: snapshot.spent[clause.budget.id]
        for clause in engine.meters
        if units.get(clause.budget.id) == clause.unit and clause.budget.id in snapshot.spent
    }
    seen = Snapshot(
        engine=engine,
        spent=spent,
        down=snapshot.down,
        unfulfillable=snapshot.unfulfillable,
    )
    return decide(request, seen)


def difference(real: Decision, shadow: Decision) -> ShadowDifference | None:
    """Return how the shadow's decision differs where it would be noticed, or None."""
    asked = shadow.candidates[0].obligations if shadow.candidates else NO_OBLIGATIONS
    kind: Literal["outcome", "model", "obligations"]
    if shadow.outcome != real.outcome:
        kind = "outcome"
    elif shadow.model != real.model:
        kind = "model"
    elif real.candidates and asked != real.candidates[0].obligations:
        kind = "obligations"
    else:
        return None
    return ShadowDifference(
        kind=kind,
        outcome=shadow.outcome,
        model=shadow.model,
        deny_stage=shadow.deny_stage,
        rules=shadow.rules,
        obligations=asked,
        policy=shadow.policy,
        policy_digest=shadow.policy_digest,
    )


def told_by(error: CallError) -> str:
    """Return what an error says, without the value of a fact: that is not ours to repeat."""
    said = str(error).removeprefix(f"`{error.argument}`: ")
    before, _, rest = said.partition("`")
    return f"{before}`{rest.partition('`')[0]}`" if before == VALUE_OF_FACT else said
