"""What a document shows of the command line is what the command line prints.

The blocks of a document run in their order, in one empty folder: a `yaml` block whose first line
names a file is written there (a later one replaces it), and each command of a `console` block,
behind `$ `, is run and must print the lines that follow it. `…` stands for any text in a line, a
line of its own for any lines. Both streams are shown, as a terminal would, and a last line
`[exit 1]` states an exit code other than 0.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelrouter.cli import main
from tests.docs.test_documents import DOCUMENTS, ROOT, Block, blocks_of, name_of

CONSOLES = [path for path in DOCUMENTS if "\n```console\n" in path.read_text(encoding="utf-8")]


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def printed(command: str) -> str:
    """Return what a command prints, with its exit code if that is not 0."""
    name, *argv = shlex.split(command, comments=True)
    if name in {"cp", "mkdir", "mv", "rm"}:
        return ran(name, argv)
    assert name == "modelrouter", f"only modelrouter is run, not {name}"
    both = io.StringIO()
    with contextlib.redirect_stdout(both), contextlib.redirect_stderr(both):
        code = main(argv)
    return both.getvalue() + (f"[exit {code}]\n" if code else "")


def ran(name: str, argv: list[str]) -> str:
    """Do what a shell command for files does."""
    paths = [Path(part) for part in argv if not part.startswith("-")]
    if name == "mkdir":
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
    elif name == "rm":
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif paths[0].is_dir():
        (shutil.copytree if name == "cp" else shutil.move)(paths[0], paths[1])
    else:
        (shutil.copy if name == "cp" else shutil.move)(paths[0], paths[1])
    return ""


def pattern_of(lines: list[str]) -> str:
    """Return what an output must match as a whole."""
    parts = [
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*") + "\n"
        for line in lines
    ]
    return "".join(parts)


def commands_of(block: Block) -> Iterator[tuple[str, list[str], int]]:
    """Yield each command of a block with the lines it must print and its own line."""
    command, lines, start = "", list[str](), block.line
    continued = False
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if continued:
            command += line.strip()
        elif line.startswith("$ "):
            if command:
                yield command, lines, start
            command, lines, start = line[2:], [], number
        else:
            lines.append(line)
            continue
        continued = command.endswith("\\")
        command = command.removesuffix("\\")
    if command:
        yield command, lines, start


@pytest.mark.parametrize("path", CONSOLES, ids=name_of)
def test_a_document_shows_what_the_commands_print(path: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    with inside(tmp_path):
        for block in blocks_of(path.read_text(encoding="utf-8")):
            if block.language == "yaml" and block.file_name:
                file = Path(block.file_name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                for command, lines, number in commands_of(block):
                    found = printed(command)
                    assert re.fullmatch(pattern_of(lines), found), (
                        f"{name_of(path)}:{number}: {command}\nprints:\n{found}"
                    )
