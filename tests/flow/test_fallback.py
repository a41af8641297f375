"""Which models a call is sent to, and in which order."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrouter import CallFailed, Router
from modelrouter.errors import CallInvalid, CallTimedOut, CallUnauthorised, ErrorKind
from modelrouter.failing import HINTS
from modelrouter.ports import ProviderError
from modelrouter.retry import REACTIONS, Reaction
from modelrouter.testing import ScriptedProvider, Turn
from tests.flow.kit import APIS, HELLO, Api, bundle, key_of, model, runtime, vendor

DOWN = ProviderError(ErrorKind.SERVER_ERROR, status=503)
PUBLIC: dict[str, Any] = {"sensitivity": "public"}
FIVE = [model(f"m{place}", price={"input": place, "output": place}) for place in range(1, 6)]
EVERY_WORD = ["timeout", "rate_limited", "server_error", "invalid_output"]
CLOUDS = [vendor("cloud-a"), vendor("cloud-b")]


def sent(provider: ScriptedProvider) -> list[str]:
    return [send.model for send in provider.sends]


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_has_a_reaction_and_a_hint(kind: ErrorKind) -> None:
    assert kind in REACTIONS
    assert HINTS[kind]
    reaction, word = REACTIONS[kind]
    assert (word is None) == (reaction is Reaction.STOP)


def test_a_call_falls_back_in_the_order_of_the_decision(api: Api) -> None:
    provider = ScriptedProvider([DOWN, DOWN, "third"])
    router = Router(bundle(*FIVE), provider=provider)
    reply = api.complete(router, **PUBLIC)
    assert sent(provider) == ["m1", "m2", "m3"]
    assert (reply.model, reply.text, reply.sends) == ("m3", "third", 3)
    assert reply.receipt.attempts[0].status == 503


def test_no_more_is_sent_than_the_policy_allows(api: Api) -> None:
    provider = ScriptedProvider(DOWN)
    router = Router(bundle(*FIVE, runtime=runtime(retries=1, attempts=4)), provider=provider)
    with pytest.raises(CallFailed, match=r"`m1`.*`m1`.*`m2`.*`m2`"):
        api.complete(router, **PUBLIC)
    assert sent(provider) == ["m1", "m1", "m2", "m2"]


def test_a_retry_keeps_label_and_payload(api: Api) -> None:
    provider = ScriptedProvider([DOWN, DOWN, DOWN, "at last"])
    router = Router(
        bundle(model("a"), *CLOUDS, runtime=runtime(retries=3, attempts=4)),
        provider=provider,
        credentials=key_of,
    )
    messages = [{"role": "user", "content": "Hello"}]
    reply = api.complete(router, messages, sensitivity="phi", temperature=0.5, max_tokens=7)
    assert sent(provider) == ["a"] * 4
    assert {repr(send.messages) for send in provider.sends} == {repr(tuple(messages))}
    assert {repr(send.parameters) for send in provider.sends} == {repr({"temperature": 0.5})}
    assert {send.max_output for send in provider.sends} == {7}
    assert str(reply.label) == "restricted+phi+pii"


KINDS = st.sampled_from([*ErrorKind, None])
LABELS = st.sampled_from(["public", "internal", "confidential", "pii", "restricted", "phi", None])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    outcomes=st.lists(KINDS, min_size=1, max_size=8),
    label=LABELS,
    retries=st.integers(0, 2),
    attempts=st.integers(1, 6),
    after=st.lists(st.sampled_from(EVERY_WORD), unique=True),
    streamed=st.booleans(),
)
def test_fallback_stays_inside_the_candidates(
    outcomes: list[ErrorKind | None],
    label: str | None,
    retries: int,
    attempts: int,
    after: list[str],
    streamed: bool,  # noqa: FBT001 - drawn
) -> None:
    steps: list[Any] = [
        "answer" if kind is None else ProviderError(kind, status=500) for kind in outcomes
    ]
    provider = ScriptedProvider(steps)
    router = Router(
        bundle(
            model("home-a"),
            vendor("cloud-a"),
            model("home-b", price={"input": 3, "output": 3}),
            vendor("cloud-b", price={"input": 4, "output": 4}),
            runtime=runtime(retries=retries, attempts=attempts, fallback={"after": after}),
        ),
        provider=provider,
        credentials=key_of,
    )
    allowed = [part.model for part in router.decide(HELLO, sensitivity=label).candidates]
    api = APIS["sync"]
    if streamed:
        error = api.stream(router, sensitivity=label).error
    else:
        try:
            error, _ = None, api.complete(router, sensitivity=label)
        except CallFailed as caught:
            error = caught
    order = sent(provider)
    assert set(order) <= set(allowed)
    assert len(order) <= attempts
    assert [name for name in allowed if name in order] == list(dict.fromkeys(order))
    assert sorted(order, key=allowed.index) == order
    assert all(order.count(name) <= retries + 1 for name in order)
    answered = next((n for n, kind in enumerate(outcomes) if kind is None), None)
    assert (error is None) == (answered is not None and len(order) == answered + 1)
    if label in {"restricted", "phi", None, "confidential", "pii"}:
        assert not [name for name in order if name.startswith("cloud")]


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if REACTIONS[kind][1] is None])
def test_an_error_of_the_request_stops_the_call(api: Api, kind: ErrorKind) -> None:
    provider = ScriptedProvider(ProviderError(kind, status=400))
    router = Router(
        bundle(*FIVE, runtime=runtime(retries=2, attempts=9, fallback={"after": EVERY_WORD})),
        provider=provider,
    )
    with pytest.raises(CallFailed):
        api.complete(router, **PUBLIC)
    assert sent(provider) == ["m1"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (ErrorKind.INVALID_REQUEST, CallInvalid),
        (ErrorKind.TOO_LARGE, CallInvalid),
        (ErrorKind.NOT_FOUND, CallInvalid),
        (ErrorKind.UNAUTHORISED, CallUnauthorised),
        (ErrorKind.SERVER_ERROR, CallFailed),
    ],
)
def test_the_error_says_which_kind_of_failure_it_was(
    api: Api, kind: ErrorKind, error: type[CallFailed]
) -> None:
    router = Router(bundle(model("a")), provider=ScriptedProvider(ProviderError(kind)))
    with pytest.raises(error) as caught:
        api.complete(router, **PUBLIC)
    assert type(caught.value) is error
    assert caught.value.hint == HINTS[kind]
    assert caught.value.__notes__ == [f"hint: {HINTS[kind]}"]


def test_retry_after_is_honoured_if_it_fits(api: Api) -> None:
    wait = ProviderError(ErrorKind.RATE_LIMITED, retry_after_s=0.2)
    provider = ScriptedProvider([wait, "later"])
    router = Router(bundle(*FIVE, runtime=runtime(retries=1)), provider=provider)
    started = time.monotonic()
    assert api.complete(router, **PUBLIC).model == "m1"
    assert 0.2 <= time.monotonic() - started < 1


def test_a_retry_after_beyond_the_deadline_falls_over_at_once(api: Api) -> None:
    wait = ProviderError(ErrorKind.RATE_LIMITED, retry_after_s=5)
    provider = ScriptedProvider([wait, "next"])
    router = Router(bundle(*FIVE, runtime=runtime(retries=1)), provider=provider)
    started = time.monotonic()
    assert api.complete(router, **PUBLIC, timeout=2).model == "m2"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("kind", "word"),
    [(kind, word) for kind, (_, word) in REACTIONS.items() if word is not None],
)
def test_a_kind_that_fallback_does_not_name_is_not_fallen_back_from(
    api: Api, kind: ErrorKind, word: str
) -> None:
    others = [name for name in EVERY_WORD if name != word]
    for after, expected in (([word], ["m1", "m2"]), (others, ["m1"])):
        provider = ScriptedProvider([ProviderError(kind), "next"])
        router = Router(
            bundle(*FIVE, runtime=runtime(fallback={"after": after})), provider=provider
        )
        error = api.stream(router, **PUBLIC).error
        assert sent(provider) == expected
        assert (error is None) == (len(expected) == 2)


def test_a_refusal_is_not_routed_around(api: Api) -> None:
    provider = ScriptedProvider(Turn(text="", finish_reason="content_filter"))
    router = Router(bundle(*FIVE), provider=provider)
    assert api.complete(router, **PUBLIC).finish_reason == "content_filter"
    assert sent(provider) == ["m1"]


def test_a_hanging_model_ends_with_the_deadline_of_the_call(api: Api) -> None:
    provider = ScriptedProvider(Turn(hangs=True))
    router = Router(bundle(*FIVE, runtime=runtime(retries=3, attempts=9)), provider=provider)
    for send in (api.complete, lambda *given, **call: fail(api.stream(*given, **call).error)):
        started = time.monotonic()
        with pytest.raises(CallTimedOut):
            send(router, **PUBLIC, timeout=0.2)
        assert 0.19 <= time.monotonic() - started < 0.7
    assert sent(provider) == ["m1", "m1"]


def test_a_slow_drip_ends_with_the_deadline_of_the_call(api: Api) -> None:
    provider = ScriptedProvider(Turn(text="word " * 100, piece_s=0.05))
    router = Router(bundle(*FIVE), provider=provider)
    started = time.monotonic()
    found = api.stream(router, **PUBLIC, timeout=0.4)
    assert 0.35 <= time.monotonic() - started < 0.9
    assert isinstance(found.error, CallTimedOut)
    assert found.text.startswith("word word ")
    assert sent(provider) == ["m1"]
    assert provider.cancelled == 1


def test_retries_share_the_deadline(api: Api) -> None:
    provider = ScriptedProvider(Turn(wait_s=0.15, error=DOWN))
    router = Router(bundle(*FIVE, runtime=runtime(retries=9, attempts=50)), provider=provider)
    started = time.monotonic()
    with pytest.raises(CallTimedOut):
        api.complete(router, **PUBLIC, timeout=0.4)
    assert time.monotonic() - started < 0.9
    assert len(provider.sends) == 3


def test_the_policys_deadline_holds_if_it_is_shorter(api: Api) -> None:
    provider = ScriptedProvider(Turn(hangs=True))
    router = Router(bundle(model("a"), runtime=runtime(timeout_ms=200)), provider=provider)
    started = time.monotonic()
    with pytest.raises(CallTimedOut):
        api.complete(router, **PUBLIC, timeout=60)
    assert time.monotonic() - started < 0.8


def test_a_provider_that_breaks_in_its_own_code_ends_the_call(api: Api) -> None:
    provider = ScriptedProvider(ZeroDivisionError("ours"))
    router = Router(bundle(*FIVE), provider=provider)
    with pytest.raises(ZeroDivisionError):
        api.complete(router, **PUBLIC)
    assert sent(provider) == ["m1"]


def fail(error: BaseException | None) -> None:
    if error is not None:
        raise error
