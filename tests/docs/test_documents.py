"""What README.md and docs/ show works as it stands; CONTRIBUTING.md states the convention."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelrouter.loader import load
from modelrouter.testing import LoopbackServer

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?P<fence>`{3,})(?P<language>\w*)")
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
FILE_NAME = re.compile(r"# (?P<name>[\w./-]+\.ya?ml)")
ENDPOINT = re.compile(r"endpoint: \{model: (?P<model>\"[^\"]*\"|[^,}]+),[^}]*\}")
MODELS_ALONE = "apiVersion: modelrouter/v1\nkind: Policy\nlabels: standard\nmodels:\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a document.

    Attributes:
        line: Line of its first line of text, from 1.
    """

    language: str
    text: str
    line: int

    @property
    def file_name(self) -> str | None:
        """Name in its first line, where it is a comment like `# policy.yaml`."""
        found = FILE_NAME.fullmatch(self.text.partition("\n")[0])
        return found["name"] if found else None

    @property
    def starts_with(self) -> str:
        """First line that is neither empty nor a comment."""
        lines = (line for line in self.text.splitlines() if line and not line.startswith("#"))
        return next(lines, "")


def blocks_of(document: str) -> Iterator[Block]:
    """Yield the blocks of a document, but not those marked with a reason not to run."""
    lines = document.splitlines()
    place = 0
    while place < len(lines):
        opening = FENCE.match(lines[place])
        if opening:
            end = lines.index(opening["fence"], place + 1)
            if not NOT_RUN.fullmatch(lines[place - 1] if place else ""):
                text = "".join(f"{line}\n" for line in lines[place + 1 : end])
                yield Block(language=opening["language"], text=text, line=place + 2)
            place = end
        place += 1


def blocks(path: Path, language: str) -> list[Block]:
    found = blocks_of(path.read_text(encoding="utf-8"))
    return [block for block in found if block.language == language]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def on_loopback(text: str, url: str) -> str:
    """Return a policy whose every endpoint is the server at `url`."""
    here = rf'endpoint: {{model: \g<model>, api_base: "{url}/v1", api_key: none}}'
    changed, count = ENDPOINT.subn(here, text)
    assert count == text.count("endpoint:"), "write `endpoint: {model: …, …}` in one line"
    return changed


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_policy_that_a_document_shows_loads(path: Path, tmp_path: Path) -> None:
    for block in blocks(path, "yaml"):
        text = block.text
        if block.starts_with.startswith("- id:"):
            text = MODELS_ALONE + "".join(f"  {line}\n" for line in text.splitlines())
        elif not block.starts_with.startswith("apiVersion:") or "\nkind: Policy\n" not in text:
            continue
        file = tmp_path / f"line-{block.line}.yaml"
        file.write_text(text, encoding="utf-8")
        assert load(file).models


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if blocks(path, "python")], ids=name_of
)
def test_the_python_of_a_document_runs(path: Path, tmp_path: Path) -> None:
    with LoopbackServer() as server:
        for source in (ROOT / "policies").rglob("*.yaml"):
            copy = tmp_path / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(on_loopback(source.read_text("utf-8"), server.url), "utf-8")
        for block in blocks(path, "yaml"):
            if block.file_name:
                file = tmp_path / block.file_name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(on_loopback(block.text, server.url), encoding="utf-8")
        done = run(script_of(path, tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def script_of(path: Path, folder: Path) -> Path:
    """Write the blocks into one file, each at its own line, so that errors name the line."""
    lines: list[str] = []
    for block in blocks(path, "python"):
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    script = folder / f"{path.name}.py"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return script


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sync_call.py", "denied: policy `quickstart` denies task `code` with label confidential"),
        ("async_stream.py", "vendor/frontier in "),
        ("request_context.py", "refused: `facts`: fact `plan` contradicts"),
    ],
)
def test_an_example_runs(name: str, told: str, tmp_path: Path) -> None:
    done = run(ROOT / "examples" / name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout


def test_every_example_has_a_test() -> None:
    found = {path.name for path in (ROOT / "examples").glob("*.py")}
    tested = {"sync_call.py", "async_stream.py", "request_context.py"}
    assert found - tested == {"stand_ins.py"}


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_links_within_the_repository_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    near = {target for target in targets if target and "://" not in target}
    assert {target for target in near if not (path.parent / target).exists()} == set()


def test_a_marked_block_is_left_out_and_the_next_is_not() -> None:
    document = "<!-- not run: needs a vendor -->\n```python\n1\n```\n\n```python\n2\n```\n"
    assert list(blocks_of(document)) == [Block(language="python", text="2\n", line=7)]


def run(script: Path, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with this interpreter, away from the checkout and without keys."""
    around = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    paths = os.pathsep.join([str(ROOT), *filter(None, [around.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
        env={**around, "PYTHONPATH": paths},
    )
