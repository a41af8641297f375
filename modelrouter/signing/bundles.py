"""Makes and opens bundles: what is signed is what was loaded, checked and tested."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelrouter.errors import BundleRefused, ConfigurationError
from modelrouter.folders import is_folder, yaml_files
from modelrouter.lint.linting import lint
from modelrouter.loader import load
from modelrouter.policy.bundle import Bundle
from modelrouter.policy.kinds import kind_of
from modelrouter.policytest import run_tests
from modelrouter.proof.proving import prove_all
from modelrouter.regular import open_regular
from modelrouter.signing.archive import LARGEST
from modelrouter.signing.contents import Contents, sealed, verified
from modelrouter.signing.keys import KeySource, public_keys, sign
from modelrouter.signing.manifest import (
    FORMAT,
    LARGEST_FILE,
    LARGEST_SERIAL,
    FileEntry,
    Manifest,
    digest,
    encoded,
    fitting_name,
    read_manifest,
    stamp,
)
from modelrouter.signing.staging import load_files
from modelrouter.yamlsource import read_file

__all__ = ["Opened", "Packed", "open_bundle", "pack", "read_bundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A bundle that was made.

    Attributes:
        content: The bytes of the file.
        manifest: What is signed.
        signers: Key ids of the signatures.
    """

    content: bytes
    manifest: Manifest
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A bundle that was verified and loaded.

    Attributes:
        bundle: The policy.
        manifest: What was signed.
        signers: Key ids whose signatures were verified.
    """

    bundle: Bundle
    manifest: Manifest
    signers: tuple[str, ...]


def pack(
    path: str | os.PathLike[str],
    *,
    private_keys: Sequence[bytes],
    serial: int,
    created: datetime.datetime,
    today: datetime.date,
) -> Packed:
    """Return the policy at `path` as a signed bundle.

    Args:
        path: A policy folder or a policy file.
        private_keys: Ed25519 keys as PEM; each of them signs.
        serial: Number of the release, larger than that of every earlier one.
        created: The time that the manifest states.
        today: The day on which tests without a date are decided and claims are proved.

    Raises:
        PolicyError: The policy does not load.
        BundleRefused: It has an error that the linter found, a failed test or no test, or a
            claim that is not proved, or it cannot be written as a bundle.
        ConfigurationError: A key is not one, or the serial is out of range.
    """
    if not 1 <= serial <= LARGEST_SERIAL:
        raise ConfigurationError(f"a serial lies between 1 and {LARGEST_SERIAL}")
    if not private_keys:
        raise ConfigurationError("no private key is given", hint="who signs?")
    bundle = load(os.fspath(path))
    main, files = documents(Path(path), bundle)
    # Loaded again from the bytes that are signed: what was read before may have changed since.
    held = load_files(files, main=main, shown=os.fspath(path))
    if held.digest != bundle.digest:
        raise BundleRefused("the policy changed while it was read", hint="run it again")
    check_fitness(bundle, today)
    manifest = Manifest(
        created=stamp(created),
        digest=bundle.digest,
        files=tuple(
            FileEntry(name=name, sha256=digest(files[name]), size=len(files[name]))
            for name in sorted(files)
        ),
        format=FORMAT,
        main=main,
        policy=bundle.name,
        serial=serial,
        version=bundle.policy.metadata.version,
    )
    text = encoded(manifest)
    read_manifest(text)  # what could not be opened is not made
    signatures = dict(sign(text, key) for key in private_keys)
    content = sealed(text, files, signatures)
    if len(content) > LARGEST:
        raise BundleRefused(f"the bundle would have more than {LARGEST:,} bytes")
    return Packed(content=content, manifest=manifest, signers=tuple(sorted(signatures)))


def open_bundle(
    path: str | os.PathLike[str],
    *,
    keys: Sequence[KeySource],
    after: int | None = None,
    policy: str | None = None,
) -> Opened:
    """Return the policy in a signed bundle.

    First the signature is verified, then the hash of every file, then the policy is loaded,
    and then its digest compared. Nothing is read further than it is vouched for.

    Args:
        path: The bundle.
        keys: Public keys of those who may sign, any of them: 32 bytes, PEM as bytes, or paths.
        after: The serial has to be larger than this.
        policy: The name that the policy has to have.

    Raises:
        BundleRefused: It cannot be trusted, or is not the one asked for.
        PolicyError: It is signed, but this version cannot load it.
        ConfigurationError: It or a key cannot be read.
    """
    trusted = public_keys(keys)
    contents = verified(read_bundle(path), trusted)
    check_asked(contents.manifest, after=after, policy=policy)
    bundle = loaded(contents, shown=os.fspath(path))
    return Opened(bundle=bundle, manifest=contents.manifest, signers=contents.signers)


def read_bundle(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a bundle, and one more than allowed where it is too large.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with open_regular(Path(path)) as stream:
            return stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        message = f"the bundle `{os.fspath(path)}` cannot be read: {reason}"
        raise ConfigurationError(message) from None


def check_asked(manifest: Manifest, *, after: int | None, policy: str | None) -> None:
    """Refuse a bundle that is good, but not the one that is asked for."""
    if policy is not None and manifest.policy != policy:
        raise BundleRefused("the bundle holds another policy than the one asked for")
    if after is not None and manifest.serial <= after:
        raise BundleRefused(
            f"the bundle has serial {manifest.serial}, which is not after {after}",
            hint="an older release is not taken; sign it again with a larger serial",
        )


def loaded(contents: Contents, *, shown: str) -> Bundle:
    """Return the policy of verified contents, which has to be the one that was signed."""
    manifest = contents.manifest
    bundle = load_files(contents.files, main=manifest.main, shown=shown)
    told = (manifest.digest, manifest.policy, manifest.version)
    if told != (bundle.digest, bundle.name, bundle.policy.metadata.version):
        raise BundleRefused(
            "the policy in the bundle does not have the digest that was signed",
            hint="another version of modelrouter made it; create it again with this one",
        )
    return bundle


def documents(path: Path, bundle: Bundle) -> tuple[str, Mapping[str, bytes]]:
    """Return the name of the policy document, and the bytes of every document by name."""
    if len(bundle.layers) > 1:
        raise BundleRefused(
            f"`{bundle.name}` extends `{bundle.layers[-2].name}`, and a bundle holds one folder",
            hint="sign the uppermost layer, and keep those below it beside what they extend",
        )
    if bundle.shadow is not None:
        raise BundleRefused(
            f"`{bundle.name}` names a shadow, and a bundle holds one policy",
            hint="leave `shadow` out, and hand the router the other policy: `shadow=`",
        )
    main = main_of(path)
    names = (main.name, *bundle.catalogs, *bundle.tests, *bundle.properties)
    files: dict[str, bytes] = {}
    for named in names:
        name = str(PurePosixPath(named))  # `./catalog.yaml` is `catalog.yaml`
        if not fitting_name(name):
            raise BundleRefused(
                f"`{name[:100]}` cannot be the name of a file in a bundle",
                hint="use up to 90 letters, digits, `.`, `_` and `-`, in folders below the policy",
            )
        try:
            with open_regular(main.parent / name) as stream:
                files[name] = stream.read(LARGEST_FILE + 1)
        except OSError as error:
            raise ConfigurationError(f"`{name}` cannot be read: {error.strerror}") from None
    return main.name, files


def main_of(path: Path) -> Path:
    """Return the policy document of a policy that has loaded."""
    if not is_folder(path):
        return path
    return next(file for file in yaml_files(path) if kind_of(read_file(file)) == "Policy")


def check_fitness(bundle: Bundle, today: datetime.date) -> None:
    """Refuse to sign a policy that its own owner would not release."""
    where = f"`modelrouter check {bundle.path}`"
    errors = [problem for problem in lint(bundle, today) if problem.severity == "error"]
    if errors:
        lines = "\n".join(str(problem) for problem in errors)
        raise BundleRefused(f"the policy has errors:\n{lines}", hint=where)
    outcomes = tuple(run_tests(bundle, today=today))
    failed = [part.name for part in outcomes if not part.passed]
    where = f"`modelrouter test {bundle.path}`"
    if failed:
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise BundleRefused(f"test `{failed[0]}`{more} fails", hint=where)
    if not outcomes:
        raise BundleRefused("the policy has no tests", hint="what nobody tested is not signed")
    broken = [proof for _, _, proof in prove_all(bundle, at=today) if not proof.holds]
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        message = f"claim `{broken[0].id}` {broken[0].failure}{more}"
        raise BundleRefused(message, hint=f"`modelrouter prove {bundle.path}`")
