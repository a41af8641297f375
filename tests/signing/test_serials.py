"""The highest serial ever accepted: shared by processes, and whole after every crash."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelrouter.errors import BundleRefused, ConfigurationError
from modelrouter.signing.manifest import FileEntry, Manifest
from modelrouter.signing.serials import Accepted, ProcessSerials, accept_in_file
from modelrouter.writing import write_new, write_whole

DIGEST = "a" * 64


def release(serial: int, *, digest: str = DIGEST, policy: str = "mill") -> Manifest:
    return Manifest(
        created="2026-11-23T09:30:05Z",
        digest=digest,
        files=(FileEntry(name="policy.yaml", sha256=DIGEST, size=1),),
        format=1,
        main="policy.yaml",
        policy=policy,
        serial=serial,
        version="1",
    )


def held(file: Path) -> int:
    return Accepted.model_validate_json(file.read_bytes()).serial


def test_the_highest_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "serial"
    for serial in (3, 3, 5):
        accept_in_file(file, release(serial))
    assert held(file) == 5
    with pytest.raises(BundleRefused, match="serial 4, and 5 was accepted before"):
        accept_in_file(file, release(4))
    with pytest.raises(BundleRefused, match="same serial 5"):
        accept_in_file(file, release(5, digest="b" * 64))
    assert held(file) == 5


def test_a_file_belongs_to_one_policy(tmp_path: Path) -> None:
    accept_in_file(tmp_path / "serial", release(3))
    with pytest.raises(BundleRefused, match="belongs to another policy"):
        accept_in_file(tmp_path / "serial", release(9, policy="bakery"))


@pytest.mark.parametrize(
    "content", [b"", b"7", b"{}", b'{"policy":"mill","serial":0,"digest":"a"}', b"\xff" * 40_000]
)
def test_a_damaged_file_is_not_taken_for_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "serial"
    file.write_bytes(content)
    with pytest.raises(BundleRefused, match="is damaged"):
        accept_in_file(file, release(9))
    assert file.read_bytes() == content


def test_a_file_that_cannot_be_used_accepts_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for file in (tmp_path / "folder", tmp_path / "lost" / "serial", Path("nul\0")):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            accept_in_file(file, release(9))


def test_through_a_link_the_file_that_outlives_the_process_is_kept(tmp_path: Path) -> None:
    disk, etc = tmp_path / "disk", tmp_path / "etc"
    disk.mkdir()
    etc.mkdir()
    (etc / "serial").symlink_to("../disk/serial")  # leads nowhere as yet
    for serial in (3, 5):
        accept_in_file(etc / "serial", release(serial))
        assert (etc / "serial").is_symlink()
        assert held(disk / "serial") == serial
    with pytest.raises(BundleRefused, match="serial 4, and 5 was accepted before"):
        accept_in_file(disk / "serial", release(4))
    # One lock for both paths.
    assert sorted(part.name for part in disk.iterdir()) == ["serial", "serial.lock"]
    assert [part.name for part in etc.iterdir()] == ["serial"]


def test_a_link_that_leads_in_a_circle_accepts_nothing(tmp_path: Path) -> None:
    (tmp_path / "serial").symlink_to("serial")
    with pytest.raises(ConfigurationError, match="cannot be used: Too many levels"):
        accept_in_file(tmp_path / "serial", release(3))
    assert (tmp_path / "serial").is_symlink()


def test_what_a_crash_left_behind_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "serial"
    accept_in_file(file, release(3))
    # A process that died after writing beside the file, and one that died while writing.
    for left in (b'{"policy":"mill","serial":99,"digest":"' + b"a" * 64 + b'"}\n', b'{"poli'):
        (tmp_path / ".serial.new").write_bytes(left)
        accept_in_file(file, release(held(file) + 1))
        assert not (tmp_path / ".serial.new").exists()
    assert held(file) == 5


DYING = """
import os, sys
from pathlib import Path
from tests.signing.test_serials import release
from modelrouter.signing import serials
class Dying(type(Path())):
    def replace(self, target): os._exit(9)
    def with_name(self, name): return Dying(super().with_name(name))
serials.Path = Dying
serials.accept_in_file(sys.argv[1], release(8))
"""


def test_a_process_that_dies_in_between_leaves_the_old_serial_and_no_lock(tmp_path: Path) -> None:
    file = tmp_path / "serial"
    accept_in_file(file, release(3))
    done = subprocess.run([sys.executable, "-c", DYING, str(file)], check=False, timeout=60)
    assert done.returncode == 9
    assert held(file) == 3
    accept_in_file(file, release(4))
    assert held(file) == 4


RACING = """
import sys
from tests.signing.test_serials import release
from modelrouter.errors import BundleRefused
from modelrouter.signing.serials import accept_in_file
taken = 0
sys.stdin.readline()
for serial in range(int(sys.argv[2]), 120, 2):
    try:
        accept_in_file(sys.argv[1], release(serial))
        print(serial, flush=True)
    except BundleRefused as error:
        assert "was accepted before" in str(error), error
"""


def test_of_two_processes_neither_takes_the_file_back(tmp_path: Path) -> None:
    file = tmp_path / "serial"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, str(file), start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for start in ("1", "2")
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    accepted: list[int] = []
    for racer in racers:
        out, err = racer.communicate(timeout=60)
        assert (racer.returncode, err) == (0, "")
        accepted += map(int, out.split())  # one may come too late for all of its own
    assert held(file) == max(accepted) == 119
    assert sorted(path.name for path in tmp_path.iterdir()) == ["serial", "serial.lock"]


def test_of_many_threads_with_one_serial_one_digest_wins(tmp_path: Path) -> None:
    file, taken = tmp_path / "serial", list[str]()
    start = threading.Barrier(8)

    def take(letter: str) -> None:
        start.wait()
        try:
            accept_in_file(file, release(7, digest=letter * 64))
        except BundleRefused:
            return
        taken.append(letter)

    threads = [threading.Thread(target=take, args=(letter,)) for letter in "01234567"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert Accepted.model_validate_json(file.read_bytes()).digest == taken[0] * 64


def test_a_process_remembers_by_key_and_policy() -> None:
    memory = ProcessSerials()
    memory.accept(release(5), ["k1"])
    memory.accept(release(1, policy="bakery"), ["k1"])
    memory.accept(release(1), ["k2"])
    with pytest.raises(BundleRefused):
        memory.accept(release(4), ["k3", "k1"])
    memory.accept(release(1), ["k3"])  # what was refused left no trace
    memory.renew()
    with pytest.raises(BundleRefused):
        memory.accept(release(5, digest="b" * 64), ["k1"])


FULL = """
import resource, signal, sys
from tests.signing.test_serials import release
from modelrouter.errors import ConfigurationError
from modelrouter.signing.serials import accept_in_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
try:
    accept_in_file(sys.argv[1], release(8))
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_disk_that_is_full_leaves_the_old_serial(tmp_path: Path) -> None:
    file = tmp_path / "serial"
    accept_in_file(file, release(3))
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file)], capture_output=True, text=True, check=True
    )
    assert "cannot be used: File too large" in done.stdout
    assert held(file) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["serial", "serial.lock"]


def test_a_new_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"old")
    for name in ("link", "file"):
        with pytest.raises(FileExistsError):
            write_new(tmp_path / name, b"new", mode=0o600)
    assert not (tmp_path / "nowhere").exists()
    write_whole(tmp_path / "file", b"new", mode=0o600)
    assert (tmp_path / "file").read_bytes() == b"new"
