"""Probes 45 to 51: supply and start-up."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from modelrouter import BudgetExceeded, PolicyError, Router
from modelrouter.loader import load_text
from modelrouter.testing import LoopbackServer
from tests.conformance.conftest import PROVIDER, Ask, Serve, router_for
from tests.flow.kit import bundle, model

ROOT = Path(__file__).parents[2]
GUARDED = """
import socket, sys

reached = []

def note(event, details):
    if event == "socket.connect" and str(details[1][0]) not in ("127.0.0.1", "::1"):
        reached.append(("connect", str(details[1])))
        raise PermissionError("no network")
    if event == "socket.getaddrinfo" and details[0] not in ("127.0.0.1", "localhost", None):
        reached.append(("resolve", str(details[0])))
        raise PermissionError("no network")
    if event == "open" and str(details[0]).endswith(".env"):
        reached.append(("open", str(details[0])))

sys.addaudithook(note)
"""


def in_fresh_process(
    script: str, *, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> str:
    """Run a script in a new process that notes every host it reaches for and every `.env`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(("_PROXY", "_API_KEY", "_API_BASE"))
    }
    done = subprocess.run(
        [sys.executable, "-c", GUARDED + textwrap.dedent(script)],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_row_45_importing_reaches_for_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-the-file\n")
    out = in_fresh_process(
        """
        import os, threading
        before = dict(os.environ)
        import modelrouter
        from modelrouter import Router
        assert reached == [], reached
        heavy = {"litellm", "openai", "httpx", "tenacity", "pydantic", "opentelemetry.sdk"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        assert dict(os.environ) == before
        assert threading.active_count() == 1
        print("clean")
        """,
        cwd=tmp_path,
    )
    assert out == "clean\n"


def test_row_45_building_a_router_and_deciding_reaches_for_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-the-file\n")
    out = in_fresh_process(
        f"""
        import os, threading
        from modelrouter import Router
        router = Router.from_policy({str(ROOT / "policies" / "quickstart")!r})
        decision = router.decide([{{"role": "user", "content": "Hi"}}], sensitivity="public")
        assert decision.allowed
        assert reached == [], reached
        assert "litellm" not in sys.modules
        assert "OPENAI_API_KEY" not in os.environ
        assert threading.active_count() == 1
        print(decision.model)
        """,
        cwd=tmp_path,
    )
    assert out == "home/small\n"


@pytest.mark.parametrize("release", ["1.82.7", "1.82.8"])
def test_row_46_the_malicious_releases_are_excluded(release: str) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    (litellm,) = [
        part for part in map(Requirement, project["dependencies"]) if part.name == "litellm"
    ]
    assert not litellm.specifier.contains(release, prereleases=True)
    assert litellm.specifier.contains("1.101.0")


SELF_HOSTED = """\
apiVersion: modelrouter/v1
kind: Policy
models:
  - id: local
    weights: open
    hosting: %s
    endpoint: %s
"""


@pytest.mark.parametrize("hosting", ["self_hosted", "private_cloud"])
@pytest.mark.parametrize(
    "host",
    [
        "https://api.openai.com/v1",
        "https://API.OpenAI.com/v1",
        "https://api.openai.com.:443/v1",
        "https://api.anthropic.com",
        "https://generativelanguage.googleapis.com/v1beta",
        "https://eu.api.mistral.ai/v1",
        "https://openrouter.ai/api/v1",
    ],
)
def test_row_47_a_self_hosted_model_points_at_a_vendor(hosting: str, host: str) -> None:
    endpoint = f"{{model: hosted_vllm/m, api_base: '{host}', api_key: none}}"
    with pytest.raises(PolicyError) as caught:
        load_text(SELF_HOSTED % (hosting, endpoint))
    (problem,) = caught.value.problems
    assert (problem.code, problem.line) == ("MR123", 7)


@pytest.mark.parametrize("hosting", ["self_hosted", "private_cloud"])
@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("{model: hosted_vllm/m}", "MR120"),
        ("{model: openai/m, api_key_env: OPENAI_API_KEY}", "MR120"),
        ("{model: hosted_vllm/m, api_key: none}", "MR120"),
        ("{model: hosted_vllm/m, api_base: 'http://127.0.0.1:8000/v1'}", "MR121"),
        ("{model: hosted_vllm/m, api_base: '127.0.0.1:8000', api_key: none}", "MR120"),
        ("{model: hosted_vllm/m, api_base: 'http://169.254.169.254/', api_key: none}", "MR124"),
    ],
)
def test_row_48_a_self_hosted_model_without_address_or_key(
    hosting: str, endpoint: str, code: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        load_text(SELF_HOSTED % (hosting, endpoint))
    (problem,) = caught.value.problems
    assert (problem.code, problem.line) == (code, 7)


ELSEWHERE = {
    "OPENAI_API_BASE": "{trap}/v1",
    "OPENAI_BASE_URL": "{trap}/v1",
    "HOSTED_VLLM_API_BASE": "{trap}/v1",
    "OPENAI_API_KEY": "key-of-a-vendor",
    "HOSTED_VLLM_API_KEY": "key-of-a-vendor",
    "HTTP_PROXY": "{trap}",
    "HTTPS_PROXY": "{trap}",
    "ALL_PROXY": "{trap}",
    "http_proxy": "{trap}",
    "NO_PROXY": "",
}
CALL_IT = """
import asyncio
from modelrouter import ModelRouterError, Router
said = [{{"role": "user", "content": "Hi"}}]
for upstream in ("hosted_vllm", "openai"):
    router = Router.from_policy(
        {policy!r},
        endpoints={{"home/small": {{
            "model": upstream + "/m", "api_base": "{url}/v1", "api_key": "none"}}}},
    )
    try:
        print(router.completion(said).model)
        print(asyncio.run(router.acompletion(said)).model)
        print(len(list(router.stream(said))) > 0)
    except ModelRouterError as error:
        print(type(error).__name__)
assert reached == [], reached
"""


@pytest.mark.parametrize("proxied", [False, True])
def test_row_49_the_environment_does_not_redirect_a_self_hosted_call(
    serve: Serve, *, proxied: bool
) -> None:
    local, trap = serve(), serve()
    script = CALL_IT.format(policy=str(ROOT / "policies" / "quickstart"), url=local.url)
    environment = {name: value.format(trap=trap.url) for name, value in ELSEWHERE.items()}
    if proxied:
        environment |= {"USE_LITELLM_PROXY": "True", "LITELLM_PROXY_API_BASE": trap.url}
    out = in_fresh_process(script, environment=environment)
    assert trap.requests == ()
    if proxied:
        assert out == "ConfigurationError\n" * 2
        assert local.requests == ()
    else:
        # The second call finds the first one's answer in the cache.
        assert out == "home/small\nhome/small\nTrue\n" * 2
        assert len(local.requests) == 4
        sent = repr([request.headers for request in local.requests])
        assert "key-of-a-vendor" not in sent


def test_row_50_a_llama_is_streamed_offline(tmp_path: Path, local: LoopbackServer) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-the-file\n")
    out = in_fresh_process(
        f"""
        import os, time
        from modelrouter import Router
        router = Router.from_policy(
            {str(ROOT / "policies" / "quickstart")!r},
            endpoints={{"home/small": {{
                "model": "hosted_vllm/meta-llama/Llama-3.1-8B-Instruct",
                "api_base": "{local.url}/v1", "api_key": "none"}}}},
        )
        said = [{{"role": "user", "content": "Hi"}}]
        list(router.stream(said))
        started = time.monotonic()
        print("".join(chunk.text for chunk in router.stream(said)))
        assert time.monotonic() - started < 2
        assert reached == [], reached
        assert "OPENAI_API_KEY" not in os.environ
        """,
        cwd=tmp_path,
    )
    assert out == "Hello from the loopback server.\n"
    assert len(local.requests) == 2


def test_row_51_a_router_with_an_empty_purse_does_not_concern_another(
    ask_any: Ask, serve: Serve
) -> None:
    local, cloud = serve(), serve()
    budget = {"id": "calls", "period": "day", "limit_calls": 1}
    poor = router_for(local, cloud, budgets=[budget])
    rich = router_for(local, cloud, budgets=[budget])
    assert ask_any(poor, sensitivity="public")
    with pytest.raises(BudgetExceeded):
        ask_any(poor, sensitivity="public")
    assert ask_any(rich, sensitivity="public")
    assert len(local.requests) == 2


def test_row_51_a_thousand_routers_leave_nothing_behind() -> None:
    out = in_fresh_process(
        """
        import asyncio, gc, threading, psutil
        from modelrouter import Router
        from modelrouter.testing import ScriptedProvider
        from tests.flow.kit import HELLO, bundle

        policy = bundle()

        def build(count, call):
            for _ in range(count):
                router = Router(policy, provider=ScriptedProvider(), credentials=lambda name: "k")
                with router.context(sensitivity="public"):
                    if call:
                        router.completion(HELLO)
                        list(router.stream(HELLO))
                        asyncio.run(router.acompletion(HELLO))
                    else:
                        router.decide(HELLO)

        def state():
            gc.collect()
            memory = psutil.Process().memory_info().rss
            return len(gc.get_objects()), threading.active_count(), memory

        build(20, True)
        build(100, False)
        objects, threads, memory = state()
        build(900, False)
        build(100, True)
        after = state()
        assert after[0] - objects < 200, (objects, after)
        assert after[1] == threads, (threads, after)
        assert after[2] - memory < 8_000_000, (memory, after)
        print("stable")
        """
    )
    assert out == "stable\n"


def test_the_endpoint_in_the_policy_is_where_a_call_goes(
    ask_any: Ask, local: LoopbackServer
) -> None:
    router = Router(bundle(model("only", url=local.url + "/v1")), provider=PROVIDER)
    assert ask_any(router, sensitivity="public")
    assert local.requests[0].path == "/v1/chat/completions"
    assert "authorization" not in local.requests[0].headers
