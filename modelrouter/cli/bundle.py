r"""Sign a policy as one file, and verify it where it is used.

  modelrouter bundle keygen keys
  modelrouter bundle create policies/hospital -o hospital.bundle --serial 7 \
      --key keys/bundle.private.pem
  modelrouter bundle verify hospital.bundle --key keys/bundle.public.pem --after 6

`modelrouter bundle VERB --help` lists the arguments of a verb. It needs the package
`cryptography`: pip install "modelrouter[signing]".

exit codes:
  0  done, or verified
  1  not to be trusted, or not fit to be signed
  2  wrong usage, a file that cannot be read or written, or a policy that does not load
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelrouter.cli.common import (
    FINDINGS,
    FINE,
    USAGE,
    add_at,
    counted,
    note,
    out,
    out_json,
    today,
)
from modelrouter.errors import BundleRefused
from modelrouter.signing.bundles import open_bundle, pack, read_bundle
from modelrouter.signing.contents import peek
from modelrouter.signing.keys import generate, key_id, public_key, read_key
from modelrouter.signing.manifest import LARGEST_SERIAL, Manifest
from modelrouter.writing import write_new, write_out

if TYPE_CHECKING:
    from modelrouter.values import Json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `bundle`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)

    create = verb("create", "check, test, prove and sign a policy")
    create.add_argument("policy", metavar="POLICY", help="a policy folder or a policy file")
    create.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write it")
    create.add_argument(
        "--key",
        metavar="PRIVATE.pem",
        action="append",
        required=True,
        help="who signs; may be repeated",
    )
    create.add_argument(
        "--serial",
        metavar="N",
        type=serial,
        required=True,
        help="number of the release, larger than that of every earlier one",
    )
    add_at(create)
    verify = verb("verify", "verify a bundle and load the policy in it")
    verify.add_argument("file", metavar="FILE")
    verify.add_argument(
        "--key",
        metavar="PUBLIC.pem",
        action="append",
        required=True,
        help="who may sign; may be repeated",
    )
    verify.add_argument(
        "--after", metavar="N", type=serial_or_zero, help="the serial has to be larger than N"
    )
    verify.add_argument("--policy", metavar="NAME", help="the name that the policy has to have")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    show = verb("show", "print what a bundle says it holds, without verifying anything")
    show.add_argument("file", metavar="FILE")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    keygen = verb("keygen", "make a pair of keys: PREFIX.private.pem and PREFIX.public.pem")
    keygen.add_argument(
        "prefix", metavar="DIR|PREFIX", help="in a folder that exists: `bundle.private.pem`, …"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run one verb."""
    verbs: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "create": create_bundle,
        "verify": verify_bundle,
        "show": show_bundle,
        "keygen": make_keys,
    }
    try:
        return verbs[arguments.verb](arguments)
    except BundleRefused as error:
        note(f"refused: {error}")
        if error.hint:
            note(f"    hint: {error.hint}")
        return FINDINGS


def create_bundle(arguments: argparse.Namespace) -> int:
    """Write a bundle and print what was signed."""
    packed = pack(
        arguments.policy,
        private_keys=[read_key(path) for path in arguments.key],
        serial=arguments.serial,
        created=datetime.datetime.now(tz=datetime.UTC),
        today=today(arguments),
    )
    file = Path(arguments.output)
    try:
        # Where the bundle itself may be what standard output holds, nothing follows it there.
        say = out if write_out(file, packed.content, mode=0o644) else note
    except (OSError, ValueError) as error:
        return cannot_write(file, error)
    say(f"{file}: {len(packed.content)} bytes")
    describe(packed.manifest, say)
    for name in packed.signers:
        say(f"signed by {name}")
    return FINE


def verify_bundle(arguments: argparse.Namespace) -> int:
    """Verify a bundle and print who signed what."""
    found = open_bundle(
        arguments.file, keys=arguments.key, after=arguments.after, policy=arguments.policy
    )
    if arguments.json:
        out_json(as_json(found.manifest, verified=True, signers=found.signers))
        return FINE
    out(f"{arguments.file}: verified")
    describe(found.manifest)
    for name in found.signers:
        out(f"signed by {name}")
    return FINE


def show_bundle(arguments: argparse.Namespace) -> int:
    """Print what a bundle says of itself."""
    found = peek(read_bundle(arguments.file))
    warning = "NOTHING WAS VERIFIED: anybody could have written this"
    if arguments.json:
        out_json(as_json(found.manifest, verified=False, signers=found.named))
        note(warning)
        return FINE
    out(f"{arguments.file}: {warning}")
    describe(found.manifest)
    for name in found.named:
        out(f"names as signer {name}")
    out("    hint: `modelrouter bundle verify` verifies it")
    return FINE


def make_keys(arguments: argparse.Namespace) -> int:
    """Write a new pair of keys; what is there is never written over."""
    prefix = Path(arguments.prefix)
    prefix = prefix / "bundle" if prefix.is_dir() else prefix
    private, public = generate()
    pair = (("private", private, 0o600), ("public", public, 0o644))
    written: list[Path] = []
    for kind, content, mode in pair:
        file = prefix.with_name(f"{prefix.name}.{kind}.pem")
        try:
            write_new(file, content, mode=mode)
        except (OSError, ValueError) as error:
            for half in written:  # of a pair that nobody has used
                half.unlink()
            return cannot_write(file, error)
        written.append(file)
    for file in written:
        out(str(file))
    out(f"key id {key_id(public_key(public))}")
    return FINE


def describe(manifest: Manifest, say: Callable[[str], None] = out) -> None:
    """Print a manifest for people; strings as JSON, which no terminal obeys."""
    say(f"policy  {json.dumps(manifest.policy)} {json.dumps(manifest.version)}")
    say(f"serial  {manifest.serial}")
    say(f"created {manifest.created}")
    say(f"digest  {manifest.digest}")
    say(counted(len(manifest.files), "file"))
    for part in manifest.files:
        main = "  (the policy)" if part.name == manifest.main else ""
        say(f"  {part.sha256}  {part.size:>7}  {part.name}{main}")


def as_json(manifest: Manifest, *, verified: bool, signers: tuple[str, ...]) -> dict[str, Json]:
    """Return a manifest as `--json` prints it; unverified signers are only names."""
    files: list[Json] = [
        {"name": part.name, "sha256": part.sha256, "size": part.size} for part in manifest.files
    ]
    return {
        "format": manifest.format,
        "policy": manifest.policy,
        "version": manifest.version,
        "serial": manifest.serial,
        "created": manifest.created,
        "digest": manifest.digest,
        "main": manifest.main,
        "files": files,
        "verified": verified,
        "signers": [*signers],
    }


def cannot_write(file: Path, error: OSError | ValueError) -> int:
    """Say why a file cannot be written."""
    reason = error.strerror if isinstance(error, OSError) else "not a path"
    if isinstance(error, FileExistsError):
        reason = "it exists, and is not written over"
    note(f"`{file}` cannot be written: {reason}")
    return USAGE


def serial(text: str) -> int:
    """Return the serial that an argument states."""
    return whole(text, lowest=1)


def serial_or_zero(text: str) -> int:
    """Return the serial after which a bundle has to come."""
    return whole(text, lowest=0)


def whole(text: str, *, lowest: int) -> int:
    """Return a whole number in the range of serials."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_SERIAL)):
        number = int(text)
        if lowest <= number <= LARGEST_SERIAL:
            return number
    raise argparse.ArgumentTypeError(f"not a whole number from {lowest} to {LARGEST_SERIAL}")
