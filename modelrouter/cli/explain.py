r"""Say which models may serve a call and why no others: `decide` for people.

The call is a JSON object, or flags, or both (a flag wins over the object); without either,
requests are read from standard input, one JSON object a line.

  modelrouter explain policies/hospital --category phi --task clinical_summary \
      --fact purpose=care --fact facility=north

exit codes:
  0  explained; a denial is explained too
  2  a request cannot be decided on, or the policy does not load
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from modelrouter.cli.common import (
    FINE,
    USAGE,
    add_at,
    bundle_or_none,
    note,
    out,
    out_json,
    today,
)
from modelrouter.cli.decide import waiting_note
from modelrouter.cli.requests import BadRequest, Desk, numbered_lines, parse_json, validated
from modelrouter.policy.document import Fact
from modelrouter.policy.shapes import is_list, is_mapping
from modelrouter.policy.suite import AskedRequest

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `explain`."""
    parser.add_argument("policy", metavar="POLICY", help="a policy folder or a policy file")
    parser.add_argument("request", metavar="REQUEST", nargs="?", help="the call as a JSON object")
    call = parser.add_argument_group("the call")
    call.add_argument("--level", help="its sensitivity level")
    call.add_argument("--category", action="append", default=[], help="a category it carries")
    call.add_argument("--task", help="what it is for")
    call.add_argument("--need", action="append", default=[], help="a capability it needs")
    call.add_argument("--tokens", type=int, metavar="N", help="input tokens; 1000 by default")
    call.add_argument(
        "--max-output", type=int, metavar="N", help="output tokens at most; 500 by default"
    )
    call.add_argument(
        "--fact", action="append", default=[], metavar="NAME=VALUE", help="a fact of the call"
    )
    world = parser.add_argument_group("the world it comes into")
    world.add_argument(
        "--spent",
        action="append",
        default=[],
        metavar="BUDGET=AMOUNT",
        help="spent so far, in the budget's own unit",
    )
    world.add_argument(
        "--down", action="append", default=[], metavar="MODEL", help="a model that does not answer"
    )
    add_at(parser)
    parser.add_argument("--json", action="store_true", help="print what `decide` prints")


def run(arguments: argparse.Namespace) -> int:
    """Explain one call, or every line of standard input."""
    bundle = bundle_or_none(arguments.policy, at=today(arguments))
    if bundle is None:
        return USAGE
    desk = Desk(bundle=bundle, today=today(arguments))
    try:
        flags = stated_by_flags(arguments, bundle.policy.facts)
        if arguments.request is None and not flags:
            return explain_lines(desk, as_json=arguments.json)
        stated = {} if arguments.request is None else parse_json(arguments.request)
        show(desk, validated(joined(stated, flags)), as_json=arguments.json)
    except BadRequest as error:
        complain(error)
        return USAGE
    return FINE


def explain_lines(desk: Desk, *, as_json: bool) -> int:
    """Explain every line of standard input."""
    code, first = FINE, True
    waiting_note()
    for number, line in numbered_lines(sys.stdout.flush):
        try:
            asked = validated(parse_json(line))
            show(desk, asked, as_json=as_json, apart=not first and not as_json)
            first = False
        except BadRequest as error:
            complain(error, where=f"line {number}: ")
            code = USAGE
    return code


def show(desk: Desk, asked: AskedRequest, *, as_json: bool, apart: bool = False) -> None:
    """Print the decision on a request, `apart` from what was printed before."""
    decision = desk.decide(asked)
    if as_json:
        out_json(decision.as_json())
        return
    if apart:
        out("")
    out(decision.explain())
    difference = desk.beside(asked, decision)
    if difference is not None:
        out(str(difference))


def complain(error: BadRequest, *, where: str = "") -> None:
    """Say why a request cannot be decided on."""
    note(f"{where}{error}")
    if error.hint:
        note(f"    hint: {error.hint}")


def stated_by_flags(arguments: argparse.Namespace, facts: Mapping[str, Fact]) -> dict[str, object]:
    """Return what the flags say of the call, as a request states it."""
    found: dict[str, object] = {
        "level": arguments.level,
        "categories": [*arguments.category],
        "task": arguments.task,
        "needs": [*arguments.need],
        "tokens": arguments.tokens,
        "max_output": arguments.max_output,
        "facts": {
            name: fact_value(name, text, facts) for name, text in pairs("--fact", arguments.fact)
        },
    }
    given: dict[str, object] = {
        "budgets": {name: amount(name, text) for name, text in pairs("--spent", arguments.spent)},
        "health": dict.fromkeys(arguments.down, "down"),
    }
    given = {key: value for key, value in given.items() if value}
    stated = {key: value for key, value in found.items() if value not in (None, [], {})}
    return stated | ({"given": given} if given else {})


def pairs(flag: str, texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yield name and value of each `NAME=VALUE`."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadRequest(f"`{flag}` takes NAME=VALUE")
        yield name, value


def fact_value(name: str, text: str, facts: Mapping[str, Fact]) -> str | bool | int:
    """Return a fact's value by its declared type; an unknown fact is refused later."""
    kind = facts[name].type if name in facts else "string"
    if kind == "bool":
        if text not in {"true", "false"}:
            raise BadRequest(f"fact `{name}` is true or false")
        return text == "true"
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise BadRequest(f"fact `{name}` is a whole number") from None
    return text


def amount(name: str, text: str) -> Decimal:
    """Return what was spent of a budget."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadRequest(f"what was spent of budget `{name}` is not a number") from None


def joined(stated: dict[str, object], flags: dict[str, object]) -> dict[str, object]:
    """Return the request of an object and flags: lists add up, otherwise the flag wins."""
    found = dict(stated)
    for key, value in flags.items():
        other = found.get(key)
        if is_mapping(other) and is_mapping(value):
            found[key] = joined(
                {str(name): part for name, part in other.items()},
                {str(name): part for name, part in value.items()},
            )
        elif is_list(other) and is_list(value):
            found[key] = [*other, *value]
        else:
            found[key] = value
    return found
