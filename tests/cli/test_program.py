"""The program around the commands: help, usage, pipes, interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelrouter.cli.program import COMMANDS
from tests.cli.running import POLICIES, run

PROGRAM = (sys.executable, "-m", "modelrouter")
BANK = str(POLICIES / "bank")


def start(*argv: str, **options: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PROGRAM, *argv],
        stdin=subprocess.PIPE,
        stdout=options.get("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )


def test_help_names_every_command_in_its_group() -> None:
    done = run("--help")
    assert done.code == 0
    assert done.err == ""
    for command in COMMANDS:
        assert f"  {command.name:<7}  {command.summary}" in done.out
        assert f"{command.group}:" in done.out
    assert done.out == run("-h").out == run("help").out


def test_help_fits_a_terminal() -> None:
    for argv in (("--help",), *((command.name, "--help") for command in COMMANDS)):
        if argv[0] != "demo":
            assert max(len(line) for line in run(*argv).out.splitlines()) <= 100


@pytest.mark.parametrize("name", [part.name for part in COMMANDS if part.name != "demo"])
def test_help_of_a_command_lists_its_exit_codes(name: str) -> None:
    done = run(name, "--help")
    assert done.code == 0
    assert "exit codes:" in done.out


def test_the_version_is_that_of_the_package() -> None:
    done = run("--version")
    assert done.code == 0
    assert done.out.startswith("modelrouter ")


def test_no_command_is_wrong_usage() -> None:
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "usage: modelrouter" in done.err


def test_an_unknown_command_is_wrong_usage() -> None:
    done = run("chek")
    assert (done.code, done.out) == (2, "")
    assert "did you mean `check`?" in done.err
    assert run("--colour").code == 2


@pytest.mark.parametrize(
    "argv", [("check",), ("schema", "a", "b", "c"), ("check", "a", "--formt", "x")]
)
def test_wrong_arguments_are_wrong_usage(argv: tuple[str, ...]) -> None:
    done = run(*argv)
    assert (done.code, done.out) == (2, "")
    assert "--help` lists the arguments" in done.err


def test_help_reads_no_policy_model_and_no_provider() -> None:
    code = (
        "import sys; from modelrouter.cli import main; main(['--help']);"
        "print([name for name in ('pydantic', 'litellm', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "[]"


def test_the_module_is_the_program() -> None:
    done = subprocess.run([*PROGRAM, "check", BANK], capture_output=True, check=False)
    assert done.returncode == 0
    last = done.stdout.decode().splitlines()[-1]
    assert last.startswith(f"{BANK}: 0 errors, 0 warnings, 2 notes (")


def test_an_answer_comes_before_the_next_question() -> None:
    process = start("decide", BANK)
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(3):
        process.stdin.write(b'{"level": "public"}\n')
        process.stdin.flush()
        assert process.stdout.readline().startswith(b'{"decision": ')
    process.stdin.close()
    assert process.wait(timeout=20) == 0
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


def test_a_closed_pipe_ends_the_run_quietly() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    process = start("schema", stdout=writable)
    os.close(writable)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (141, b"")


def test_an_interrupt_ends_the_run_quietly() -> None:
    process = start("decide", BANK)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"{}\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=20)
    assert (process.returncode, out, said) == (130, b"", b"")


def test_no_standard_input_is_an_empty_one() -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -m modelrouter decide "{BANK}" <&-'],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("arguments", ["decide no/such", "check no/such --format github"])
def test_what_is_no_data_is_not_printed_where_standard_error_is_closed(arguments: str) -> None:
    run = f'exec "{sys.executable}" -m modelrouter {arguments}'
    closed, plain = (
        subprocess.run(["sh", "-c", line], capture_output=True, check=False)
        for line in (f"{run} 2>&-", run)
    )
    assert plain.stderr != b""
    assert (closed.returncode, closed.stdout) == (plain.returncode, plain.stdout)


def test_a_name_that_does_not_fit_the_encoding_is_still_printed(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.yaml")
    path.write_bytes(b"kind: Policy\n")
    done = subprocess.run([*PROGRAM, "check", path], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b""
