"""The public face of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import modelrouter


def test_every_public_name_loads_and_has_one_home() -> None:
    homes = [name for names in modelrouter.HOMES.values() for name in names]
    assert sorted(homes) == sorted(modelrouter.__all__) == dir(modelrouter)
    assert all(getattr(modelrouter, name).__name__ == name for name in modelrouter.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Rooter'"):
        _ = modelrouter.Rooter  # type: ignore[attr-defined]


def test_importing_loads_neither_litellm_nor_pydantic_nor_asyncio() -> None:
    source = (
        "import sys, modelrouter; "
        "print(sorted({'litellm', 'pydantic', 'asyncio', 'openai', 'yaml'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-c", source], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_the_router_loads_without_litellm_and_pydantic() -> None:
    source = (
        "import sys; from modelrouter import Router; "
        "print(sorted({'litellm', 'pydantic', 'openai', 'yaml'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-c", source], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
