"""`modelrouter who-can`: which models may receive a call, and what a model may receive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.running import POLICIES, run

HOSPITAL = str(POLICIES / "hospital")
DAY = ("--at", "2026-11-23")
WARD = ["ward/embed", "ward/medium-70b", "ward/small-8b", "ward/vision-32b"]


def asked(*flags: str) -> dict[str, Any]:
    """Return the answers by model."""
    done = run("who-can", HOSPITAL, *DAY, "--json", *flags)
    assert (done.code, done.err) == (0, "")
    return {part["model"]: part for part in done.json["models"]}


def verdicts(*flags: str) -> dict[str, str]:
    return {name: part["may_receive"] for name, part in asked(*flags).items()}


def test_phi_for_care_stays_on_the_ward() -> None:
    found = asked("--category", "phi", "--fact", "purpose=care")
    assert [name for name, part in found.items() if part["may_receive"] == "always"] == WARD
    vendor = found["cloud-eu/frontier"]
    assert vendor["may_receive"] == "never"
    assert {cause["rule"] for cause in vendor["forbidden_by"]} == {
        "phi-stays-inside",
        "no-closed-weights-for-phi",
        None,
    }
    assert all(cause["whole"] for cause in vendor["forbidden_by"])


def test_what_is_left_open_becomes_a_condition() -> None:
    found = asked("--category", "phi")
    assert {found[name]["may_receive"] for name in WARD} == {"sometimes"}
    assert found["ward/small-8b"]["where"] == ["fact purpose care or admin"]
    assert set(verdicts("--category", "phi", "--fact", "purpose=research").values()) == {"never"}


def test_a_declared_level_is_what_the_task_makes_of_it() -> None:
    # clinical_summary carries phi, so that a call declared internal is restricted.
    call = ("--level", "internal", "--fact", "purpose=care", "--task")
    assert verdicts(*call, "clinical_summary")["cloud-eu/frontier"] == "never"
    assert verdicts(*call, "admin_chat")["cloud-eu/frontier"] == "always"
    assert verdicts(*call, "admin_chat")["cloud-us/mini"] == "never"
    # With the task open the answer depends on it.
    found = asked("--level", "internal", "--fact", "purpose=care")["cloud-eu/frontier"]
    assert found["may_receive"] == "sometimes"
    assert found["where"] == ["level internal or confidential"]


def test_a_call_nobody_labelled_is_everything_at_once() -> None:
    found = verdicts("--unlabelled", "--fact", "purpose=admin")
    assert [name for name, verdict in found.items() if verdict == "always"] == WARD
    assert found["cloud-eu/frontier"] == "never"


def test_a_model_answers_with_its_labels() -> None:
    (only,) = asked("--model", "cloud-us/mini").values()
    assert only["where"] == ["level public"]
    (narrowed,) = asked("--model", "cloud-us/mini", "--level", "public").values()
    assert narrowed["may_receive"] == "sometimes"
    assert narrowed["where"] == ["level public"]
    narrowed_more = verdicts("--model", "cloud-us/mini", "--level", "public", "--task", "code")
    assert narrowed_more == {"cloud-us/mini": "always"}


def test_what_else_keeps_a_model_away_is_told_apart_from_the_guard() -> None:
    call = ("--category", "phi", "--task", "icd_coding", "--fact", "purpose=care")
    found = asked(*call, "--need", "json_schema")
    assert found["ward/medium-70b"]["besides"] == []
    assert found["ward/small-8b"]["may_receive"] == "always"
    assert found["ward/small-8b"]["besides"] == [
        "it lacks `json_schema`",
        "its quality is not known to reach 0.75 (floor `floor-icd`)",
    ]
    assert "it does not answer chats" in found["ward/embed"]["besides"]
    slow = asked("--task", "admin_chat", "--model", "ward/embed")["ward/embed"]["besides"]
    assert any("2000 ms" in text for text in slow)


def test_text_says_that_the_guard_answers_and_where_clauses_stand() -> None:
    done = run("who-can", HOSPITAL, *DAY, "--category", "secrets", "--model", "cloud-eu/frontier")
    assert done.code == 0
    assert done.out.splitlines()[:2] == [
        "st-marys-hospital, by the guard, on 2026-11-23",
        "the call: with secrets",
    ]
    assert "cloud-eu/frontier: may not receive it" in done.out
    assert "forbidden by `secrets-stay-inside` [" in done.out
    assert "policy.yaml:" in done.out


def test_an_unknown_name_is_a_usage_error_with_a_hint(tmp_path: Path) -> None:
    for flags, hint in (
        (("--model", "ward/smal-8b"), "ward/small-8b"),
        (("--level", "restrictd"), "restricted"),
        (("--category", "phii"), "phi"),
        (("--task", "icd_codin"), "icd_coding"),
        (("--need", "visio"), "vision"),
        (("--fact", "purpse=care"), "purpose"),
        (("--fact", "purpose=caer"), "care"),
    ):
        done = run("who-can", HOSPITAL, *flags)
        assert (done.code, done.out) == (2, "")
        assert hint in done.err
    assert run("who-can", HOSPITAL, "--fact", "purpose").code == 2
    assert run("who-can", HOSPITAL, "--unlabelled", "--level", "public").code == 2
    assert run("who-can", HOSPITAL, "--unlabelled", "--category", "phi").code == 2
    assert run("who-can", str(tmp_path)).code == 2


def test_a_retired_model_receives_nothing(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        "apiVersion: modelrouter/v1\nkind: Policy\n"
        "models: [{id: old/one, weights: open, hosting: self_hosted, quality: 0.5,"
        " retires: 2026-11-01}]\n"
    )
    done = run("who-can", str(tmp_path), *DAY)
    assert "retired on 2026-11-01" in done.out
    assert "may not receive it" in done.out
