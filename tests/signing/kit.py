"""What the tests of signed bundles share."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelrouter.signing import Contents, Packed, pack, verified
from modelrouter.signing.contents import sealed
from modelrouter.signing.keys import key_id, public_key, sign

__all__ = [
    "CATALOG",
    "CREATED",
    "DAY",
    "POLICY",
    "TESTS",
    "Keys",
    "opened",
    "packed",
    "resealed",
    "write_policy",
]

DAY = datetime.date(2026, 11, 23)
CREATED = datetime.datetime(2026, 11, 23, 9, 30, 5, tzinfo=datetime.UTC)
POLICY = """apiVersion: modelrouter/v1
kind: Policy
metadata: {name: mill, version: "1"}
labels: standard
catalogs: [models.yaml]
rules:
  - {id: in-the-house, effect: permit, when: {level: restricted}, models: {hosting: self_hosted}}
"""
CATALOG = """apiVersion: modelrouter/v1
kind: Catalog
models:
  - {id: house/small, weights: open, hosting: self_hosted, quality: 0.5,
     price: {input: 1, output: 1},
     endpoint: {model: hosted_vllm/small, api_base: "http://127.0.0.1:9/v1", api_key: none}}
"""
TESTS = """apiVersion: modelrouter/v1
kind: PolicyTest
policy: policy.yaml
tests: [{name: stays, request: {level: restricted}, expect: {model: house/small}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A pair of keys as PEM."""

    private: bytes
    public: bytes

    @property
    def id(self) -> str:
        return key_id(public_key(self.public))


def write_policy(folder: Path, **changed: str) -> Path:
    """Write a policy of three files; `changed` holds other texts, by name without suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"policy": POLICY, "models": CATALOG, "policy_test": TESTS} | changed
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def packed(path: Path, *signers: Keys, serial: int = 7) -> Packed:
    private = [signer.private for signer in signers]
    return pack(path, private_keys=private, serial=serial, created=CREATED, today=DAY)


def opened(content: bytes, *trusted: Keys) -> Contents:
    return verified(content, {signer.id: public_key(signer.public) for signer in trusted})


def resealed(manifest: bytes, files: Mapping[str, bytes], signer: Keys) -> bytes:
    """Sign any bytes as a manifest, as a signer who is trusted but wrong would."""
    name, signature = sign(manifest, signer.private)
    return sealed(manifest, files, {name: signature})
