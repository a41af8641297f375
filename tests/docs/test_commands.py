"""The `sh` blocks of some documents run as they stand, in order, where `policies/` lies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_documents import ROOT, blocks, name_of

DOCUMENTS = [ROOT / "docs" / f"{name}.md" for name in ("bundles", "editors", "reviewing-changes")]
MODELROUTER = 'modelrouter() { "$PYTHON" -m modelrouter "$@"; }\n'


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_the_commands_of_a_document_run(path: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    commands = [block.text for block in blocks(path, "sh")]
    assert commands
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", MODELROUTER + "".join(commands)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_settings_of_the_editor_name_schemas_and_files_that_exist(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "editors.md", "json")
    for schema, files in json.loads(block.text)["yaml.schemas"].items():
        assert list(ROOT.glob(files))
        kind = schema.rpartition("/")[2]
        assert (ROOT / "modelrouter" / "schema" / kind).is_file()
