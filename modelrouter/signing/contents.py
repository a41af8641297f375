"""From bytes to files, and nothing before its turn: signature, manifest, hashes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelrouter.errors import BundleRefused
from modelrouter.signing.archive import LARGEST, joined, members
from modelrouter.signing.keys import verifies
from modelrouter.signing.manifest import FORMAT, Manifest, digest, read_manifest

__all__ = ["Contents", "peek", "sealed", "verified"]

ENVELOPE: Final = "modelrouter-bundle"
MANIFEST: Final = "manifest.json"
FOLDER: Final = "files/"
HEAD: Final = b"format %d\n" % FORMAT
OTHER_FORMAT: Final = re.compile(rb"format ([0-9]{1,9})\n")
SIGNATURE: Final = re.compile(rb"([0-9a-f]{64}) ([0-9a-f]{128})\n")
MOST_SIGNATURES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a bundle holds.

    Attributes:
        manifest: What it says of itself.
        files: Exact bytes by name.
        signers: Key ids whose signatures were verified; empty where nothing was.
        named: Key ids that stand beside a signature, verified or not.
    """

    manifest: Manifest
    files: Mapping[str, bytes]
    signers: tuple[str, ...]
    named: tuple[str, ...]


def sealed(manifest: bytes, files: Mapping[str, bytes], signatures: Mapping[str, bytes]) -> bytes:
    """Return a bundle. The same arguments give the same bytes: Ed25519 draws no randomness."""
    lines = [f"{name} {signatures[name].hex()}\n" for name in sorted(signatures)]
    envelope = HEAD + "".join(lines).encode("ascii")
    held = [(FOLDER + name, files[name]) for name in sorted(files)]
    return joined([(ENVELOPE, envelope), (MANIFEST, manifest), *held])


def verified(content: bytes, keys: Mapping[str, bytes]) -> Contents:
    """Return what a bundle holds, once a trusted key vouches for every byte of it.

    Args:
        content: The whole bundle.
        keys: Public keys that are trusted, 32 bytes each, by key id.

    Raises:
        BundleRefused: No trusted key signed it, or it is not as it was signed. Of several
            signatures at least one is by a trusted key, and every one by a trusted key is good.
        ConfigurationError: `cryptography` is not installed.
    """
    parts = bounded(content)
    signatures, manifest = envelope_of(parts)
    trusted = [name for name in signatures if name in keys]
    if not trusted:
        raise BundleRefused(
            f"no trusted key signed this bundle; it names {listed(signatures)}",
            hint="check which public keys are trusted, and where the bundle comes from",
        )
    if not all(verifies(manifest, signatures[name], keys[name]) for name in trusted):
        raise BundleRefused("the signature does not fit: the bundle was changed after signing")
    return read(manifest, parts, signers=tuple(trusted), named=tuple(signatures))


def peek(content: bytes) -> Contents:
    """Return what a bundle says it holds. Nobody vouches for it: signatures are not looked at.

    Raises:
        BundleRefused: It is not in the form of a bundle.
    """
    parts = bounded(content)
    signatures, manifest = envelope_of(parts)
    return read(manifest, parts, signers=(), named=tuple(signatures))


def bounded(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Return the members of a bundle that is not too large."""
    if len(content) > LARGEST:
        raise BundleRefused(f"the bundle has more than {LARGEST:,} bytes")
    return members(content)


def envelope_of(parts: Iterator[tuple[str, bytes]]) -> tuple[dict[str, bytes], bytes]:
    """Return signatures by key id and the manifest's bytes: all that is read unverified."""
    name, envelope = next(parts, ("", b""))
    if name != ENVELOPE:
        raise BundleRefused("not a bundle", hint="`modelrouter bundle create` makes one")
    if not envelope.startswith(HEAD):
        other = OTHER_FORMAT.match(envelope)
        said = f"format {int(other[1])}" if other else "an unknown format"
        raise BundleRefused(f"the bundle has {said}; this version reads {FORMAT}")
    found = {
        match[1].decode("ascii"): bytes.fromhex(match[2].decode("ascii"))
        for match in SIGNATURE.finditer(envelope)
    }
    lines = "".join(f"{name} {found[name].hex()}\n" for name in sorted(found))
    # Rebuilt and compared: no other order, no key id twice, nothing between or behind.
    if HEAD + lines.encode("ascii") != envelope or len(found) > MOST_SIGNATURES:
        raise BundleRefused("the signatures of the bundle are not in the form of this format")
    if not found:
        raise BundleRefused("the bundle is not signed")
    name, manifest = next(parts, ("", b""))
    if name != MANIFEST:
        raise BundleRefused("the bundle has no manifest")
    return found, manifest


def read(
    content: bytes,
    parts: Iterator[tuple[str, bytes]],
    *,
    signers: tuple[str, ...],
    named: tuple[str, ...],
) -> Contents:
    """Return the files, which have to be those of the manifest, in its order, and no others."""
    manifest = read_manifest(content)
    files: dict[str, bytes] = {}
    for entry in manifest.files:
        name, held = next(parts, ("", b""))
        if name != FOLDER + entry.name or len(held) != entry.size or digest(held) != entry.sha256:
            raise BundleRefused(f"file `{entry.name}` is not the one that the manifest names")
        files[entry.name] = held
    if next(parts, None) is not None:
        raise BundleRefused("the bundle holds a file that its manifest does not name")
    return Contents(manifest=manifest, files=files, signers=signers, named=named)


def listed(names: Mapping[str, bytes]) -> str:
    """Return key ids as messages show them."""
    return ", ".join(f"`{name[:16]}…`" for name in names)
