"""Making bundles, opening them, and letting them into a router."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from modelrouter import BundleRefused, ConfigurationError, PolicyError, Router
from modelrouter.loader import load
from modelrouter.signing import RouterOptions, generate, open_bundle, pack
from modelrouter.signing.keys import read_key
from modelrouter.signing.manifest import FileEntry, digest, encoded, read_manifest
from modelrouter.signing.serials import accept_in_file
from modelrouter.signing.staging import load_files
from tests.signing.kit import CATALOG, CREATED, DAY, POLICY, TESTS, Keys, opened, packed, resealed
from tests.signing.kit import write_policy as policy_in

POLICIES = Path(__file__).parents[2] / "policies"


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["bank", "hospital", "quickstart", "startup"])
def test_a_policy_comes_out_as_it_went_in(name: str, tmp_path: Path, keys: Keys) -> None:
    before = load(POLICIES / name)
    file = written(tmp_path / "b", packed(POLICIES / name, keys).content)
    after = open_bundle(file, keys=[keys.public]).bundle
    assert after.digest == before.digest
    assert (after.policy, after.catalogs, after.models) == (
        before.policy,
        before.catalogs,
        before.models,
    )
    assert (after.tests, after.properties) == (before.tests, before.properties)
    assert after.path == str(file)
    places = {key: (place.file, place.line) for key, place in after.places.items()}
    assert places == {
        key: (Path(str(place.file)).name, place.line) for key, place in before.places.items()
    }
    assert tempfile.gettempdir() not in repr(after).replace(str(file), "")


def test_no_temporary_folder_is_left_or_named(
    tmp_path: Path, folder: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    file = written(tmp_path / "b", packed(folder, keys).content)
    open_bundle(file, keys=[keys.public])
    assert list(room.iterdir()) == []
    files = {
        "p.yaml": POLICY.replace("models.yaml", "lost.yaml").encode(),
        "p_test.yaml": TESTS.replace("policy.yaml", "q.yaml").encode(),
    }
    with pytest.raises(PolicyError) as caught:
        load_files(files, main="p.yaml", shown="mill.bundle")
    assert list(room.iterdir()) == []
    assert {problem.file for problem in caught.value.problems} == {"p.yaml", "p_test.yaml"}
    assert "looked in mill.bundle" in str(caught.value.problems)
    assert str(room) not in str(caught.value) + repr(caught.value.problems)


def test_a_catalogue_may_lie_in_a_folder(tmp_path: Path, keys: Keys) -> None:
    folder = policy_in(tmp_path, policy=POLICY.replace("models.yaml", "./house/models.yaml"))
    (folder / "house").mkdir()
    (folder / "models.yaml").rename(folder / "house" / "models.yaml")
    bundle = packed(folder, keys)
    assert [part.name for part in bundle.manifest.files] == [
        "house/models.yaml",
        "policy.yaml",
        "policy_test.yaml",
    ]
    file = written(tmp_path / "b", bundle.content)
    assert open_bundle(file, keys=[keys.public]).bundle.digest == load(folder).digest


def test_a_name_that_not_every_system_can_hold_is_refused(tmp_path: Path, keys: Keys) -> None:
    folder = policy_in(tmp_path, policy=POLICY.replace("models.yaml", "Müller.yaml"))
    (folder / "models.yaml").rename(folder / "Müller.yaml")
    with pytest.raises(BundleRefused, match="cannot be the name of a file"):
        packed(folder, keys)


def test_of_a_folder_with_two_policies_one_is_signed_with_its_own_tests(
    folder: Path, keys: Keys
) -> None:
    (folder / "other.yaml").write_text(POLICY.replace("mill", "other"))
    (folder / "other_test.yaml").write_text(TESTS.replace("policy.yaml", "other.yaml"))
    bundle = packed(folder / "other.yaml", keys)
    assert (bundle.manifest.policy, bundle.manifest.main) == ("other", "other.yaml")
    names = [part.name for part in bundle.manifest.files]
    assert names == ["models.yaml", "other.yaml", "other_test.yaml"]


def test_a_policy_that_fails_its_tests_or_has_none_is_not_signed(
    tmp_path: Path, keys: Keys
) -> None:
    wrong = TESTS.replace("model: house/small", "decision: deny")
    with pytest.raises(BundleRefused, match="test `stays` fails"):
        packed(policy_in(tmp_path / "a", policy_test=wrong), keys)
    none = policy_in(tmp_path / "b")
    (none / "policy_test.yaml").unlink()
    with pytest.raises(BundleRefused, match="has no tests"):
        packed(none, keys)


CLAIMS = """apiVersion: modelrouter/v1
kind: Properties
policy: policy.yaml
properties:
  - {id: served, when: {level: public}, always_served: true}
  - {id: locked, when: {level: restricted}, never_sent: all}
"""


def test_a_policy_with_a_claim_that_is_not_proved_is_not_signed(tmp_path: Path, keys: Keys) -> None:
    folder = policy_in(tmp_path)
    (folder / "properties.yaml").write_text(CLAIMS)
    with pytest.raises(
        BundleRefused, match="claim `locked` does not hold: `house/small`"
    ) as caught:
        packed(folder, keys)
    assert "modelrouter prove" in str(caught.value.__notes__)
    (folder / "properties.yaml").write_text(CLAIMS.replace("restricted}, never", "public}, never"))
    with pytest.raises(BundleRefused, match="claim `locked`"):
        packed(folder, keys)
    (folder / "properties.yaml").write_text(
        CLAIMS.replace("never_sent: all", "always_served: true")
    )
    assert packed(folder, keys).content


def test_claims_are_proved_on_the_day_that_is_given(tmp_path: Path, keys: Keys) -> None:
    vendor = (
        "  - {id: away/big, weights: closed, hosting: vendor_api, quality: 0.4,\n"
        '     price: {input: 9, output: 9}, retires: "2026-11-30"}\n'
    )
    folder = policy_in(tmp_path, models=CATALOG + vendor)
    claim = "{id: home, when: {level: public}, never_sent: {hosting: vendor_api}}"
    (folder / "properties.yaml").write_text(CLAIMS[: CLAIMS.index("  - ")] + f"  - {claim}\n")
    with pytest.raises(BundleRefused, match="claim `home`"):
        packed(folder, keys)
    later = datetime.date(2026, 12, 2)  # the vendor's model has retired
    assert pack(folder, private_keys=[keys.private], serial=1, created=CREATED, today=later).content


def test_tests_are_decided_on_the_day_that_is_given(tmp_path: Path, keys: Keys) -> None:
    retired = CATALOG.replace("quality: 0.5", 'quality: 0.5, retires: "2026-11-30"')
    successor = CATALOG[CATALOG.index("  - {id") :].replace("house/small", "house/tall")
    retired += successor.replace("input: 1", "input: 9")
    folder = policy_in(tmp_path, models=retired)
    assert packed(folder, keys).content
    with pytest.raises(BundleRefused, match="test `stays` fails"):
        pack(
            folder,
            private_keys=[keys.private],
            serial=1,
            created=CREATED,
            today=datetime.date(2026, 12, 2),
        )


def test_a_policy_that_check_calls_wrong_is_not_signed(tmp_path: Path, keys: Keys) -> None:
    never = POLICY + "  - {id: never, effect: forbid, when: {tokens: {above: 5, below: 2}}}\n"
    folder = policy_in(tmp_path, policy=never)
    assert [found.code for found in load(folder).problems if found.severity == "error"] == ["MR202"]
    with pytest.raises(BundleRefused, match="MR202"):
        packed(folder, keys)


def test_a_policy_that_does_not_load_is_not_signed(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(PolicyError):
        packed(policy_in(tmp_path, policy=POLICY.replace("permit", "permitt")), keys)


def test_the_digest_that_was_signed_has_to_be_the_one_that_loads(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    # A signer whose version understands the documents otherwise.
    bundle = packed(folder, keys)
    files = opened(bundle.content, keys).files
    for change in ({"digest": "0" * 64}, {"policy": "other"}, {"version": "2"}):
        manifest = encoded(bundle.manifest.model_copy(update=change))
        file = written(tmp_path / "b", resealed(manifest, files, keys))
        with pytest.raises(BundleRefused, match="does not have the digest"):
            open_bundle(file, keys=[keys.public])


def test_a_signed_policy_that_does_not_load_says_where(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    bundle = packed(folder, keys)
    files = dict(opened(bundle.content, keys).files)
    files["policy.yaml"] = files["policy.yaml"].replace(b"effect: permit", b"effect: tolerate")
    entries = [
        {"name": name, "sha256": digest(text), "size": len(text)} for name, text in files.items()
    ]
    plain = bundle.manifest.model_dump() | {"files": tuple(entries)}
    manifest = encoded(type(bundle.manifest).model_validate(plain))
    file = written(tmp_path / "b", resealed(manifest, files, keys))
    with pytest.raises(PolicyError) as caught:
        open_bundle(file, keys=[keys.public])
    assert [(part.file, part.line) for part in caught.value.problems] == [("policy.yaml", 7)]


def test_nothing_of_an_unverified_bundle_is_parsed(
    tmp_path: Path, folder: Path, keys: Keys, others: Keys
) -> None:
    # Each would fail in a way of its own if it were reached before the signature.
    bundle = packed(folder, keys)
    files = dict(opened(bundle.content, keys).files)
    for manifest in (b"[" * 200_000, encoded(bundle.manifest).replace(b'"mill"', b'"null"')):
        content = resealed(manifest, files | {"a.yaml": b"{" * 1000}, others)
        with pytest.raises(BundleRefused, match="no trusted key"):
            open_bundle(written(tmp_path / "b", content), keys=[keys.public])
        lying = content.replace(others.id.encode(), keys.id.encode())
        with pytest.raises(BundleRefused, match=r"changed after signing|not a bundle"):
            open_bundle(written(tmp_path / "b", lying), keys=[keys.public])


def test_keys_are_bytes_pem_or_paths(tmp_path: Path, folder: Path, keys: Keys) -> None:
    from modelrouter.signing import public_key  # noqa: PLC0415 - beside the law it states

    file = written(tmp_path / "b", packed(folder, keys).content)
    pem = written(tmp_path / "k.pem", keys.public)
    raw = public_key(keys.public)
    assert len(raw) == 32
    for source in (raw, keys.public, str(pem), pem):
        assert open_bundle(file, keys=[source]).signers == (keys.id,)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ([], "no public key is given"),
        ("k.pem", "not a list"),
        (b"x" * 32, "not a list"),
        (["lost.pem"], "`lost.pem` cannot be read: No such file"),
        (["nul\0.pem"], "cannot be read: not a path"),
        ([b"-----BEGIN PUBLIC KEY-----"], "no Ed25519 public key"),
        ([b"x" * 31], "no Ed25519 public key"),
    ],
)
def test_what_is_no_key_is_said(
    tmp_path: Path, folder: Path, keys: Keys, source: Any, told: str
) -> None:
    file = written(tmp_path / "b", packed(folder, keys).content)
    with pytest.raises(ConfigurationError, match=told):
        open_bundle(file, keys=source)


def test_a_key_of_another_kind_or_half_is_not_taken(folder: Path, keys: Keys) -> None:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    other = ec.generate_private_key(ec.SECP256R1())
    locked = other.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret")
    )
    plain = other.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    for private, told in (
        (locked, "encrypted"),
        (plain, "not an Ed25519"),
        (keys.public, "not an"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            packed(folder, Keys(private=private, public=b""))
    for public in (keys.private, plain):
        with pytest.raises(ConfigurationError, match="no Ed25519 public key") as caught:
            open_bundle(folder, keys=[public])
        assert b"PRIVATE" not in str(caught.value).encode()


def test_without_cryptography_the_way_to_get_it_is_said(tmp_path: Path) -> None:
    source = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from modelrouter.cli import main\n"
        f"print(main(['bundle', 'keygen', {str(tmp_path / 'k')!r}]))\n"
        f"print(main(['bundle', 'verify', {__file__!r}, '--key', {__file__!r}]))\n"
        f"print(main(['bundle', 'show', {__file__!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "2", "1"]
    assert done.stderr.count("signed bundles need the package `cryptography`") == 2
    assert 'pip install "modelrouter[signing]"' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_cannot_be_read_is_a_mistake_of_the_set_up(
    tmp_path: Path, keys: Keys
) -> None:
    for path in (tmp_path / "lost", tmp_path, Path("nul\0")):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            open_bundle(path, keys=[keys.public])


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names there")
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path, keys: Keys) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match=r"bundle .* cannot be read: a pipe or a device"):
        open_bundle(pipe, keys=[keys.public])
    with pytest.raises(ConfigurationError, match=r"serial file .* a pipe or a device"):
        accept_in_file(pipe, packed(policy_in(tmp_path / "p"), keys).manifest)
    assert read_key(pipe) == b""
    for unreadable in (tmp_path, tmp_path / "lost"):
        with pytest.raises(ConfigurationError, match=r"the key .* cannot be read"):
            read_key(unreadable)


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names there")
def test_a_key_may_come_out_of_a_pipe_that_is_slow(tmp_path: Path, keys: Keys) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source = "import sys, time; f = open(sys.argv[1], 'wb', 0); print(flush=True); time.sleep(0.3)"
    source += "; f.write(sys.stdin.buffer.read())"
    argv = [sys.executable, "-c", source, str(pipe)]
    held = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as vault:
        assert vault.stdin is not None
        assert vault.stdout is not None
        vault.stdout.readline()
        os.close(held)
        vault.stdin.write(keys.private)
        vault.stdin.close()
        assert read_key(pipe) == keys.private


@pytest.mark.parametrize(("key", "code"), [("extends", "MR130"), ("shadow", "MR020")])
def test_nothing_outside_of_what_was_signed_is_read(
    key: str, code: str, tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = policy_in(tmp_path / "elsewhere")
    asked = policy_in(tmp_path / "asked", policy=f"{POLICY}{key}: ../elsewhere\n")
    if key == "extends":
        (asked / "policy.yaml").write_text(
            "apiVersion: modelrouter/v1\nkind: Policy\nmetadata: {name: mill}\n"
            "extends: ../elsewhere\n"
        )
    with pytest.raises(BundleRefused, match="and a bundle holds one"):
        packed(asked, keys)
    # A signer who is trusted but made it otherwise. Seen from where the bundle is laid out,
    # the path is there, and good.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    good = packed(elsewhere, keys)
    text = f"{POLICY}{key}: ../elsewhere\n".encode()
    files = {**opened(good.content, keys).files, "policy.yaml": text}
    entries = tuple(
        FileEntry(name=name, sha256=digest(files[name]), size=len(files[name]))
        for name in sorted(files)
    )
    manifest = encoded(good.manifest.model_copy(update={"files": entries}))
    file = written(tmp_path / "b", resealed(manifest, files, keys))
    with pytest.raises(PolicyError) as caught:
        open_bundle(file, keys=[keys.public])
    (problem,) = caught.value.problems
    assert (problem.code, problem.message) == (
        code,
        f"`{key}` names a policy outside of what was signed",
    )
    assert str(tmp_path) not in str(problem).replace(str(file), "")


def test_a_shadow_in_the_bundle_itself_is_not_followed_either(tmp_path: Path, keys: Keys) -> None:
    asked = policy_in(tmp_path / "asked", policy=f"{POLICY}shadow: next.yaml\n")
    (asked / "next.yaml").write_text(POLICY)
    with pytest.raises(BundleRefused, match="names a shadow"):
        packed(asked / "policy.yaml", keys)


def test_a_serial_has_to_come_after(tmp_path: Path, folder: Path, keys: Keys) -> None:
    file = written(tmp_path / "b", packed(folder, keys, serial=7).content)
    assert open_bundle(file, keys=[keys.public], after=6).manifest.serial == 7
    for after in (7, 8):
        with pytest.raises(BundleRefused, match="serial 7, which is not after"):
            open_bundle(file, keys=[keys.public], after=after)


def test_another_policy_of_the_same_signer_is_refused(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    file = written(tmp_path / "b", packed(folder, keys).content)
    assert open_bundle(file, keys=[keys.public], policy="mill")
    with pytest.raises(BundleRefused, match="another policy than the one asked for"):
        open_bundle(file, keys=[keys.public], policy="hospital")


def test_serials_outside_the_range_are_not_signed(folder: Path, keys: Keys) -> None:
    for serial in (0, -1, 2**53):
        with pytest.raises(ConfigurationError, match="a serial lies between"):
            packed(folder, keys, serial=serial)
    largest = packed(folder, keys, serial=2**53 - 1)
    assert read_manifest(encoded(largest.manifest)).serial == 9007199254740991


def test_a_router_takes_a_bundle(tmp_path: Path, folder: Path, keys: Keys) -> None:
    file = written(tmp_path / "b", packed(folder, keys).content)
    serials = tmp_path / "serial.json"
    router = Router.from_bundle(file, keys=[keys.public], serial_file=serials, sends=False)
    decision = router.decide([{"role": "user", "content": "hello"}], sensitivity="restricted")
    assert decision.model == "house/small"
    assert router.policy_digest == load(folder).digest
    assert stat.S_IMODE(serials.stat().st_mode) == 0o600


def test_an_older_release_does_not_come_back(tmp_path: Path, folder: Path, keys: Keys) -> None:
    serials = tmp_path / "serial.json"

    def take(serial: int) -> Router:
        file = written(tmp_path / "b", packed(folder, keys, serial=serial).content)
        return Router.from_bundle(file, keys=[keys.public], serial_file=serials, sends=False)

    assert take(7)
    assert take(7)
    assert take(9)
    for serial in (8, 7, 1):
        with pytest.raises(BundleRefused, match=f"serial {serial}, and 9 was accepted"):
            take(serial)
    policy_in(folder, policy=POLICY.replace("hosting: self_hosted", "weights: open"))
    with pytest.raises(BundleRefused, match="another policy was accepted with the same serial 9"):
        take(9)
    assert take(10)


def test_without_a_file_the_process_remembers(tmp_path: Path, folder: Path) -> None:
    private, public = generate()
    mine = Keys(private=private, public=public)

    def take(serial: int, *trusted: bytes) -> Router:
        file = written(tmp_path / "b", packed(folder, mine, serial=serial).content)
        return Router.from_bundle(file, keys=trusted, sends=False)

    assert take(5, public)
    with pytest.raises(BundleRefused, match="serial 4, and 5 was accepted before"):
        take(4, public)
    # Trusting one key more does not make the process forget.
    with pytest.raises(BundleRefused, match="serial 4, and 5 was accepted before"):
        take(4, generate()[1], public)
    assert take(6, public)


def test_a_router_takes_only_the_release_that_is_asked_for(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    file, serials = written(tmp_path / "b", packed(folder, keys).content), tmp_path / "serial.json"

    def take(*, after: int, policy: str) -> Router:
        return Router.from_bundle(
            file,
            keys=[keys.public],
            serial_file=serials,
            after=after,
            policy=policy,
            sends=False,
        )

    with pytest.raises(BundleRefused, match="not after 7"):
        take(after=7, policy="mill")
    with pytest.raises(BundleRefused, match="another policy than the one asked for"):
        take(after=6, policy="bakery")
    assert not serials.exists()
    assert take(after=6, policy="mill")


def test_a_release_no_router_can_be_built_for_does_not_count(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    serials = tmp_path / "serial.json"
    file = written(tmp_path / "b", packed(folder, keys).content)
    with pytest.raises(ConfigurationError):
        Router.from_bundle(
            file, keys=[keys.public], serial_file=serials, endpoints={"lost/model": {}}
        )
    assert not serials.exists()


def test_the_options_are_those_of_a_router() -> None:
    import inspect  # noqa: PLC0415 - beside the law it states

    arguments = inspect.signature(Router.__init__).parameters
    assert RouterOptions.__annotations__.keys() == arguments.keys() - {"self", "bundle"}


def test_pack_takes_the_day_and_the_time_it_is_given(folder: Path, keys: Keys) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    made = pack(
        folder,
        private_keys=[keys.private],
        serial=1,
        created=datetime.datetime(2026, 1, 1, 2, 0, tzinfo=zone),
        today=DAY,
    )
    assert made.manifest.created == "2025-12-31T20:30:00Z"
