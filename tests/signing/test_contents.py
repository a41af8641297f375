"""What is accepted as a bundle: nothing but what was signed, byte for byte."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from modelrouter.errors import BundleRefused
from modelrouter.signing import Packed, peek
from modelrouter.signing.archive import LARGEST, header, joined, members
from modelrouter.signing.contents import sealed
from modelrouter.signing.manifest import encoded
from tests.signing.kit import Keys, opened, packed, resealed, write_policy

FILES = ["models.yaml", "policy.yaml", "policy_test.yaml"]


def plain(bundle: Packed) -> Any:
    return json.loads(encoded(bundle.manifest))


def spelled(manifest: Any) -> bytes:
    return json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"


def test_a_bundle_gives_back_the_exact_bytes(folder: Path, keys: Keys) -> None:
    (folder / "policy.yaml").write_bytes(
        b"# \xc3\xa9t\xc3\xa9, in Windows lines\r\n" + (folder / "policy.yaml").read_bytes()
    )
    found = opened(packed(folder, keys).content, keys)
    assert dict(found.files) == {name: (folder / name).read_bytes() for name in FILES}
    assert found.signers == (keys.id,)
    manifest = found.manifest
    assert (manifest.policy, manifest.version, manifest.serial) == ("mill", "1", 7)
    assert (manifest.main, manifest.created) == ("policy.yaml", "2026-11-23T09:30:05Z")


def test_the_same_input_gives_the_same_bytes(folder: Path, tmp_path: Path, keys: Keys) -> None:
    again = write_policy(tmp_path / "elsewhere" / "copy")
    assert packed(folder, keys).content == packed(again, keys).content
    assert packed(folder, keys).content != packed(folder, keys, serial=8).content


def test_every_byte_counts(small: Packed, keys: Keys) -> None:
    content = bytearray(small.content)
    for place in range(len(content)):
        kept = content[place]
        for flip in (0x01, 0x80, 0x20):
            content[place] = kept ^ flip
            with pytest.raises(BundleRefused):
                opened(bytes(content), keys)
        content[place] = kept
    assert opened(bytes(content), keys).signers == (keys.id,)


def test_a_bundle_that_is_cut_off_is_refused_at_every_length(small: Packed, keys: Keys) -> None:
    for length in range(len(small.content)):
        with pytest.raises(BundleRefused):
            opened(small.content[:length], keys)


@pytest.mark.parametrize("more", [b"\0", bytes(512), bytes(8192), b"x", b"PK\x05\x06"])
def test_nothing_may_follow(small: Packed, keys: Keys, more: bytes) -> None:
    with pytest.raises(BundleRefused, match="does not end where it should"):
        opened(small.content + more, keys)


def test_a_bundle_of_another_signer_is_refused(small: Packed, keys: Keys, others: Keys) -> None:
    with pytest.raises(BundleRefused, match=f"no trusted key.*{keys.id[:16]}"):
        opened(small.content, others)


def test_any_of_the_trusted_keys_will_do(small: Packed, keys: Keys, others: Keys) -> None:
    assert opened(small.content, others, keys).signers == (keys.id,)


def test_of_two_signatures_each_trusted_one_has_to_be_good(
    folder: Path, keys: Keys, others: Keys
) -> None:
    both = packed(folder, keys, others)
    assert set(opened(both.content, keys, others).signers) == {keys.id, others.id}
    assert opened(both.content, keys).signers == (keys.id,)
    one = packed(folder, keys)
    signatures = envelope(both.content)
    signatures[others.id] = bytes(64)
    files = {name: (folder / name).read_bytes() for name in FILES}
    forged = sealed(encoded(one.manifest), files, signatures)
    with pytest.raises(BundleRefused, match="changed after signing"):
        opened(forged, keys, others)
    assert opened(forged, keys).signers == (keys.id,)


def envelope(content: bytes) -> dict[str, bytes]:
    lines = dict(members(content))["modelrouter-bundle"].decode().splitlines()[1:]
    return {name: bytes.fromhex(value) for name, value in (line.split() for line in lines)}


def test_a_signature_over_the_bare_manifest_is_no_signature(small: Packed, keys: Keys) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    key: Any = load_pem_private_key(keys.private, None)
    manifest = encoded(small.manifest)
    files = opened(small.content, keys).files
    assert opened(resealed(manifest, files, keys), keys).signers
    with pytest.raises(BundleRefused, match="changed after signing"):
        opened(sealed(manifest, files, {keys.id: key.sign(manifest)}), keys)


def test_an_unsigned_bundle_is_refused(small: Packed, keys: Keys) -> None:
    files = opened(small.content, keys).files
    with pytest.raises(BundleRefused, match="the bundle is not signed"):
        opened(sealed(encoded(small.manifest), files, {}), keys)


def test_another_format_is_named(small: Packed, keys: Keys) -> None:
    parts = dict(members(small.content))
    for head, said in ((b"format 2\n", "format 2"), (b"hello\n", "unknown format")):
        rest = parts["modelrouter-bundle"].partition(b"\n")[2]
        with pytest.raises(BundleRefused, match=f"{said}; this version reads 1"):
            opened(joined((parts | {"modelrouter-bundle": head + rest}).items()), keys)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "form of this format"),
        ({"format": True}, "form of this format"),
        ({"serial": 0}, "form of this format"),
        ({"serial": 2**53}, "form of this format"),
        ({"serial": 7.0}, "form of this format"),
        ({"serial": True}, "form of this format"),
        ({"surplus": 1}, "form of this format"),
        ({"digest": "A" * 64}, "form of this format"),
        ({"created": "2026-11-23 09:30:05"}, "form of this format"),
        ({"files": []}, "form of this format"),
        ({"main": "other.yaml"}, "names a policy document that is not"),
    ],
)
def test_a_signed_manifest_of_another_form_is_refused(
    small: Packed, keys: Keys, change: Any, told: str
) -> None:
    manifest = spelled(plain(small) | change)
    with pytest.raises(BundleRefused, match=told):
        opened(resealed(manifest, opened(small.content, keys).files, keys), keys)


def test_a_manifest_has_one_spelling(small: Packed, keys: Keys) -> None:
    files = opened(small.content, keys).files
    manifest = plain(small)
    good = spelled(manifest)
    assert opened(resealed(good, files, keys), keys).signers
    spellings = [
        json.dumps(manifest).encode(),
        json.dumps(manifest, indent=1).encode() + b"\n\n",
        good.replace(b'"serial": 7', b'"serial": 8,\n "serial": 7'),
        good.replace(b'"mill"', b'"\\u006dill"'),
        b"\xef\xbb\xbf" + good,
        b"[" * 100_000,
        b"",
    ]
    for spelling in spellings:
        with pytest.raises(BundleRefused, match="not in the form"):
            opened(resealed(spelling, files, keys), keys)


@pytest.mark.parametrize(
    "name",
    [
        "../policy.yaml",
        "/etc/policy.yaml",
        "a/../policy.yaml",
        "./policy.yaml",
        "a//policy.yaml",
        "a\\policy.yaml",
        "C:policy.yaml",
        ".hidden.yaml",
        "",
        "policy.yaml/",
        "policy\0.yaml",
        "pol\u0131cy.yaml",
        "policy.yaml\n",
        "x" * 91,
    ],
)
def test_a_hostile_name_is_refused_even_if_it_is_signed(
    small: Packed, keys: Keys, name: str
) -> None:
    manifest = plain(small)
    manifest["files"] = [manifest["files"][0] | {"name": name}]
    manifest["main"] = name
    files = {"x.yaml": opened(small.content, keys).files["models.yaml"]}
    with pytest.raises(BundleRefused, match="is not allowed"):
        opened(resealed(spelled(manifest), files, keys), keys)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["b.yaml", "a.yaml"], "out of order"),
        (["a.yaml", "a.yaml"], "stands in it twice"),
        (["A.yaml", "a.yaml"], "stands in it twice"),
        (["a", "a/b.yaml"], "a file and a folder of the same name"),
        (["A", "a/b.yaml"], "a file and a folder of the same name"),
    ],
)
def test_names_that_clash_are_refused(
    small: Packed, keys: Keys, names: list[str], told: str
) -> None:
    manifest = plain(small)
    manifest["files"] = [manifest["files"][0] | {"name": name} for name in names]
    manifest["main"] = names[0]
    with pytest.raises(BundleRefused, match=told):
        opened(resealed(spelled(manifest), {}, keys), keys)


def test_files_are_those_of_the_manifest_and_no_others(small: Packed, keys: Keys) -> None:
    files = dict(opened(small.content, keys).files)
    manifest = encoded(small.manifest)
    changed = files | {"policy.yaml": files["policy.yaml"].replace(b"permit", b"forbid")}
    longer = files | {"policy.yaml": files["policy.yaml"] + b"\n"}
    without = {name: text for name, text in files.items() if name != "policy.yaml"}
    for held in (changed, longer, without):
        with pytest.raises(BundleRefused, match=r"file `policy\.yaml` is not the one"):
            opened(resealed(manifest, held, keys), keys)
    with pytest.raises(BundleRefused, match="a file that its manifest does not name"):
        opened(resealed(manifest, files | {"z.yaml": b""}, keys), keys)


def test_sizes_are_bounded_before_anything_is_read(small: Packed, keys: Keys) -> None:
    with pytest.raises(BundleRefused, match="more than 8,388,608 bytes"):
        opened(small.content + bytes(LARGEST), keys)
    # A header may promise any size: only what is there is taken.
    huge = header("modelrouter-bundle", 8**11 - 1)
    with pytest.raises(BundleRefused, match="cut off"):
        opened(huge + bytes(1024), keys)
    manifest = plain(small)
    manifest["files"][0]["size"] = 2**20 + 1
    with pytest.raises(BundleRefused, match="not in the form"):
        opened(resealed(spelled(manifest), {}, keys), keys)
    manifest = plain(small)
    entry = manifest["files"][0]
    manifest["files"] = [entry | {"name": f"f{number:04}.yaml"} for number in range(257)]
    with pytest.raises(BundleRefused, match="not in the form"):
        opened(resealed(spelled(manifest), {}, keys), keys)


@pytest.mark.parametrize("kind", ["link", "hard link", "folder", "device", "long name", "old"])
def test_a_tar_file_of_other_things_is_refused(keys: Keys, small: Packed, kind: str) -> None:
    held = io.BytesIO()
    form = tarfile.PAX_FORMAT if kind == "long name" else tarfile.USTAR_FORMAT
    with tarfile.open(fileobj=held, mode="w", format=form) as archive:
        part = tarfile.TarInfo("modelrouter-bundle")
        part.mtime = 1 if kind == "old" else 0
        if kind == "long name":
            part.name = "é" * 150
        types = {
            "link": tarfile.SYMTYPE,
            "hard link": tarfile.LNKTYPE,
            "folder": tarfile.DIRTYPE,
            "device": tarfile.CHRTYPE,
        }
        part.type = types.get(kind, tarfile.REGTYPE)
        part.linkname = "policy.yaml" if "link" in kind else ""
        archive.addfile(part)
    with pytest.raises(BundleRefused, match="not a bundle"):
        opened(held.getvalue(), keys)


def test_ordinary_tools_read_a_bundle(small: Packed, keys: Keys, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(small.content)) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert names == ["modelrouter-bundle", "manifest.json", *(f"files/{name}" for name in FILES)]
    assert (tmp_path / "manifest.json").read_bytes() == encoded(small.manifest)
    assert (tmp_path / "files" / "policy.yaml").read_bytes() == opened(small.content, keys).files[
        "policy.yaml"
    ]


@pytest.mark.parametrize("content", [b"", b"\0" * 1024, b"PK\x03\x04", b"\x1f\x8b", b"a: b\n"])
def test_other_files_are_no_bundles(content: bytes, keys: Keys) -> None:
    for read in (peek, lambda part: opened(part, keys)):
        with pytest.raises(BundleRefused, match=r"not a bundle|cut off|no manifest"):
            read(content)


def test_looking_verifies_nothing(small: Packed, folder: Path, others: Keys) -> None:
    files = {name: (folder / name).read_bytes() for name in FILES}
    forged = sealed(encoded(small.manifest), files, {others.id: bytes(64)})
    found = peek(forged)
    assert (found.signers, found.named) == ((), (others.id,))
