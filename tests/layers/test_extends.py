"""Finding the layers above: chains, circles, links, and paths of every kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelrouter import Router
from modelrouter.errors import PolicyError, Problem
from modelrouter.loader import inspect, load, load_text
from tests.cli.running import run

ROOT = Path(__file__).parents[2]
HEAD = "apiVersion: modelrouter/v1\nkind: Policy\n"
MODELS = (
    "models:\n"
    "  - {id: home/one, weights: open, hosting: self_hosted, quality: 0.7}\n"
    "  - {id: far/two, weights: closed, hosting: vendor_api, quality: 0.9}\n"
)
PERMIT = "rules: [{id: home, effect: permit, models: {hosting: self_hosted}}]\n"


def put(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEAD + text, encoding="utf-8")
    return file


def chain(folder: Path, count: int) -> Path:
    """Write layers that each forbid nothing but have one rule, and return the lowest."""
    put(folder / "0.yaml", MODELS)
    for number in range(1, count):
        rule = f"rules: [{{id: rule-{number}, effect: floor, set: {{min_quality: 0.{number}}}}}]\n"
        put(folder / f"{number}.yaml", f"extends: {number - 1}.yaml\n{rule}")
    return folder / f"{count - 1}.yaml"


def only(path: Path | str) -> Problem:
    found = inspect(path)
    assert found.bundle is None
    (problem,) = found.problems
    return problem


def test_eight_layers_load_and_nine_do_not(tmp_path: Path) -> None:
    bundle = load(chain(tmp_path, 8))
    assert [Path(layer.file).name for layer in bundle.layers] == [f"{n}.yaml" for n in range(8)]
    assert [rule.id for rule in bundle.policy.rules] == [f"rule-{n}" for n in range(1, 8)]
    problem = only(chain(tmp_path, 9))
    # The eighth of them, counted from below, is the one that may extend nothing.
    assert (Path(problem.file).name, problem.line, problem.column) == ("1.yaml", 3, 10)
    assert problem.code == "MR130"
    assert problem.message == "the layer above is one too many: there are at most 8 layers"


def test_a_chain_of_thousands_ends_at_the_eighth(tmp_path: Path) -> None:
    assert only(chain(tmp_path, 3000)).message.endswith("there are at most 8 layers")


@pytest.mark.parametrize(
    "target", ["policy.yaml", "./policy.yaml", ".", "link.yaml", "../here/policy.yaml"]
)
def test_a_policy_that_extends_itself_is_refused_however_it_says_so(
    target: str, tmp_path: Path
) -> None:
    file = put(tmp_path / "here" / "policy.yaml", f"extends: {target}\n{MODELS}")
    (tmp_path / "here" / "link.yaml").symlink_to("policy.yaml")
    problem = only(file)
    assert problem.code == "MR130"
    if target == ".":  # the folder holds the link too
        assert "the folder holds 2 policies: link.yaml, policy.yaml" in problem.message
    else:
        assert problem.message.endswith("`extends` leads in a circle")


def test_a_circle_through_links_is_found(tmp_path: Path) -> None:
    put(tmp_path / "low" / "policy.yaml", "extends: ../up\n")
    put(tmp_path / "high" / "policy.yaml", f"extends: ../again\n{MODELS}")
    (tmp_path / "up").symlink_to(tmp_path / "high")
    (tmp_path / "again").symlink_to(tmp_path / "low")
    problem = only(tmp_path / "low")
    assert (problem.code, Path(problem.file).parts[-2:]) == ("MR130", ("up", "policy.yaml"))
    assert problem.message.endswith("`extends` leads in a circle")


@pytest.mark.parametrize(
    "target",
    [
        "nowhere",
        "nowhere/policy.yaml",
        "loop",
        "policy.yaml/../policy.yaml/x",
        "x" * 1000,
        "~/policy.yaml",
    ],
)
def test_what_does_not_exist_is_an_error_at_the_key(target: str, tmp_path: Path) -> None:
    file = put(tmp_path / "policy.yaml", f"extends: {target}\n{MODELS}")
    (tmp_path / "loop").symlink_to("loop")
    problem = only(file)
    assert (problem.code, problem.line, problem.column) == ("MR130", 3, 10)
    assert problem.message == "the layer above does not exist"


def test_a_path_with_a_nul_does_not_exist(tmp_path: Path) -> None:
    problem = only(put(tmp_path / "policy.yaml", f'extends: "a\\0b"\n{MODELS}'))
    assert problem.message == "the layer above does not exist"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x00", b"x" * 2_000_000])
def test_a_layer_above_that_is_no_text_is_an_error_at_the_key(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "above.yaml").write_bytes(content)
    problem = only(put(tmp_path / "policy.yaml", "extends: above.yaml\n"))
    assert (problem.code, problem.line, problem.column) == ("MR130", 3, 10)
    assert problem.message.startswith("the layer above cannot be read: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_layer_above_without_access_is_an_error_at_the_key(tmp_path: Path) -> None:
    put(tmp_path / "above.yaml", MODELS).chmod(0)
    assert only(put(tmp_path / "policy.yaml", "extends: above.yaml\n")).code == "MR130"


def test_a_pipe_above_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "above.yaml")
    problem = only(put(tmp_path / "policy.yaml", "extends: above.yaml\n"))
    assert problem.message == "the layer above cannot be read: a directory or a device, not a file"


def test_broken_yaml_above_is_an_error_there(tmp_path: Path) -> None:
    put(tmp_path / "above.yaml", "rules: [\n")
    problem = only(put(tmp_path / "policy.yaml", "extends: above.yaml\n"))
    assert (problem.code, Path(problem.file).name) == ("MR000", "above.yaml")


def test_text_without_a_file_extends_nothing() -> None:
    with pytest.raises(PolicyError) as caught:
        load_text(f"{HEAD}extends: above.yaml\n{MODELS}")
    (problem,) = caught.value.problems
    assert (problem.code, problem.line) == ("MR130", 3)


def test_an_absolute_path_and_a_folder_elsewhere_may_stand_above(tmp_path: Path) -> None:
    above = put(tmp_path / "far" / "away" / "policy.yaml", MODELS)
    for number, target in enumerate((above, above.parent, "../far/away")):
        file = put(tmp_path / f"near-{number}" / "policy.yaml", f"extends: {target}\n")
        bundle = load(file)
        assert [entry.id for entry in bundle.models] == ["home/one", "far/two"]
        assert bundle.layers[0].file == str(above)


def test_a_parent_path_behind_a_link_is_the_one_of_the_file_system(tmp_path: Path) -> None:
    put(tmp_path / "real" / "above.yaml", MODELS)
    put(tmp_path / "real" / "low" / "policy.yaml", "extends: ../above.yaml\n")
    put(tmp_path / "above.yaml", MODELS.replace("home/one", "decoy/one"))
    (tmp_path / "low").symlink_to(tmp_path / "real" / "low")
    assert load(tmp_path / "low").models[0].id == "home/one"


def test_folders_whose_names_are_no_text_work(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    put(folder / "up" / "policy.yaml", MODELS)
    put(
        folder / "up" / "properties.yaml",
        "policy: policy.yaml\nproperties: [{id: a, never_sent: {hosting: private_cloud}}]\n",
    )
    text = (folder / "up" / "properties.yaml").read_text("utf-8").replace("Policy", "Properties")
    (folder / "up" / "properties.yaml").write_text(text, encoding="utf-8")
    put(folder / "low" / "policy.yaml", "extends: ../up\n")
    bundle = load(folder / "low")
    assert list(bundle.properties) == ["../up/properties.yaml"]
    put(folder / "low" / "policy.yaml", f"extends: ../up\n{MODELS}")
    assert only(folder / "low").code == "MR133"


def test_unicode_in_the_path_is_a_path(tmp_path: Path) -> None:
    put(tmp_path / "größe 組織" / "policy.yaml", MODELS)
    assert load(put(tmp_path / "policy.yaml", "extends: größe 組織\n")).models


def test_two_layers_may_lie_in_one_folder_each_with_its_own_suites(tmp_path: Path) -> None:
    put(tmp_path / "org.yaml", MODELS)
    put(tmp_path / "team.yaml", "extends: org.yaml\n")
    for name in ("org", "team"):
        (tmp_path / f"{name}_claims.yaml").write_text(
            f"apiVersion: modelrouter/v1\nkind: Properties\npolicy: {name}.yaml\n"
            "properties:\n  - {id: never, never_sent: {hosting: private_cloud}}\n"
            "  - {id: always, always_served: true}\n",
            encoding="utf-8",
        )
        (tmp_path / f"{name}_test.yaml").write_text(
            f"apiVersion: modelrouter/v1\nkind: PolicyTest\npolicy: {name}.yaml\n"
            "tests: [{name: a, request: {level: public}, expect: {decision: route}}]\n",
            encoding="utf-8",
        )
    bundle = load(tmp_path / "team.yaml")
    assert list(bundle.tests) == ["team_test.yaml"]
    claims = {
        file: [part.id for part in each.properties] for file, each in bundle.properties.items()
    }
    # What an upper layer serves, a lower one may refuse: only what is never sent is inherited.
    assert claims == {"org_claims.yaml": ["never"], "team_claims.yaml": ["never", "always"]}
    org = load(tmp_path / "org.yaml")
    assert [part.id for part in org.properties["org_claims.yaml"].properties] == ["never", "always"]
    assert bundle.layers[0].digest == org.digest


def test_claims_that_look_alike_through_links_are_all_kept(tmp_path: Path) -> None:
    def claim(folder: Path, name: str) -> None:
        (folder / "properties.yaml").write_text(
            "apiVersion: modelrouter/v1\nkind: Properties\npolicy: policy.yaml\n"
            f"properties: [{{id: {name}, never_sent: {{hosting: private_cloud}}}}]\n",
            encoding="utf-8",
        )

    # `link/..` is the folder of the link's target, and reads like the folder of the link.
    top = put(tmp_path / "deep" / "policy.yaml", MODELS).parent
    claim(top, "top")
    (tmp_path / "deep" / "inner").mkdir()
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / "link").symlink_to(tmp_path / "deep" / "inner")
    claim(put(tmp_path / "low" / "policy.yaml", "extends: link/../policy.yaml\n").parent, "low")
    properties = load(tmp_path / "low").properties
    assert sorted(part.id for each in properties.values() for part in each.properties) == [
        "low",
        "top",
    ]


def test_every_layer_moves_the_digest_and_places_name_its_own_file(tmp_path: Path) -> None:
    put(tmp_path / "org" / "policy.yaml", MODELS + PERMIT)
    put(tmp_path / "team" / "policy.yaml", "extends: ../org\n")
    low = put(
        tmp_path / "app" / "policy.yaml",
        "extends: ../team\nrules: [{id: own, effect: forbid, when: {task: other}}]\n",
    ).parent
    first = load(low)
    place = first.place("rules", "home")
    assert (place.file, place.line) == (str(tmp_path / "org" / "policy.yaml"), 6)
    assert first.place("rules", "own").file == str(low / "policy.yaml")
    put(tmp_path / "org" / "policy.yaml", MODELS.replace("0.7", "0.6") + PERMIT)
    second = load(low)
    assert first.digest != second.digest
    assert first.layers[1].digest != second.layers[1].digest
    # A comment above changes nothing.
    put(tmp_path / "org" / "policy.yaml", "# new\n" + MODELS.replace("0.7", "0.6") + PERMIT)
    assert load(low).digest == second.digest


def test_where_the_layers_lie_is_no_part_of_the_digest(tmp_path: Path) -> None:
    put(tmp_path / "org" / "policy.yaml", MODELS)
    put(tmp_path / "elsewhere.yaml", MODELS)
    one = load(put(tmp_path / "one" / "policy.yaml", "extends: ../org\n"))
    two = load(put(tmp_path / "two" / "policy.yaml", "extends: ../elsewhere.yaml\n"))
    assert one.digest == two.digest
    assert one.digest != one.layers[0].digest


def test_an_upper_layer_may_leave_the_models_to_a_lower_one(tmp_path: Path) -> None:
    put(tmp_path / "org.yaml", "rules: [{id: home, effect: permit, models: {weights: open}}]\n")
    bundle = load(put(tmp_path / "team.yaml", f"extends: org.yaml\n{MODELS}"))
    assert [entry.id for entry in bundle.models] == ["home/one", "far/two"]
    assert only(tmp_path / "org.yaml").message == "the policy knows no model"
    below = put(tmp_path / "app.yaml", f"extends: team.yaml\n{MODELS.replace('/', '-')}")
    assert only(below).code == "MR133"


def test_a_router_and_every_command_see_the_composed_policy(tmp_path: Path) -> None:
    org = put(tmp_path / "org" / "policy.yaml", MODELS + PERMIT)
    low = put(
        tmp_path / "team" / "policy.yaml",
        "extends: ../org\n"
        "rules: [{id: no-one, effect: forbid, when: {level: public}, models: all}]\n",
    ).parent
    router = Router.from_policy(low, sends=False)
    message = [{"role": "user", "content": "hello"}]
    assert router.decide(message, sensitivity=["public"]).rules == ("no-one",)
    denied = router.decide(message, sensitivity=["restricted"])
    assert [part.model for part in denied.candidates] == ["home/one"]
    (refused,) = denied.excluded
    assert str(refused.reasons[0]) == (
        f"guard: no permit of layer `unnamed` covers it at this level [{org}:1]"
    )
    checked = run("check", str(low))
    assert checked.code == 0
    assert f"{low}: 0 errors, 0 warnings, 1 note" in checked.out  # one model for restricted calls
    explained = run("explain", str(low), "--level", "public").out
    assert f"{low / 'policy.yaml'}:4" in explained


def test_a_policy_below_others_is_not_signed_without_them(tmp_path: Path) -> None:
    keys = str(tmp_path / "key")
    assert run("bundle", "keygen", keys).code == 0
    low, out = Path("policies/layered/team"), tmp_path / "team.bundle"
    made = run(
        *("bundle", "create", str(ROOT / low), "-o", str(out)),
        *("--serial", "1", "--key", f"{keys}.private.pem"),
    )
    assert made.code == 1
    assert "`alder-claims` extends `alder-mutual`, and a bundle holds one folder" in made.err
    assert not out.exists()


@pytest.mark.parametrize("name", ["organisation", "team", "application"])
def test_the_shipped_layers_pass_their_tests_and_keep_their_claims(name: str) -> None:
    path = str(ROOT / "policies" / "layered" / name)
    assert run("check", path, "--strict").code == 0
    assert run("test", path, "--quiet", "--at", "2026-11-23").code == 0
    proved = run("prove", path, "--at", "2026-11-23")
    assert (proved.code, proved.out.count("proved   ")) == (0, 2)
