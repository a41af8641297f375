"""`modelrouter diff`: exit codes, forms, and names that mean something to Markdown."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import time
from pathlib import Path

import pytest

from modelrouter.cli.diff_markdown import plain
from tests.cli.running import POLICIES, run

HOSPITAL = str(POLICIES / "hospital")
DAY = ("--at", "2026-11-23")
EU_RULE = "models: {region: [eu-west, eu-central]}"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Return a copy of the hospital's policy to change."""
    return Path(shutil.copytree(HOSPITAL, tmp_path / "hospital"))


def edit(folder: Path, old: str, new: str, file: str = "policy.yaml") -> str:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return str(folder)


def test_no_difference_is_said_and_fine(changed: Path) -> None:
    (changed / "policy_test.yaml").rename(changed / "all_test.yaml")
    done = run("diff", HOSPITAL, str(changed), *DAY)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("no difference\n")
    assert run("diff", HOSPITAL, str(changed), *DAY, "--json").json["models"] == []


def test_growing_exposure_fails_unless_it_is_allowed(changed: Path) -> None:
    new = edit(changed, EU_RULE, "models: {region: [eu-west, eu-central, us-east]}")
    assert run("diff", HOSPITAL, new, *DAY).code == 1
    allowed = run("diff", HOSPITAL, new, *DAY, "--allow-wider")
    assert allowed.code == 0
    assert "exposure grows: 1 model may receive more" in allowed.out
    # The other way round it only shrinks.
    back = run("diff", new, HOSPITAL, *DAY)
    assert back.code == 0
    assert "exposure does not grow: 1 model may receive less" in back.out


def test_a_policy_that_does_not_load_is_neither_wider_nor_fine(
    changed: Path, tmp_path: Path
) -> None:
    broken = edit(changed, "effect: forbid", "effect: forbit")
    assert run("diff", HOSPITAL, broken).code == 2
    assert run("diff", broken, HOSPITAL, "--allow-wider").code == 2
    done = run("diff", str(tmp_path / "none"), broken, "--json")
    assert (done.code, done.out) == (2, "")
    assert "none" in done.err
    assert "policy.yaml:" in done.err
    assert run("diff", HOSPITAL).code == 2


def test_the_printed_call_shows_the_difference_when_it_is_pasted(changed: Path) -> None:
    new = edit(changed, EU_RULE, "models: {region: [eu-west, eu-central, us-east]}")
    done = run("diff", HOSPITAL, new, *DAY)
    (line,) = [line for line in done.out.splitlines() if "modelrouter explain" in line]
    argv = shlex.split(line)
    assert argv[:3] == ["modelrouter", "explain", new]
    before = run("explain", HOSPITAL, argv[3], *DAY, "--json").json
    after = run(*argv[1:], *DAY, "--json").json
    stages = {
        part["model"]: {reason["stage"] for reason in part["reasons"]}
        for part in before["excluded"]
    }
    assert "guard" in stages["cloud-us/mini"]
    left = [part for part in after["excluded"] if part["model"] == "cloud-us/mini"]
    assert all(reason["stage"] != "guard" for part in left for reason in part["reasons"])


def test_json_has_the_documented_keys(changed: Path) -> None:
    new = edit(changed, EU_RULE, "models: {region: [eu-west, eu-central, us-east]}")
    found = run("diff", HOSPITAL, new, *DAY, "--format", "json").json
    assert list(found) == [
        "old", "new", "at", "wider", "labels", "not_comparable", "models", "later", "changes",
    ]  # fmt: skip
    assert found["wider"] is True
    assert found["labels"] == "closed"
    (model,) = found["models"]
    assert model["model"] == "cloud-us/mini"
    assert model["newly_allowed"] == [
        {
            "where": "level internal",
            "unlabelled": False,
            "request": {
                "level": "internal",
                "task": "admin_chat",
                "facts": {"purpose": "care", "facility": "other", "tenant": "other"},
            },
        }
    ]
    assert found["changes"] == [
        {
            "section": "rules",
            "id": "eu-only-above-public",
            "kind": "changed",
            "direction": None,
            "fields": [
                {
                    "name": "models.region",
                    "old": ["eu-central", "eu-west"],
                    "new": ["eu-central", "eu-west", "us-east"],
                }
            ],
            "wider": None,
        }
    ]
    assert run("diff", HOSPITAL, new, *DAY, "--json").json == found


def test_the_day_decides_what_has_lapsed(changed: Path) -> None:
    new = edit(changed, "    effect: permit\n", "    effect: permit\n    expires: 2026-12-31\n")
    before = run("diff", HOSPITAL, new, "--at", "2026-12-31")
    assert "the guard and the obligations are the same" in before.out
    after = run("diff", HOSPITAL, new, "--at", "2027-01-01")
    assert "4 models may receive less" in after.out


NASTY = "a|b `c` <img src=x> [d](http://e) @team #1 :tada: _f_ **g** www.h.example"


def test_names_are_only_names_in_markdown(changed: Path) -> None:
    new = edit(changed, "No business-associate agreement covers any vendor.", f'"{NASTY}"')
    done = run("diff", HOSPITAL, new, *DAY, "--format", "github")
    (row,) = [line for line in done.out.splitlines() if "phi-stays-inside" in line]
    assert row.count("|") == 3
    for part in ("`c`", "<img", "](", "@team", "#1 ", ":tada:", "_f_", "**g**", "http://", "www.h"):
        assert part not in row.replace("&#", "&")
    assert NASTY in html.unescape(row)


@pytest.mark.parametrize("text", ["plain words, level a; b-c/d (e)", "Zoë 東京", "no: thing"])
def test_plain_words_stay_readable(text: str) -> None:
    assert plain(text) == text


def test_characters_that_cannot_be_seen_are_shown() -> None:
    assert plain("a\u202eb\u200bc") == "a(U+202E)b(U+200B)c"
    assert plain("a\nb\tc") == "a b c"


def test_markdown_of_growing_exposure_folds_what_is_long(changed: Path) -> None:
    new = edit(changed, EU_RULE, "models: {region: [eu-west, eu-central, us-east]}")
    text = run("diff", HOSPITAL, new, *DAY, "--format", "github").out
    assert text.startswith("### Policy change: st-marys-hospital 3.2.0 → 3.2.0\n")
    assert "| cloud-us/mini | level internal |" in text
    assert text.count("<details>") == text.count("</details>") == 2
    (block,) = re.findall(r"<pre>(.*)</pre>", text)
    assert json.loads(html.unescape(block))["level"] == "internal"


def test_markdown_fits_into_a_comment(changed: Path) -> None:
    rules = "".join(
        f"  - {{id: r{number}, effect: floor, set: {{min_quality: 0.1}}, reason: {'x' * 300}}}\n"
        for number in range(400)
    )
    new = edit(changed, "rules:\n", f"rules:\n{rules}")
    text = run("diff", HOSPITAL, new, *DAY, "--format", "github").out
    assert len(text) < 65_536
    assert "does not fit" in text


def test_the_shipped_policies_are_compared_in_no_time(changed: Path) -> None:
    new = edit(changed, EU_RULE, "models: {region: [eu-west, eu-central, us-east]}")
    began = time.process_time()
    run("diff", HOSPITAL, new, *DAY)
    assert time.process_time() - began < 2  # a tenth of it on a quiet machine
