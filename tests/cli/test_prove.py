"""`modelrouter prove`: what it prints, and with which exit code it ends."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from modelrouter.errors import PolicyError
from modelrouter.loader import load
from tests.cli.running import POLICIES, run

POLICY = """\
apiVersion: modelrouter/v1
kind: Policy
labels: standard
facts:
  desk: {type: enum, values: [retail, trading], source: auth, required: true}
models:
  - {id: home/one, weights: open, hosting: self_hosted, quality: 0.8}
  - {id: away/two, weights: closed, hosting: vendor_api, region: us-east, quality: 0.8}
rules:
  - id: trading-at-home
    effect: forbid
    when: {facts: {desk: trading}}
    models: {hosting: vendor_api}
"""
CLAIMS = """\
apiVersion: modelrouter/v1
kind: Properties
policy: policy.yaml
properties:
"""


def policy(folder: Path, *claims: str, invariants: str = "") -> str:
    (folder / "policy.yaml").write_text(POLICY + invariants, encoding="utf-8")
    if claims:
        lines = "".join(f"  - {claim}\n" for claim in claims)
        (folder / "properties.yaml").write_text(CLAIMS + lines, encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("name", ["bank", "hospital", "quickstart", "startup"])
def test_every_claim_of_a_shipped_policy_is_proved(name: str) -> None:
    done = run("prove", str(POLICIES / name))
    assert done.code == 0
    assert "REFUTED" not in done.out
    assert "it says nothing" not in done.out


def test_a_claim_that_fails_is_shown_with_a_request_that_explain_reads(tmp_path: Path) -> None:
    path = policy(tmp_path, "{id: at-home, never_sent: {hosting: vendor_api}}")
    done = run("prove", path)
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0] == "REFUTED  at-home"
    assert lines[1].startswith("    in properties.yaml; does not hold: `away/two` may receive ")
    assert lines[-1].startswith(f"{path}: 0 proved, 1 not proved (")
    command = shlex.split(lines[2].removeprefix("    see: modelrouter "))
    explained = run(*command, "--json")
    assert explained.code == 0
    ranked = [part["model"] for part in explained.json["ranked"]]
    assert "away/two" in ranked


def test_what_fails_for_a_model_nobody_has_comes_with_that_model(tmp_path: Path) -> None:
    path = policy(
        tmp_path,
        "{id: not-in-mars, never_sent: {region: mars}, when: {facts: {desk: retail}}, over: any}",
    )
    done = run("prove", path, "--json")
    assert done.code == 1
    claim = done.json["claims"][0]
    assert (claim["outcome"], claim["over"], claim["model"]) == ("refuted", "any", None)
    assert claim["entry"]["region"] == "mars"
    assert claim["request"]["facts"] == {"desk": "retail"}


def test_a_claim_about_no_request_is_said_to_say_nothing(tmp_path: Path) -> None:
    impossible = "{level: public, categories: {all: [phi]}}"
    path = policy(tmp_path, f"{{id: empty, when: {impossible}, never_sent: all}}")
    done = run("prove", path)
    assert done.code == 0
    assert "no request matches its `when`: it says nothing" in done.out


def test_to_claim_nothing_is_a_finding(tmp_path: Path) -> None:
    done = run("prove", policy(tmp_path))
    assert done.code == 1
    assert "nothing is claimed" in done.out
    assert "invariants:" in done.err


def test_a_policy_that_breaks_its_own_invariant_does_not_load(tmp_path: Path) -> None:
    path = policy(
        tmp_path, invariants="invariants: [{id: at-home, never_sent: {hosting: vendor_api}}]\n"
    )
    with pytest.raises(PolicyError, match="MR140"):
        load(path)
    assert run("test", path).code == 2
    checked = run("check", path, "--format", "json")
    assert checked.code == 1
    found = checked.json[0]
    assert (found["code"], found["line"], found["column"]) == ("MR140", 14, 19)
    assert "`away/two` may receive" in found["message"]
    request = json.loads(found["hint"].split("'")[1])
    assert request["facts"] == {"desk": "retail"}


BROKEN = "invariants: [{id: at-home, never_sent: {hosting: vendor_api}}]\n"


def test_an_invariant_that_fails_is_refuted_like_any_claim(tmp_path: Path) -> None:
    path = policy(
        tmp_path, "{id: served, when: {level: public}, always_served: true}", invariants=BROKEN
    )
    done = run("prove", path)
    assert done.code == 1
    assert done.out.splitlines()[0] == "REFUTED  at-home"
    assert "proved   served" in done.out
    assert f"{path}/policy.yaml:14:19: error MR140 invariant `at-home` does not hold" in done.err
    assert done.err.endswith(
        f"{path}: no router loads this policy while an invariant is not proved\n"
    )
    told = run("prove", path, "--json")
    assert (told.code, told.json["loads"]) == (1, False)
    assert [claim["outcome"] for claim in told.json["claims"]] == ["refuted", "proved"]


def test_why_an_invariant_fails_can_be_looked_into(tmp_path: Path) -> None:
    folder = tmp_path / "it's a policy"
    folder.mkdir()
    path = policy(folder, invariants=BROKEN)
    hint = run("check", path, "--format", "json").json[0]["hint"]
    command = shlex.split(hint.removeprefix("see `modelrouter ").removesuffix("`"))
    assert command[:2] == ["explain", path]
    explained = run(*command, "--json")
    assert explained.code == 0
    assert "away/two" in [part["model"] for part in explained.json["ranked"]]
    decided = run("decide", path, stdin=command[2])
    assert (decided.code, decided.json["decision"]) == (0, "route")
    (tmp_path / "mended").mkdir()
    mended = policy(tmp_path / "mended")
    assert run("diff", mended, path).code == 0
    asked = run("who-can", path, "--level", "public", "--fact", "desk=retail", "--json")
    assert asked.code == 0
    for done in (explained, decided, asked, run("diff", path, mended)):
        assert "error MR140" in done.err


@pytest.mark.parametrize("command", ["prove", "explain", "decide", "who-can"])
def test_a_policy_with_another_error_is_not_looked_into(command: str, tmp_path: Path) -> None:
    path = policy(tmp_path, invariants=BROKEN)
    file = tmp_path / "policy.yaml"
    file.write_text(file.read_text().replace("desk: trading", "disk: trading"))
    done = run(command, path)
    assert done.code == 2
    assert "the policy does not load" in done.err


def test_an_invariant_that_holds_is_proved_with_the_other_claims(tmp_path: Path) -> None:
    path = policy(
        tmp_path,
        "{id: served, when: {level: public}, always_served: true}",
        invariants="invariants:\n"
        "  - {id: trading, when: {facts: {desk: trading}}, never_sent: {hosting: vendor_api}}\n",
    )
    done = run("prove", path, "--json")
    assert done.code == 0
    assert [(claim["id"], claim["in"]) for claim in done.json["claims"]] == [
        ("trading", "invariants"),
        ("served", "properties.yaml"),
    ]


def test_the_day_counts(tmp_path: Path) -> None:
    lapses = (
        "  - {id: soon, effect: permit, when: {level: restricted}, models: all,"
        ' expires: "2026-12-31"}\n'
    )
    path = policy(
        tmp_path,
        "{id: served, when: {level: restricted, facts: {desk: retail}}, always_served: true}",
    )
    file = tmp_path / "policy.yaml"
    file.write_text(file.read_text(encoding="utf-8") + lapses, encoding="utf-8")
    assert run("prove", path, "--at", "2026-12-31").code == 0
    after = run("prove", path, "--at", "2027-01-01")
    assert after.code == 1
    assert "--at 2027-01-01" in after.out
