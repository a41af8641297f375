"""Keys and a small policy for the tests of signed bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelrouter.signing import Packed, generate
from tests.signing.kit import Keys, packed, write_policy


@pytest.fixture(scope="session")
def keys() -> Keys:
    private, public = generate()
    return Keys(private=private, public=public)


@pytest.fixture(scope="session")
def others() -> Keys:
    private, public = generate()
    return Keys(private=private, public=public)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_policy(tmp_path / "policy")


@pytest.fixture
def small(folder: Path, keys: Keys) -> Packed:
    return packed(folder, keys)
