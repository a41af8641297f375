"""Policy folders that change under a router: written, swapped and broken by the tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from modelrouter import Reload, Router
from modelrouter.testing import ScriptedProvider
from tests.flow.kit import AT_HOME, STAYS_HOME, key_of, model, runtime, vendor

BY_HAND = Reload(interval_s=None, settle_s=0)
PUBLIC: dict[str, Any] = {"sensitivity": "public"}
MODELS = [
    model("a"),
    model("b", price={"input": 2, "output": 2}),
    vendor("cloud", price={"input": 3, "output": 3}),
]


def only(name: str, **sections: Any) -> dict[str, Any]:
    """Return a policy by which `name` alone may serve a public call."""
    rule = {"id": "only", "effect": "require", "models": {"id": name}}
    return policy(rules=[AT_HOME, STAYS_HOME, rule], **sections)


def policy(**sections: Any) -> dict[str, Any]:
    return {
        "apiVersion": "modelrouter/v1",
        "kind": "Policy",
        "metadata": {"name": "followed", "version": "1"},
        "labels": "standard",
        "models": MODELS,
        "rules": [AT_HOME, STAYS_HOME],
        "runtime": runtime(),
        **sections,
    }


def expecting(name: str) -> dict[str, Any]:
    """Return tests that pass where `name` serves a public call."""
    return {
        "apiVersion": "modelrouter/v1",
        "kind": "PolicyTest",
        "policy": "policy.yaml",
        "tests": [
            {
                "name": "a public call",
                "request": {"level": "public", "max_output": 100},
                "expect": {"decision": "route", "model": name},
            }
        ],
    }


def catalog(*models: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "modelrouter/v1", "kind": "Catalog", "models": [*models]}


def write(folder: Path, **documents: Any) -> Path:
    """Write documents in place: `policy` into policy.yaml, `policy_test` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def renamed_over(folder: Path, **documents: Any) -> None:
    """Write each document beside its file and rename it over, as editors and tools do."""
    for name, document in documents.items():
        beside = folder / f".{name}.yaml.new"
        beside.write_text(
            document if isinstance(document, str) else json.dumps(document), encoding="utf-8"
        )
        beside.replace(folder / f"{name}.yaml")


class Mount:
    """A folder as Kubernetes mounts a ConfigMap: links through `..data`, which is swapped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def put(self, **documents: Any) -> Path:
        """Replace everything at once."""
        before = self.folder / f"..{self.number}"
        self.number += 1
        write(self.folder / f"..{self.number}", **documents)
        (self.folder / "..data_tmp").symlink_to(f"..{self.number}")
        (self.folder / "..data_tmp").replace(self.folder / "..data")
        for name in documents:
            link = self.folder / f"{name}.yaml"
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}.yaml")
        for link in self.folder.glob("*.yaml"):
            if link.stem not in documents:
                link.unlink()
        shutil.rmtree(before, ignore_errors=True)
        return self.folder


def follow(folder: Path, provider: Any = None, reload: Reload = BY_HAND, **more: Any) -> Router:
    return Router.from_policy(
        folder,
        provider=provider or ScriptedProvider(),
        credentials=key_of,
        reload=reload,
        **more,
    )
