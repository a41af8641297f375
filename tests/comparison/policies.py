"""A small policy to change, and the shipped hospital policy with changes."""

from __future__ import annotations

import datetime
import functools
from pathlib import Path

from modelrouter.comparison.comparing import compare
from modelrouter.comparison.outcome import Comparison, Difference
from modelrouter.loader import load_text
from modelrouter.policy.bundle import Bundle

TODAY = datetime.date(2026, 11, 23)
HOSPITAL = Path(__file__).parents[2] / "policies" / "hospital"
SMALL = """\
apiVersion: modelrouter/v1
kind: Policy
labels:
  levels: [open, team, vault]
  categories:
    pii: {at_least: team}
    phi: {at_least: vault, includes: [pii]}
  unlabelled: top
tasks:
  chat:
  letter: {carries: [pii]}
facts:
  purpose: {type: enum, values: [care, research], source: host, required: true}
  urgent: {type: bool, source: host}
rules:
  - {id: vault-at-home, effect: permit, when: {level: vault}, models: {hosting: self_hosted}}
  - {id: pii-in-the-eu, effect: require, when: {categories: pii}, models: {region: eu}}
  - {id: no-phi-research, effect: forbid, when: {categories: phi, facts: {purpose: research}},
     models: all}
  - {id: mask, effect: obligate, when: {categories: pii}, models: {hosting: vendor_api},
     do: {redact: [pii]}}
  - {id: quiet, effect: obligate, when: {level: vault}, do: {trace: none, approval: [hr]}}
  - {id: good, effect: floor, when: {task: letter}, set: {min_quality: 0.7}}
budgets:
  - {id: month, period: month, limit_usd: 10}
runtime:
  - {id: all, cache: {mode: none}, trace: {content: hash}}
models:
  - {id: home/one, weights: open, hosting: self_hosted, region: eu, operator: us, quality: 0.8,
     endpoint: {model: hosted_vllm/one, api_base: "http://10.0.0.1:8000/v1", api_key: none}}
  - {id: cloud/one, weights: closed, hosting: vendor_api, region: us, operator: acme, quality: 0.9,
     data: {retention_days: 0, trains_on_data: false, agreements: [dpa]},
     endpoint: {model: openai/one, api_key_env: KEY}}
"""


def small(*changes: tuple[str, str]) -> Bundle:
    """Return the small policy with pieces of text replaced; each must be there."""
    text = SMALL
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return load_text(text)


def changed(*changes: tuple[str, str]) -> Comparison:
    """Return the small policy compared with a changed one."""
    return compare(small(), small(*changes), at=TODAY)


def about(found: Comparison, model: str) -> Difference:
    """Return what differs for one model."""
    return next(part for part in found.differences if part.model == model)


def texts(found: Comparison, model: str) -> list[str]:
    """Return the regions newly allowed for a model."""
    parts = [part for part in found.differences if part.model == model]
    return [extent.text for part in parts for extent in part.allowed]


@functools.cache
def hospital_text() -> str:
    """Return the shipped policy with its catalogue inline, as one document."""
    policy = (HOSPITAL / "policy.yaml").read_text(encoding="utf-8")
    catalogue = (HOSPITAL / "catalog.yaml").read_text(encoding="utf-8")
    sets = catalogue[catalogue.index("sets:") :]
    return policy.replace("catalogs: [catalog.yaml]\n", sets)


def hospital(*changes: tuple[str, str]) -> Bundle:
    """Return the hospital's policy with pieces of text replaced; each must be there."""
    text = hospital_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return load_text(text)
