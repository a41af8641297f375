"""`modelrouter explain`: a decision for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import POLICIES, run

HOSPITAL = str(POLICIES / "hospital")
STARTUP = str(POLICIES / "startup")
QUICKSTART = str(POLICIES / "quickstart")
FLAGS = (
    "--category", "phi", "--task", "clinical_summary",
    "--fact", "purpose=care", "--fact", "facility=north",
)  # fmt: skip
REQUEST = {
    "categories": ["phi"],
    "task": "clinical_summary",
    "facts": {"purpose": "care", "facility": "north"},
}


def test_flags_say_the_same_as_an_object_and_as_a_line() -> None:
    by_flags = run("explain", HOSPITAL, *FLAGS)
    assert by_flags.code == 0
    assert "ward/medium-70b" in by_flags.out
    assert by_flags.out == run("explain", HOSPITAL, json.dumps(REQUEST)).out
    assert by_flags.out == run("explain", HOSPITAL, stdin=json.dumps(REQUEST)).out


def test_a_denial_is_explained_and_fine() -> None:
    done = run("explain", QUICKSTART, "--level", "confidential", "--tokens", "4000")
    assert done.code == 0
    assert "decision: deny at capability" in done.out
    assert "vendor/frontier" in done.out


def test_json_is_what_decide_prints() -> None:
    answered = run("decide", HOSPITAL, stdin=json.dumps(REQUEST)).out
    assert run("explain", HOSPITAL, "--json", json.dumps(REQUEST)).out == answered
    assert run("explain", HOSPITAL, "--json", stdin=json.dumps(REQUEST)).out == answered


def test_flags_add_to_an_object_and_win_over_it() -> None:
    stated = json.dumps({"level": "public", "tokens": 300, "given": {"budgets": {"month": 1}}})
    flags = ("--max-output", "200", "--level", "internal", "--down", "home/small")
    joined = run("explain", QUICKSTART, stated, *flags, "--json").json
    whole = {
        "level": "internal",
        "tokens": 300,
        "max_output": 200,
        "given": {"budgets": {"month": 1}, "health": {"home/small": "down"}},
    }
    assert joined == run("decide", QUICKSTART, stdin=json.dumps(whole)).lines[0]
    assert joined["model"] == "vendor/frontier"


def test_spent_is_in_the_unit_of_the_budget() -> None:
    call = ("--level", "public", "--tokens", "300", "--max-output", "200", "--json")
    done = run("explain", QUICKSTART, *call, "--spent", "month=200.0")
    assert [part["model"] for part in done.json["ranked"]] == ["home/small"]


def test_a_fact_is_read_by_its_declared_type(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "policy.yaml").write_text(
        "apiVersion: modelrouter/v1\nkind: Policy\n"
        "models: [{id: home/one, weights: open, hosting: self_hosted, quality: 0.5}]\n"
        "facts:\n"
        "  urgent: {type: bool, source: caller}\n"
        "  age: {type: int, source: caller}\n"
        "  ward: {type: string, source: caller}\n"
    )
    call = ("explain", str(folder), "--level", "public")
    good = ("--fact", "urgent=true", "--fact", "age=-7", "--fact", "ward=a=b")
    assert run(*call, *good).code == 0
    for wrong in ("urgent=yes", "age=7.5", "age=", "ward", "=x", "wrad=north"):
        done = run(*call, "--fact", wrong)
        assert done.code == 2, wrong
        assert done.out == ""


def test_each_bad_line_is_named_and_the_others_are_explained() -> None:
    lines = '{"level": "public"}\nnope\n{"level": "internal"}\n'
    done = run("explain", QUICKSTART, stdin=lines)
    assert done.code == 2
    assert done.out.count("decision: route") == 2
    assert "line 2: not JSON" in done.err


@pytest.mark.parametrize(
    "argv",
    [
        ("{",),
        ('{"levl": "public"}',),
        ("--task", "suport"),
        ("--spent", "api-month=much"),
        ("--spent", "api-month=NaN"),
        ("--spent", "api-moth=1"),
        ("--down", "gpu/9b"),
        ("--tokens", "-5"),
        ("--tokens", "many"),
        ("--at", "tomorrow"),
    ],
)
def test_a_bad_request_is_wrong_usage(argv: tuple[str, ...]) -> None:
    done = run("explain", STARTUP, *argv)
    assert done.code == 2
    assert done.out == ""
    assert done.err


def test_a_policy_that_does_not_load_is_not_explained() -> None:
    assert run("explain", "no-such-policy", "{}").code == 2


def policy(folder: Path, name: str, **sections: object) -> str:
    """Write a policy whose model retires, and return its folder."""
    document: dict[str, object] = {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": name},
        "models": [
            {"id": "home/one", "weights": "open", "hosting": "self_hosted", "quality": 0.5,
             "retires": "2026-12-24"},
            {"id": "home/two", "weights": "open", "hosting": "self_hosted", "quality": 0.5},
        ],
        **sections,
    }  # fmt: skip
    place = folder / name
    place.mkdir()
    (place / "policy.yaml").write_text(json.dumps(document), encoding="utf-8")
    return str(place)


@pytest.mark.parametrize(
    ("at", "line"),
    [
        ("2026-11-23", ""),
        ("2026-11-24", "warning: home/one:retires 2026-12-24\n"),
        ("2026-12-23", "warning: home/one:retires 2026-12-24\n"),
        ("2026-12-24", ""),
    ],
)
def test_a_retirement_is_announced_for_thirty_days(tmp_path: Path, at: str, line: str) -> None:
    place = policy(tmp_path, "now")
    shown = run("explain", place, "--level", "public", "--at", at).out
    assert "".join(part for part in shown.splitlines(keepends=True) if "retires" in part) == line
    assert (": retired on 2026-12-24" in shown) == (at == "2026-12-24")
    stated = json.dumps({"level": "public", "given": {"at": at}})
    assert run("explain", place, stated).out == shown


def test_the_side_of_a_rollout_is_shown(tmp_path: Path) -> None:
    rollout = {"model": "home/two", "share": 1, "key": ["tenant"]}
    place = policy(
        tmp_path,
        "now",
        facts={"tenant": {"type": "string", "source": "auth"}},
        objectives=[{"id": "canary", "order": [{"minimise": "cost"}], "rollout": rollout}],
    )
    call = ("--level", "public", "--fact", "tenant=acme")
    shown = run("explain", place, *call).out
    assert "rollout `canary`: the call is inside the share, `home/two` comes first\n" in shown
    assert "acme" not in shown
    assert run("explain", place, *call, "--json").json["rollout"]["inside"] is True
    assert "outside the share" in run("explain", place, "--level", "public").out


def test_a_shadow_that_differs_is_one_line(tmp_path: Path) -> None:
    deny = {"id": "shut", "effect": "forbid", "models": "all", "when": {"level": "internal"}}
    policy(tmp_path, "next", rules=[deny])
    place = policy(tmp_path, "now", shadow="../next")
    same = run("explain", place, "--level", "public").out
    assert "shadow" not in same
    shown = run("explain", place, "--level", "internal").out
    assert shown.splitlines()[-1] == "shadow `next` would deny at guard by shut"
    lines = '{"level": "internal"}\n{"level": "public"}\n{"level": "internal"}\n'
    assert run("explain", place, stdin=lines).out.count("shadow `next` would deny") == 2
    answered = run("explain", place, "--level", "internal", "--json")
    assert "shadow" not in answered.json
    assert answered.out == run("decide", place, stdin='{"level": "internal"}\n').out
