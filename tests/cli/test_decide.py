"""`modelrouter decide`: one JSON decision for each JSON request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import POLICIES, run

HOSPITAL = str(POLICIES / "hospital")
STARTUP = str(POLICIES / "startup")
QUICKSTART = str(POLICIES / "quickstart")
CARE = {"purpose": "care", "facility": "north"}


def test_a_decision_holds_what_the_format_promises() -> None:
    request = {"categories": ["phi"], "task": "clinical_summary", "facts": CARE}
    done = run("decide", HOSPITAL, stdin=json.dumps(request))
    assert done.code == 0
    (decision,) = done.lines
    promised = {"decision", "model", "ranked", "excluded", "warnings", "deny_stage", "rules"}
    assert promised | {"policy_digest"} <= decision.keys()
    assert decision["decision"] == "route"
    assert decision["model"] == "ward/medium-70b"
    ranked = decision["ranked"][0]
    assert {"model", "expected_cost_usd", "worst_cost_usd", "obligations"} <= ranked.keys()
    assert ranked["obligations"]["trace"] == "none"
    reason = decision["excluded"][-1]["reasons"][0]
    assert reason.keys() == {"stage", "rule", "file", "line", "detail"}


def test_tokens_and_output_have_the_defaults_of_tests() -> None:
    explicit = {"level": "public", "tokens": 1000, "max_output": 500}
    done = run("decide", QUICKSTART, stdin='{"level": "public"}\n' + json.dumps(explicit))
    first, second = done.lines
    assert first == second


def test_a_denial_is_no_error() -> None:
    done = run("decide", HOSPITAL, stdin='{"level": "public", "task": "admin_chat"}')
    assert done.code == 0
    assert done.lines[0]["decision"] == "deny"
    assert done.lines[0]["deny_stage"] == "missing_fact:purpose"


def test_given_is_the_world_a_request_comes_into() -> None:
    request = {"level": "public", "tokens": 300, "max_output": 200}
    spent = request | {"given": {"budgets": {"month": 200}}}
    down = request | {"given": {"health": {"home/small": "down"}}}
    lines = "\n".join(json.dumps(part) for part in (request, spent, down))
    models = [
        [part["model"] for part in line["ranked"]]
        for line in run("decide", QUICKSTART, stdin=lines).lines
    ]
    assert models == [["home/small", "vendor/frontier"], ["home/small"], ["vendor/frontier"]]


def test_the_day_is_the_requests_own_or_that_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        "apiVersion: modelrouter/v1\nkind: Policy\n"
        "models: [{id: home/one, weights: open, hosting: self_hosted, quality: 0.5,\n"
        '          retires: "2027-01-01"}]\n'
    )
    late = '{"level": "public", "given": {"at": "2027-01-01"}}'
    early = '{"level": "public", "given": {"at": "2026-12-31"}}'
    lines = f'{{"level": "public"}}\n{late}\n{early}'
    done = run("decide", str(tmp_path), "--at", "2027-06-01", stdin=lines)
    assert [line["decision"] for line in done.lines] == ["deny", "deny", "route"]
    done = run("decide", str(tmp_path), "--at", "2026-06-01", stdin=lines)
    assert [line["decision"] for line in done.lines] == ["route", "deny", "route"]


def test_many_days_do_not_pile_up() -> None:
    days = [f"20{year:02}-01-{day:02}" for year in range(30, 40) for day in range(1, 8)]
    lines = "\n".join(json.dumps({"level": "public", "given": {"at": day}}) for day in days)
    assert len(run("decide", QUICKSTART, stdin=lines).lines) == 70


BAD = [
    (b"nope", "not JSON"),
    (b"{", "not JSON"),
    (b'{"level": "public"} {}', "not JSON"),
    (b"[1]", "not an object"),
    (b"null", "not an object"),
    (b'"text"', "not an object"),
    (b'{"tokens": NaN}', "not JSON: NaN"),
    (b'{"tokens": -Infinity}', "not JSON: -Infinity"),
    (b'{"tokens": 1e999}', "a number is too large"),
    (b'{"tokens": ' + b"9" * 5000 + b"}", "a number is too long"),
    (b'{"level": "public", "level": "public"}', "duplicate key `level`"),
    (b'{"facts": {"plan": "pro", "plan": "pro"}}', "duplicate key `plan`"),
    (b'{"level": "\xff"}', "not UTF-8"),
    (b'{"level": "\\ud800"}', "a lone surrogate"),
    (b"[" * 100_000, "nested too deep"),
    (b'{"level": "' + b"x" * (1 << 20) + b'"}', "longer than 1 MiB"),
    (b'{"=": "named"}', "unknown key `=`"),
    (b'{"levl": "public"}', "unknown key `levl` (did you mean `level`?)"),
    (b'{"given": {"helth": {}}}', "`given`: unknown key `helth` (did you mean `health`?)"),
    (b'{"tokens": "5"}', "`tokens`: input should be a valid integer"),
    (b'{"tokens": -1}', "`tokens`: input should be greater than or equal to 0"),
    (b'{"tokens": true}', "`tokens`: input should be a valid integer"),
    (b'{"max_output": 0}', "`max_output`: input should be greater than or equal to 1"),
    (b'{"facts": {"plan": null}}', "`facts.plan`"),
    (b'{"facts": {"plan": 1.5}}', "`facts.plan`: input should be text, true, false"),
    (b'{"facts": []}', "`facts`: input should be a mapping"),
    (b'{"given": {"at": "soon"}}', "`given.at`: input should be a date"),
    (b'{"given": {"health": {"gpu/8b": "ill"}}}', "input should be 'up' or 'down'"),
    (b'{"level": "confidental"}', "unknown level `confidental`; did you mean `confidential`?"),
    (b'{"categories": ["pi"]}', "unknown level or category `pi`; did you mean `pii`?"),
    (b'{"task": "suport"}', "unknown task `suport`; did you mean `support`?"),
    (b'{"needs": ["visoin"]}', "unknown capability `visoin`; did you mean `vision`?"),
    (b'{"facts": {"paln": "pro"}}', "unknown fact `paln`; did you mean `plan`?"),
    (b'{"facts": {"plan": "por"}}', "unknown value of fact `plan` `por`; did you mean `pro`?"),
    (b'{"facts": {"plan": true}}', "fact `plan` is of type enum, not bool"),
    (b'{"given": {"budgets": {"api-moth": 1}}}', "`given`: unknown budget `api-moth`; did you"),
    (b'{"given": {"health": {"gpu/9b": "down"}}}', "`given`: unknown model `gpu/9b`; did you"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_line_is_answered_and_the_run_goes_on(line: bytes, said: str) -> None:
    good = b'{"level": "internal", "task": "support", "facts": {"plan": "free"}}'
    done = run("decide", STARTUP, stdin=good + b"\n\n" + line + b"\n" + good)
    first, second, third = done.lines
    assert done.code == 1
    assert second.keys() == {"error", "line"}
    assert second["line"] == 3
    assert said in second["error"]
    assert len(second["error"]) < 400
    assert first == third
    assert first["decision"] == "route"


def test_an_error_shows_names_and_no_values() -> None:
    canary = "canary-5d1f"
    lines = "\n".join(
        json.dumps(part)
        for part in (
            {"tokens": canary},
            {"stream": canary},
            {"facts": {"plan": [canary]}},
            {"given": {"at": canary}},
            {"given": {"health": {"gpu/8b": canary}}},
            {"needs": [{canary: 1}]},
        )
    )
    done = run("decide", STARTUP, stdin=lines)
    assert len(done.lines) == 6
    assert canary not in done.out + done.err


def test_many_problems_of_one_line_are_cut_short() -> None:
    keys = {f"key{number}": 1 for number in range(1000)}
    (line,) = run("decide", STARTUP, stdin=json.dumps(keys)).lines
    assert line["error"].endswith("; 995 more")
    (line,) = run("decide", STARTUP, stdin=json.dumps({"k" * 100_000: 1})).lines
    assert len(line["error"]) < 400


def test_blank_lines_are_skipped_and_counted() -> None:
    done = run("decide", STARTUP, stdin=b"\n  \n\r\nnope\r\n\n")
    assert done.lines == [{"error": done.lines[0]["error"], "line": 4}]


def test_nothing_asked_is_nothing_answered() -> None:
    done = run("decide", STARTUP)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_mark_of_byte_order_does_no_harm() -> None:
    done = run("decide", QUICKSTART, stdin=b'\xef\xbb\xbf{"level": "public"}')
    assert done.code == 0


def test_a_line_of_exactly_one_mebibyte_is_read() -> None:
    for length, code in ((1_048_576, 0), (1_048_577, 1)):
        line = b'{"level": "public"}'.ljust(length)
        assert run("decide", QUICKSTART, stdin=line + b"\n" + line).code == code


def test_a_policy_that_does_not_load_ends_the_run() -> None:
    done = run("decide", "no-such-policy", stdin="{}")
    assert done.code == 2
    assert done.out == ""
    assert "no-such-policy:1:1: error MR000 no such file" in done.err
