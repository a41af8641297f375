"""`modelrouter test`: the unit tests of policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import POLICIES, run

POLICY = (
    "apiVersion: modelrouter/v1\nkind: Policy\n"
    "models: [{id: home/one, weights: open, hosting: self_hosted, quality: 0.5}]\n"
    "rules: [{id: cautious, effect: obligate, do: {trace: none, redact: []}}]\n"
)
TESTS = """\
apiVersion: modelrouter/v1
kind: PolicyTest
policy: policy.yaml
tests:
  - {name: good, request: {level: public}, expect: {model: home/one, obligations: {trace: none}}}
  - name: bad
    request: {level: public}
    expect:
      decision: deny
      models_in_order: []
      obligations: {cache: none, redact: [pii]}
      rules: [cautious]
      warnings: "spent"
      never: home/one
      only_hosting: vendor_api
"""


def write(folder: Path, tests: str | None = TESTS) -> str:
    (folder / "policy.yaml").write_text(POLICY)
    if tests is not None:
        (folder / "policy_test.yaml").write_text(tests)
    return str(folder)


@pytest.mark.parametrize(
    ("name", "number"), [("bank", 9), ("hospital", 10), ("quickstart", 10), ("startup", 10)]
)
def test_a_shipped_policy_passes_its_own_tests(name: str, number: int) -> None:
    path = str(POLICIES / name)
    done = run("test", path)
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"{path}: {number} passed, 0 failed"
    assert run("test", "-q", path).out == f"{path}: {number} passed, 0 failed\n"


def test_every_difference_of_a_failed_test_is_printed(tmp_path: Path) -> None:
    path = write(tmp_path)
    done = run("test", path)
    assert done.code == 1
    assert done.out.splitlines() == [
        "passed  good",
        "FAILED  bad",
        "    in policy_test.yaml; decided: home/one",
        "    decision: expected deny, got route",
        "    models_in_order: expected [], got [home/one]",
        "    warnings: expected [spent] among []",
        "    obligations.cache: expected none, got nothing",
        "    obligations.redact: expected [pii] among []",
        "    never: home/one is a candidate",
        "    only_hosting: home/one is self_hosted",
        f"{path}: 1 passed, 1 failed",
    ]


def test_a_failed_test_says_where_the_call_was_denied(tmp_path: Path) -> None:
    name = (
        "{name: a, request: {level: public, tokens: 5, needs: [tools]}, expect: {decision: route}}"
    )
    head = "apiVersion: modelrouter/v1\nkind: PolicyTest\npolicy: policy.yaml\n"
    done = run("test", write(tmp_path, f"{head}tests: [{name}]\n"))
    assert "    in policy_test.yaml; decided: deny at capability" in done.out
    assert "    decision: expected route, got deny" in done.out


def test_json_holds_every_test(tmp_path: Path) -> None:
    path = write(tmp_path)
    done = run("test", "--json", "--at", "2026-11-23", path)
    assert done.code == 1
    (report,) = done.lines
    assert (report["policy"], report["passed"], report["failed"]) == (path, 1, 1)
    assert report["at"] == "2026-11-23"
    assert report["tests"][0] == {
        "file": "policy_test.yaml",
        "name": "good",
        "passed": True,
        "failures": [],
        "decision": "route",
        "model": "home/one",
        "deny_stage": None,
    }
    assert len(report["tests"][1]["failures"]) == 7


def test_a_policy_without_tests_has_not_passed(tmp_path: Path) -> None:
    done = run("test", write(tmp_path, None))
    assert done.code == 1
    assert done.out == f"{tmp_path}: no tests\n"


def test_the_worst_of_several_policies_counts(tmp_path: Path) -> None:
    good, path = str(POLICIES / "bank"), write(tmp_path)
    assert run("test", good, good).code == 0
    assert run("test", good, path, good).code == 1
    done = run("test", good, "no-such-policy", path)
    assert done.code == 2
    assert done.out.count(" passed, ") == 2
    assert "no-such-policy: the policy does not load: 1 error" in done.err
    done = run("test", "--json", "no-such-policy", good)
    assert done.code == 2
    assert done.lines[0]["loads"] is False
    assert done.lines[0]["problems"][0]["code"] == "MR000"


def test_an_unknown_name_in_a_test_is_an_error_of_the_policy(tmp_path: Path) -> None:
    done = run("test", write(tmp_path, TESTS.replace("model: home/one", "model: home/oen")))
    assert done.code == 2
    assert "error MR102 unknown model `home/oen`" in done.err
