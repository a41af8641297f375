"""Keys as callers name them, and what is signed with them."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from modelrouter.errors import ConfigurationError
from modelrouter.regular import open_any

__all__ = [
    "KeySource",
    "generate",
    "key_id",
    "public_key",
    "public_keys",
    "read_key",
    "sign",
    "verifies",
]

KeySource: TypeAlias = "bytes | str | os.PathLike[str]"
"""A public key: its 32 bytes, its PEM text as bytes, or the path of a PEM file."""

# Only bundles are ever signed with this in front: a signature that the same key made for
# another purpose says nothing here, and the other way round. The number is the format's.
PREFIX: Final = b"modelrouter bundle manifest, format 1\0"
RAW: Final = 32
LARGEST_KEY_FILE: Final = 16_384
MADE_BY: Final = "`modelrouter bundle keygen` makes a pair"


def key_id(raw: bytes) -> str:
    """Return the id of a public key: SHA-256 of its 32 bytes."""
    return hashlib.sha256(raw).hexdigest()


def generate() -> tuple[bytes, bytes]:
    """Return a new private and public key as PEM (PKCS #8, SubjectPublicKeyInfo).

    Raises:
        ConfigurationError: `cryptography` is not installed.
    """
    need_cryptography()
    from modelrouter.signing.ed25519 import new_pair  # noqa: PLC0415 - optional

    return new_pair()


def public_keys(sources: Sequence[KeySource]) -> dict[str, bytes]:
    """Return public keys, 32 bytes each, by id.

    Raises:
        ConfigurationError: There is none, or one cannot be read.
    """
    if isinstance(sources, str | bytes | os.PathLike):
        raise ConfigurationError("`keys` is one key, not a list", hint="write `keys=[…]`")
    found = {key_id(raw): raw for raw in map(public_key, sources)}
    if not found:
        raise ConfigurationError("no public key is given", hint="name who may sign: `keys=[…]`")
    return found


def public_key(source: KeySource) -> bytes:
    """Return the 32 bytes of a public key.

    Raises:
        ConfigurationError: It cannot be read, or is no Ed25519 public key.
    """
    need_cryptography()
    from modelrouter.signing.ed25519 import raw_public_key  # noqa: PLC0415 - optional

    if isinstance(source, bytes) and len(source) == RAW:
        return source
    pem = source if isinstance(source, bytes) else read_key(source)
    raw = raw_public_key(pem)
    if raw is None:
        shown = "the key" if isinstance(source, bytes) else f"`{os.fspath(source)}`"
        raise ConfigurationError(f"{shown} is no Ed25519 public key in PEM", hint=MADE_BY)
    return raw


def sign(manifest: bytes, pem: bytes) -> tuple[str, bytes]:
    """Return the signer's key id and the signature over the exact bytes of a manifest.

    Raises:
        ConfigurationError: The key is not one, or `cryptography` is not installed.
    """
    need_cryptography()
    from modelrouter.signing.ed25519 import signed  # noqa: PLC0415 - optional

    try:
        found = signed(PREFIX + manifest, pem)
    except TypeError:
        message, hint = "the private key is encrypted", "decrypt it for this command alone"
        raise ConfigurationError(message, hint=hint) from None
    if found is None:
        raise ConfigurationError("not an Ed25519 private key in PEM", hint=MADE_BY)
    raw, signature = found
    return key_id(raw), signature


def verifies(manifest: bytes, signature: bytes, raw: bytes) -> bool:
    """Whether a public key made the signature over exactly these bytes.

    Raises:
        ConfigurationError: `cryptography` is not installed.
    """
    need_cryptography()
    from modelrouter.signing.ed25519 import made_by  # noqa: PLC0415 - optional

    return made_by(raw, signature, PREFIX + manifest)


def read_key(source: str | os.PathLike[str]) -> bytes:
    """Return what is in a key file.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with open_any(Path(source)) as stream:
            return stream.read(LARGEST_KEY_FILE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        message = f"the key `{os.fspath(source)}` cannot be read: {reason}"
        raise ConfigurationError(message) from None


def need_cryptography() -> None:
    """Say how to get `cryptography` where it is missing."""
    try:
        importlib.import_module("cryptography")
    except ImportError:
        raise ConfigurationError(
            "signed bundles need the package `cryptography`",
            hint='install it with `pip install "modelrouter[signing]"`',
        ) from None
