"""Policies as one signed file: made, verified, and admitted in one direction of time."""

from __future__ import annotations

from modelrouter.signing.admission import BundleOptions, RouterOptions, admission
from modelrouter.signing.bundles import Opened, Packed, open_bundle, pack
from modelrouter.signing.contents import Contents, peek, verified
from modelrouter.signing.keys import KeySource, generate, public_key
from modelrouter.signing.manifest import FileEntry, Manifest

__all__ = [
    "BundleOptions",
    "Contents",
    "FileEntry",
    "KeySource",
    "Manifest",
    "Opened",
    "Packed",
    "RouterOptions",
    "admission",
    "generate",
    "open_bundle",
    "pack",
    "peek",
    "public_key",
    "verified",
]
