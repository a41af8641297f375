"""Ed25519 by `cryptography`, which is an optional dependency: imported by `keys`, when used."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

__all__ = ["made_by", "new_pair", "raw_public_key", "signed"]


def new_pair() -> tuple[bytes, bytes]:
    """Return a new private and public key as PEM."""
    key = Ed25519PrivateKey.generate()
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def raw_public_key(pem: bytes) -> bytes | None:
    """Return the 32 bytes of a public key in PEM, or None if it is none."""
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        return None
    if not isinstance(key, Ed25519PublicKey):
        return None
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def signed(message: bytes, pem: bytes) -> tuple[bytes, bytes] | None:
    """Return the public key and the signature, or None if the private key is no Ed25519 one.

    Raises:
        TypeError: The private key is encrypted.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except ValueError:
        return None
    if not isinstance(key, Ed25519PrivateKey):
        return None
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), key.sign(message)


def made_by(raw: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the owner of a public key made the signature over exactly this message."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True
