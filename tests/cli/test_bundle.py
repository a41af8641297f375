"""`modelrouter bundle`: exit codes, what is printed, and what never is."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from modelrouter.signing import generate, peek
from modelrouter.signing.contents import sealed
from modelrouter.signing.manifest import encoded
from tests.cli.running import POLICIES, Done, run


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    done = run("bundle", "keygen", str(tmp_path / "mine"))
    assert done.code == 0
    private, public = done.out.splitlines()[:2]
    return private, public


@pytest.fixture
def bundle(tmp_path: Path, pair: tuple[str, str]) -> str:
    file = str(tmp_path / "q.bundle")
    done = create(file, pair[0])
    assert (done.code, done.err) == (0, "")
    return file


def create(file: str, key: str, *more: str, policy: str = str(POLICIES / "quickstart")) -> Done:
    return run("bundle", "create", policy, "-o", file, "--key", key, "--serial", "7", *more)


def test_keys_are_made_once_and_only_for_their_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        done = run("bundle", "keygen", str(tmp_path))
    finally:
        os.umask(before)
    assert done.code == 0
    names = ("bundle.private.pem", "bundle.public.pem")
    assert done.out.splitlines()[:2] == [str(tmp_path / name) for name in names]
    private = tmp_path / names[0]
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    kept = private.read_bytes()
    again = run("bundle", "keygen", str(tmp_path))
    assert (again.code, again.out) == (2, "")
    assert "it exists, and is not written over" in again.err
    assert private.read_bytes() == kept
    private.unlink()
    assert run("bundle", "keygen", str(tmp_path)).code == 2
    assert not private.exists()  # half a pair is of no use
    assert run("bundle", "keygen", str(tmp_path / "lost" / "k")).code == 2


def test_a_bundle_is_made_and_verified(bundle: str, pair: tuple[str, str]) -> None:
    done = run("bundle", "verify", bundle, "--key", pair[1])
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:3] == [
        f"{bundle}: verified",
        'policy  "quickstart" "1"',
        "serial  7",
    ]
    found = run("bundle", "verify", bundle, "--key", pair[1], "--after", "6", "--json").json
    assert (found["verified"], found["serial"], found["policy"]) == (True, 7, "quickstart")
    assert [part["name"] for part in found["files"]] == [
        "policy.yaml",
        "policy_test.yaml",
        "properties.yaml",
    ]
    digest = run("test", str(POLICIES / "quickstart"), "--json").json["policy_digest"]
    assert found["digest"] == digest


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names there")
def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path, pair: tuple[str, str]) -> None:
    real, link, pipe = (tmp_path / name for name in ("real", "link", "pipe"))
    link.symlink_to("real")
    assert create(str(link), pair[0]).code == 0
    assert link.is_symlink()
    assert peek(real.read_bytes()).manifest.serial == 7
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        done = create(str(pipe), pair[0])
        assert (done.code, done.out) == (0, "")
        assert pipe.is_fifo()
        assert os.read(descriptor, 1 << 20) == real.read_bytes()
    finally:
        os.close(descriptor)
    assert create("/dev/null", pair[0]).code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/stdout")
@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_standard_output_holds_the_bundle_alone(
    tmp_path: Path, pair: tuple[str, str], mode: str
) -> None:
    argv = [sys.executable, "-m", "modelrouter", "bundle", "create", str(POLICIES / "quickstart")]
    argv += ["-o", "/dev/stdout", "--key", pair[0], "--serial", "7"]
    for target in (tmp_path / "file", None):
        with (tmp_path / "file").open(mode) as stream:
            begun = os.fstat(stream.fileno()).st_ino
            done = subprocess.run(
                argv, check=True, stdout=stream if target else subprocess.PIPE, stderr=-1
            )
        content = target.read_bytes() if target else done.stdout
        assert peek(content).manifest.serial == 7
        assert b"serial  7" in done.stderr
        assert (tmp_path / "file").stat().st_ino == begun  # written into, not replaced


def test_showing_says_that_nothing_was_verified(bundle: str, pair: tuple[str, str]) -> None:
    content = Path(bundle).read_bytes()
    found = peek(content)
    Path(bundle).write_bytes(sealed(encoded(found.manifest), found.files, {"0" * 64: bytes(64)}))
    done = run("bundle", "show", bundle)
    assert done.code == 0
    assert "NOTHING WAS VERIFIED" in done.out.splitlines()[0]
    assert f"names as signer {'0' * 64}" in done.out
    assert "signed by" not in done.out
    done = run("bundle", "show", bundle, "--json")
    assert done.json["verified"] is False
    assert "NOTHING WAS VERIFIED" in done.err
    assert run("bundle", "verify", bundle, "--key", pair[1]).code == 1


def test_a_bundle_cannot_command_the_terminal(bundle: str) -> None:
    found = peek(Path(bundle).read_bytes())
    update = {"policy": "\x1b[2J\x07\u202e", "version": "\r\n0"}
    manifest = encoded(found.manifest.model_copy(update=update))
    Path(bundle).write_bytes(sealed(manifest, found.files, {"0" * 64: bytes(64)}))
    for more in ((), ("--json",)):
        done = run("bundle", "show", bundle, *more)
        assert done.code == 0
        assert all(part.isprintable() and part.isascii() for part in done.out.splitlines())


def test_what_is_not_to_be_trusted_ends_in_one(
    bundle: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    other = str(tmp_path / "other.pem")
    Path(other).write_bytes(generate()[1])
    refused = [
        ("--key", other),
        ("--key", pair[1], "--after", "7"),
        ("--key", pair[1], "--policy", "hospital"),
    ]
    for more in refused:
        done = run("bundle", "verify", bundle, *more)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("refused: ")
    assert run("bundle", "verify", bundle, "--key", other, "--key", pair[1]).code == 0
    content = Path(bundle).read_bytes()
    for changed in (content[:-1], content + b"\0", content.replace(b"forbid", b"permit")):
        Path(bundle).write_bytes(changed)
        assert run("bundle", "verify", bundle, "--key", pair[1]).code == 1
    Path(bundle).write_text("text")
    assert run("bundle", "show", bundle).code == 1


def test_wrong_usage_and_unreadable_files_end_in_two(
    bundle: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    private, public = pair
    for argv in (
        ("verify", bundle),
        ("verify", str(tmp_path / "lost"), "--key", public),
        ("verify", str(tmp_path), "--key", public),
        ("verify", bundle, "--key", str(tmp_path / "lost")),
        ("verify", bundle, "--key", private),
        ("verify", bundle, "--key", public, "--after", "-1"),
        ("verify", bundle, "--key", public, "--after", "٣"),
        ("show", str(tmp_path / "lost")),
        ("open", bundle),
        (),
    ):
        done = run("bundle", *argv)
        assert (done.code, done.out) == (2, ""), argv
    file = str(tmp_path / "x.bundle")
    for serial in ("0", "1.0", "1e3", "9007199254740992", "", "7 "):
        words = ["bundle", "create", str(POLICIES / "quickstart"), "-o", file, "--key", private]
        assert run(*words, "--serial", serial).code == 2
    assert create(file, public).code == 2
    assert create(file, private, policy=str(tmp_path / "lost")).code == 2
    assert create(str(tmp_path / "lost" / "x"), private).code == 2
    assert not Path(file).exists()


def test_a_policy_unfit_to_be_signed_ends_in_one_and_writes_nothing(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "policy"
    folder.mkdir()
    text = (POLICIES / "quickstart" / "policy.yaml").read_text()
    (folder / "policy.yaml").write_text(text)
    file = tmp_path / "x.bundle"
    done = create(str(file), pair[0], policy=str(folder))
    assert done.code == 1
    assert "the policy has no tests" in done.err
    assert not file.exists()


def test_no_part_of_a_private_key_is_ever_printed(
    bundle: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    pem = Path(pair[0]).read_text()
    body = "".join(pem.splitlines()[1:-1])
    seed = base64.b64decode(body)[-32:]
    canaries = [body[20:44], seed.hex()[:16], base64.b64encode(seed).decode()[:16]]
    torn = tmp_path / "torn.pem"
    torn.write_text(pem.replace("END", "DNE"))
    file = str(tmp_path / "again.bundle")
    runs = [
        create(file, pair[0]),
        create(file, str(torn)),
        create(file, pair[0], "--serial", body),
        create(file, pair[0], policy=pair[0]),
        run("bundle", "verify", bundle, "--key", pair[0]),
        run("bundle", "verify", pair[0], "--key", pair[1]),
        run("bundle", "show", pair[0]),
        run("bundle", "show", bundle, "--json"),
        run("check", pair[0]),
    ]
    told = "".join(done.out + done.err for done in runs[:2] + runs[3:])
    assert not [part for part in canaries if part in told]
    content = Path(bundle).read_bytes()
    assert seed not in content
    assert not [part for part in canaries if part.encode() in content]


def test_the_time_is_taken_from_the_clock_in_utc(bundle: str) -> None:
    created = peek(Path(bundle).read_bytes()).manifest.created
    assert len(created) == 20
    assert created.endswith("Z")
    assert json.loads(encoded(peek(Path(bundle).read_bytes()).manifest))["created"] == created
