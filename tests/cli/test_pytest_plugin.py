"""pytest collects the unit tests of policies, and nothing else of ours gets in its way."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from modelrouter.loader import load
from modelrouter.policytest import trials_of

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
# Loaded by name: an installed package brings it as an entry point too.
PLUGIN = ("-p", "no:modelrouter", "-p", "modelrouter.pytest_plugin")
POLICY = """\
apiVersion: modelrouter/v1
kind: Policy
models:
  - {id: home/one, weights: open, hosting: self_hosted, quality: 0.5}
rules:
  - {id: secrets-nowhere, effect: forbid, when: {level: restricted}, models: all}
"""
TESTS = """\
apiVersion: modelrouter/v1
kind: PolicyTest
policy: policy.yaml
tests:
  - {name: a public question is answered, request: {level: public}, expect: {model: home/one}}
  - {name: a secret is refused, request: {level: restricted}, expect: {decision: deny}}
  - name: the rota goes home
    request: {level: restricted}
    expect: {model: home/one, rules: [secrets-nowhere]}
"""
PASSING = TESTS.partition("  - name: the rota")[0]


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    policies = pytester.path / "policies"
    policies.mkdir()
    (policies / "policy.yaml").write_text(POLICY)
    (policies / "policy_test.yaml").write_text(TESTS)
    # Also keeps pytester from importing pydantic anew in every run.
    assert len([*trials_of(load(policies))]) == 3
    return policies


def test_each_policy_test_is_an_item(folder: Path, pytester: pytest.Pytester) -> None:
    done = pytester.runpytest(*PLUGIN, "-v", "policies")
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(
        [
            "policies/policy_test.yaml::a public question is answered PASSED*",
            "policies/policy_test.yaml::a secret is refused PASSED*",
            "policies/policy_test.yaml::the rota goes home FAILED*",
        ]
    )


def test_a_failed_one_reads_as_on_the_command_line(folder: Path, pytester: pytest.Pytester) -> None:
    done = pytester.runpytest(*PLUGIN, "policies")
    done.stdout.fnmatch_lines(
        [
            "*_ the rota goes home _*",
            "policies/policy_test.yaml:7: decided: deny at guard by secrets-nowhere",
            "    model: expected home/one, got nothing",
            "*short test summary*",
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")
    done.stdout.no_fnmatch_line("*Error*")
    done.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_one_can_be_chosen_by_its_name_or_its_id(folder: Path, pytester: pytest.Pytester) -> None:
    pytester.runpytest(*PLUGIN, "-k", "secret and refused").assert_outcomes(passed=1, deselected=2)
    node = "policies/policy_test.yaml::a secret is refused"
    pytester.runpytest(*PLUGIN, node).assert_outcomes(passed=1)


def test_they_can_be_listed(folder: Path, pytester: pytest.Pytester) -> None:
    done = pytester.runpytest(*PLUGIN, "--collect-only", "-q")
    assert done.outlines[:3] == [
        "policies/policy_test.yaml::a public question is answered",
        "policies/policy_test.yaml::a secret is refused",
        "policies/policy_test.yaml::the rota goes home",
    ]


def test_they_stand_beside_tests_in_python(folder: Path, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_python(): pass")
    pytester.runpytest(*PLUGIN).assert_outcomes(passed=3, failed=1)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            ("policy.yaml", POLICY.replace("models: all", "models: {id: home/oen}")),
            [
                "policies/policy.yaml:6:*: error MR102 unknown model `home/oen`",
                "    hint: did you mean `home/one`[?]",
            ],
        ),
        (
            ("policy_test.yaml", TESTS.replace("model: home/one, rules", "modle: home/one, rules")),
            ["policies/policy_test.yaml:9:14: error MR020 unknown key `modle`"],
        ),
        (
            ("policy_test.yaml", TESTS.replace("policy: policy.yaml", "policy: polcy.yaml")),
            ["policies/polcy.yaml:1:1: error MR000 no such file"],
        ),
        (
            ("policy_test.yaml", TESTS.replace("policy: policy.yaml\n", "")),
            ["policies/policy_test.yaml:1:1: error MR020 missing key `policy`"],
        ),
        (
            ("policy_test.yaml", TESTS.replace("{level: public}", "{level: public")),
            ["policies/policy_test.yaml:*: error MR000 *"],
        ),
        (
            ("policy_test.yaml", TESTS + "#" * 1_048_576),
            ["policies/policy_test.yaml:1:1: error MR001 larger than 1 MiB*"],
        ),
    ],
    ids=["policy", "test", "name", "no-name", "yaml", "large"],
)
def test_a_policy_that_does_not_load_is_an_error_with_its_place(
    broken: tuple[str, str], said: list[str], folder: Path, pytester: pytest.Pytester
) -> None:
    (folder / broken[0]).write_text(broken[1])
    done = pytester.runpytest(*PLUGIN, "policies")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*ERROR collecting policies/policy_test.yaml*", *said])
    done.stdout.no_fnmatch_line("*Traceback*")


def test_the_setting_turns_it_off(folder: Path, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmodelrouter_policies = false")
    done = pytester.runpytest(*PLUGIN, "--strict-config")
    assert done.ret == pytest.ExitCode.NO_TESTS_COLLECTED


CLAIMS = """\
apiVersion: modelrouter/v1
kind: Properties
policy: policy.yaml
properties:
  - {id: secrets-nowhere, when: {level: restricted}, never_sent: all}
  - {id: nothing-at-home, never_sent: {hosting: self_hosted}}
"""


def test_each_property_is_an_item(folder: Path, pytester: pytest.Pytester) -> None:
    (folder / "properties.yaml").write_text(CLAIMS)
    done = pytester.runpytest(*PLUGIN, "-v", "policies/properties.yaml")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "policies/properties.yaml::secrets-nowhere PASSED*",
            "policies/properties.yaml::nothing-at-home FAILED*",
            "policies/properties.yaml: `nothing-at-home` does not hold: `home/one` may receive *",
            "    see `modelrouter explain policies/policy.yaml '{*}'`",
        ]
    )
    done.stdout.no_fnmatch_line("*pytest_plugin.py*")


FOREIGN = {
    "properties.yaml": "kind: Properties\n",
    "properties.yml": "kind: Deployment # modelrouter/v1\n",
    "helm_test.yaml": "kind: Deployment\n",
    "broken_test.yml": "{{ not: yaml\n",
    "bytes_test.yaml": "\udcff\udcfe\x00",
    "policy.yaml": "# kind: PolicyTest stands in a policy\n" + POLICY,
    "notes_test.txt": "kind: PolicyTest\n",
    "comment_test.yaml": "# not a `kind: PolicyTest`\nkind: Deployment\n",
    "longer_test.yaml": "kind: PolicyTestSuite\n",
    "several_test.yaml": f"kind: Namespace\n---\n{TESTS}",
    "first_test.yaml": f"# ours first\n---\n{TESTS}---\nkind: Namespace\n",
    "embedded_test.yaml": "kind: ConfigMap\ndata: &data\n  policy_test.yaml: |\n"
    + "".join(f"    {line}\n" for line in TESTS.splitlines()),
    "chart_test.yaml": "kind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: |\n"
    + "".join(f"  {line}\n" for line in TESTS.splitlines()),
    "template_test.yaml": "{{- if .Values.policy }}\n" + TESTS + "{{- end }}\n",
    "jinja_test.yaml": TESTS + "{% for name in names %}\n  - {name: {{ name }}}\n{% endfor %}\n",
    "anchor_test.yaml": "# modelrouter/v1\napiVersion: example.org/v1\nkind: PolicyTest\na: &b 1\n",
    "other_test.yaml": "# modelrouter/v1\napiVersion: example.org/v1\nkind: PolicyTest\n",
    "nested_test.yaml": "items:\n- &b\n  apiVersion: modelrouter/v1\n  kind: PolicyTest\n",
}


def test_other_files_are_left_alone(pytester: pytest.Pytester) -> None:
    for name, text in FOREIGN.items():
        (pytester.path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    (pytester.path / "link_test.yaml").symlink_to("nowhere")
    (pytester.path / "folder_test.yaml").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(pytester.path / "pipe_test.yaml")
    done = pytester.runpytest(*PLUGIN)
    assert done.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    "text",
    [
        "---\n" + TESTS + "  - {name: [}\n",
        "# the rota\n\n---\n" + TESTS + "  - {name: &a x}\n",
        TESTS.replace("\n", "\r\n") + "  - {name: [}\r\n",
        "\ufeff" + TESTS + "\t- x\n",
        TESTS.replace("kind: PolicyTest", '"kind": "PolicyTest" # ours') + "kind\n",
    ],
    ids=["mark", "comment", "crlf", "bom", "quoted"],
)
def test_tests_of_a_policy_that_are_no_yaml_are_reported(
    text: str, folder: Path, pytester: pytest.Pytester
) -> None:
    (folder / "policy_test.yaml").write_text(text, encoding="utf-8", newline="")
    done = pytester.runpytest(*PLUGIN, "policies/policy_test.yaml")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["policies/policy_test.yaml:*: error MR0*"])


def test_braces_in_a_name_are_no_template(folder: Path, pytester: pytest.Pytester) -> None:
    braces = PASSING.replace("a secret is refused", '"a {{ secret }} {% is %} --- refused"')
    (folder / "policy_test.yaml").write_text(braces)
    pytester.runpytest(*PLUGIN, "policies").assert_outcomes(passed=2)


def test_nothing_is_imported_before_there_is_a_policy_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (pytester.path / "helm_test.yaml").write_text("kind: Deployment\n")
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported():
            assert "modelrouter.pytest_plugin" in sys.modules
            loaded = {"pydantic", "yaml", "litellm", "openai", "modelrouter.loader"}
            assert not loaded & sys.modules.keys()
        """
    )
    # Without what else is installed: Hypothesis' plugin imports YAML, anyio's anyio.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


def test_a_name_that_does_not_print_is_one_line(folder: Path, pytester: pytest.Pytester) -> None:
    odd = r'"tab\t line\n \x1b[31m \U0001F600 ü \u2028"'
    text = TESTS.replace("name: a secret is refused", f"name: {odd}")
    (folder / "policy_test.yaml").write_text(text, encoding="utf-8")
    done = pytester.runpytest(*PLUGIN, "--collect-only", "-q")
    assert (
        r"policies/policy_test.yaml::tab\t line\n \x1b[31m \U0001f600 ü \u2028".replace(
            r"\U0001f600", "\U0001f600"
        )
        in done.outlines
    )


def test_each_file_brings_its_own_tests(folder: Path, pytester: pytest.Pytester) -> None:
    other = PASSING.replace("a public", "another public").replace("a secret", "another secret")
    (folder / "more_test.yml").write_text(other)
    (folder / "policy_test.yaml").write_text(PASSING)
    pytester.runpytest(*PLUGIN).assert_outcomes(passed=4)
    pytester.runpytest(*PLUGIN, "policies/more_test.yml").assert_outcomes(passed=2)


def test_two_policies_in_one_folder_each_have_their_tests(
    folder: Path, pytester: pytest.Pytester
) -> None:
    (folder / "policy_test.yaml").write_text(PASSING)
    (folder / "second.yaml").write_text(POLICY.replace("level: restricted", "level: internal"))
    second = PASSING.replace("policy.yaml", "second.yaml").replace(
        "level: public", "level: internal"
    )
    (folder / "second_test.yaml").write_text(second)
    done = pytester.runpytest(*PLUGIN)
    done.assert_outcomes(passed=3, failed=1)  # the second refuses what is internal


def test_a_test_states_its_day(folder: Path, pytester: pytest.Pytester) -> None:
    lapsing = 'models: {hosting: self_hosted}, expires: "2026-01-31"}'
    policy = POLICY + f"  - {{id: home, effect: permit, when: {{level: restricted}}, {lapsing}\n"
    (folder / "policy.yaml").write_text(
        policy.replace("level: restricted}, models: all", "level: public}, models: all")
    )
    test = (
        '  - {{name: {0}, request: {{level: restricted}}, given: {{at: "2026-{0}"}},\n'
        "     expect: {{decision: {1}}}}}\n"
    )
    head = TESTS.partition("  - {name")[0]
    (folder / "policy_test.yaml").write_text(
        head + test.format("01-31", "route") + test.format("02-01", "deny")
    )
    pytester.runpytest(*PLUGIN).assert_outcomes(passed=2)


def test_the_entry_point_registers_it_under_a_name_that_can_be_switched_off(
    folder: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        entry = tomllib.load(stream)["project"]["entry-points"]["pytest11"]
    assert entry == {"modelrouter": "modelrouter.pytest_plugin"}
    # What an installer writes from it, for a distribution of another name.
    site = pytester.mkdir("site")
    info = site / "modelrouter_as_installed-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: modelrouter-as-installed\nVersion: 1\n"
    )
    lines = "".join(f"{name} = {module}\n" for name, module in entry.items())
    (info / "entry_points.txt").write_text(f"[pytest11]\n{lines}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(site)]))
    pytester.runpytest_subprocess("policies").assert_outcomes(passed=2, failed=1)
    done = pytester.runpytest_subprocess("-p", "no:modelrouter", "policies")
    assert done.ret == pytest.ExitCode.NO_TESTS_COLLECTED
