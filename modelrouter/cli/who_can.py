r"""Say which models may receive a call, or what one model may receive, by the guard.

What is not said of the call is left open, so the answer holds for every call that fits. A model
may receive it always, never, or where the rest of the call fits a region that is printed.

  modelrouter who-can policies/hospital --category phi --fact purpose=care
  modelrouter who-can policies/hospital --model cloud-eu/frontier

"May receive" is what the guard says: forbids, requires and permits. Other things that would keep
a model from serving the call stand under `besides`, as far as the call is told.

exit codes:
  0  answered
  2  a name that the policy does not declare, or the policy does not load
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from modelrouter.cli.common import FINE, USAGE, add_at, bundle_or_none, out, out_json, today
from modelrouter.cli.explain import complain, fact_value, pairs
from modelrouter.cli.requests import BadRequest
from modelrouter.comparison.receiving import Answer, Obstacle, Outlined, who_can
from modelrouter.engine.compiled import compile_bundle
from modelrouter.engine.subject import check_fact
from modelrouter.errors import CallError
from modelrouter.policy.findings import did_you_mean, shortened

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.values import Json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `who-can`."""
    parser.add_argument("policy", metavar="POLICY", help="a policy folder or a policy file")
    parser.add_argument("--model", metavar="ID", help="the only model to ask about")
    call = parser.add_argument_group("the call; what is not said is left open")
    call.add_argument("--level", help="the level it is declared with")
    call.add_argument("--category", action="append", default=[], help="a category it carries")
    call.add_argument("--unlabelled", action="store_true", help="nobody labelled it")
    call.add_argument("--task", help="what it is for")
    call.add_argument("--need", action="append", default=[], help="a capability it needs")
    call.add_argument(
        "--fact", action="append", default=[], metavar="NAME=VALUE", help="a fact of the call"
    )
    add_at(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Answer one question."""
    day = today(arguments)
    bundle = bundle_or_none(arguments.policy, at=day)
    if bundle is None:
        return USAGE
    try:
        call = outlined(arguments, bundle, day)
    except BadRequest as error:
        complain(error)
        return USAGE
    answers = [*who_can(bundle, call, at=day, model=arguments.model)]
    if arguments.json:
        out_json(as_json(bundle, call, answers, day))
        return FINE
    for line in lines_of(bundle, call, answers, day):
        out(line)
    return FINE


def outlined(arguments: argparse.Namespace, bundle: Bundle, day: datetime.date) -> Outlined:
    """Return what the flags say of the call.

    Raises:
        BadRequest: They name something that the policy does not declare.
    """
    words = bundle.words
    if arguments.unlabelled and (arguments.level is not None or arguments.category):
        raise BadRequest(
            "`--unlabelled` goes with neither `--level` nor `--category`",
            hint="a call that carries a category is labelled",
        )
    named: tuple[tuple[str, Sequence[str], Collection[str]], ...] = (
        ("model", stated(arguments.model), words.models),
        ("level", stated(arguments.level), words.levels),
        ("category", arguments.category, words.categories),
        ("task", stated(arguments.task), words.tasks),
        ("capability", arguments.need, words.capabilities),
    )
    for noun, names, known in named:
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                raise BadRequest(f"unknown {noun} `{shortened(name)}`", hint=hint)
    facts: dict[str, str | bool | int] = {}
    engine = compile_bundle(bundle, day)
    for name, text in pairs("--fact", arguments.fact):
        if name not in bundle.policy.facts:
            hint = did_you_mean(name, bundle.policy.facts)
            raise BadRequest(f"unknown fact `{shortened(name)}`", hint=hint)
        facts[name] = fact_value(name, text, bundle.policy.facts)
        if bundle.policy.facts[name].source == "classifier":
            continue  # nobody can state it, but a call may have it
        try:
            check_fact(name, facts[name], engine)
        except CallError as error:
            raise BadRequest(str(error), hint=error.hint) from None
    return Outlined(
        level=arguments.level,
        categories=tuple(dict.fromkeys(arguments.category)),
        unlabelled=arguments.unlabelled,
        task=arguments.task,
        needs=tuple(dict.fromkeys(arguments.need)),
        facts=facts,
    )


def stated(value: str | None) -> Sequence[str]:
    """Return an optional name as a list."""
    return [] if value is None else [value]


def told(call: Outlined) -> dict[str, Json]:
    """Return what is said of a call, as JSON."""
    found: dict[str, Json] = {
        "level": call.level,
        "categories": [*call.categories],
        "unlabelled": call.unlabelled,
        "task": call.task,
        "needs": [*call.needs],
        "facts": dict(call.facts),
    }
    return {key: value for key, value in found.items() if value not in (None, [], {}, False)}


def as_json(
    bundle: Bundle, call: Outlined, answers: Sequence[Answer], day: datetime.date
) -> dict[str, Json]:
    """Return the answers as `--json` prints them."""
    models: list[Json] = [
        {
            "model": part.model,
            "may_receive": part.verdict,
            "where": [*part.regions],
            "more": part.more,
            "forbidden_by": [
                {
                    "rule": cause.rule.id,
                    "file": cause.rule.file,
                    "line": cause.rule.line,
                    "detail": cause.detail,
                    "whole": cause.whole,
                }
                for cause in part.obstacles
            ],
            "besides": [*part.besides],
        }
        for part in answers
    ]
    return {
        "policy": bundle.name,
        "policy_digest": bundle.digest,
        "at": day.isoformat(),
        "call": told(call),
        "models": models,
    }


def lines_of(
    bundle: Bundle, call: Outlined, answers: Sequence[Answer], day: datetime.date
) -> Iterator[str]:
    """Yield the answers for people."""
    yield f"{bundle.name}, by the guard, on {day.isoformat()}"
    yield f"the call: {call_text(call)}"
    for part in answers:
        yield ""
        yield f"{part.model}: {VERDICTS[part.verdict]}"
        yield from (f"  {text}" for text in part.regions)
        if part.more:
            yield f"  and {part.more} smaller regions"
        if part.verdict == "sometimes":
            names = (cause.rule.id or cause.detail for cause in part.obstacles)
            yield f"  elsewhere forbidden by: {', '.join(names)}"
        else:
            yield from (f"  - {forbidden_text(cause)}" for cause in part.obstacles)
        yield from (f"  besides: {text}" for text in part.besides)


def forbidden_text(cause: Obstacle) -> str:
    """Return what forbids a call, with its place."""
    place = f" [{cause.rule.file}:{cause.rule.line}]" if cause.rule.file else ""
    return f"{cause.detail}{place}" if cause.whole else f"in part: {cause.detail}{place}"


VERDICTS = {
    "always": "may receive it",
    "sometimes": "may receive it where",
    "never": "may not receive it",
    "unknown": "not known: the question needs too many regions; say more of the call",
}


def call_text(call: Outlined) -> str:
    """Return what is said of a call, for people."""
    parts = [f"declared level {call.level}"] if call.level is not None else []
    parts += ["unlabelled"] if call.unlabelled else []
    parts += [f"with {name}" for name in call.categories]
    parts += [f"task {call.task}"] if call.task is not None else []
    parts += [f"fact {name}={plain(value)}" for name, value in call.facts.items()]
    parts += [f"{name} needed" for name in call.needs]
    return "; ".join(parts) or "any"


def plain(value: str | bool | int) -> str:  # noqa: FBT001 - a fact's value
    """Return a fact's value as `--fact` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
