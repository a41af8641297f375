"""Turns a bundle and a router's arguments into targets and credentials, or refuses."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelrouter.errors import ConfigurationError, PolicyError, Problem
from modelrouter.ports import Key, Provider
from modelrouter.receipts import Receipt
from modelrouter.world import Target

if TYPE_CHECKING:
    from modelrouter.policy.bundle import Bundle
    from modelrouter.policy.catalogue import Endpoint, ModelEntry

__all__ = [
    "Credentials",
    "TargetBuilder",
    "check_arguments",
    "key_reader",
    "receiver_of",
    "targets_of",
]

LOG = logging.getLogger("modelrouter")

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
Credentials = Callable[[str], str | None]
"""Returns the key of a model by catalogue id, or None if there is none."""


def receiver_of(receipts: Callable[[Receipt], None] | None) -> Callable[[Receipt], None] | None:
    """Return how receipts are passed on; a sink that fails must not cost the caller the answer."""
    if receipts is None:
        return None

    def hand_over(receipt: Receipt) -> None:
        try:
            receipts(receipt)
        except Exception as error:  # noqa: BLE001 - the application's own code
            # Not LOG.exception: a traceback could hold what the application knows of the call.
            name = type(error).__name__
            LOG.error("receipt of call %s was not taken: %s", receipt.call, name)  # noqa: TRY400

    return hand_over


def targets_of(
    bundle: Bundle,
    *,
    endpoints: Mapping[str, Mapping[str, object]],
    trusted_hosts: Collection[str],
    has_credentials: bool,
    provider: Provider,
) -> dict[str, Target]:
    """Return where each chat model is reached.

    Raises:
        ConfigurationError: A model has no endpoint, no key, or a host nobody vouches for.
    """
    check_hosts(trusted_hosts)
    for name, endpoint in tuple[tuple[str, object], ...](endpoints.items()):
        if not isinstance(endpoint, Mapping):
            raise ConfigurationError(
                f"`endpoints[{name!r}]` is no mapping",
                hint="give the keys of `endpoint:` in a catalogue",
            )
        if name not in bundle.words.models:
            raise ConfigurationError(
                f"`endpoints` names `{name}`, which is no model of policy `{bundle.name}`",
                hint=f"known: {', '.join(sorted(bundle.words.models))}",
            )
    entries = [overridden(entry, endpoints.get(entry.id)) for entry in bundle.models]
    chats = [entry for entry in entries if entry.role == "chat"]
    bare = [entry.id for entry in chats if entry.endpoint is None]
    if bare:
        raise ConfigurationError(
            f"no `endpoint` for {', '.join(f'`{name}`' for name in bare)}",
            hint="add it to the catalogue, pass `endpoints={…}`, or build the router with "
            "`sends=False` to decide without sending",
        )
    targets = {
        entry.id: target_of(entry, entry.endpoint, trusted_hosts, has_credentials=has_credentials)
        for entry in chats
        if entry.endpoint is not None
    }
    for name, target in targets.items():
        refusal = provider.refusal(target.upstream, in_house=target.in_house)
        if refusal is not None:
            raise ConfigurationError(f"model `{name}`: {refusal}", hint="see `endpoint.model`")
    return targets


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetBuilder:
    """Makes the targets of each policy a router comes to use, with the router's arguments."""

    sends: bool
    endpoints: Mapping[str, Mapping[str, object]]
    trusted_hosts: Collection[str]
    has_credentials: bool
    provider: Provider

    def build(self, bundle: Bundle) -> Mapping[str, Target]:
        """Return where each model is reached; nothing for a router that only decides.

        Raises:
            ConfigurationError: As `targets_of` says.
        """
        if not self.sends:
            return {}
        return targets_of(
            bundle,
            endpoints=self.endpoints,
            trusted_hosts=self.trusted_hosts,
            has_credentials=self.has_credentials,
            provider=self.provider,
        )

    def rebuild(self, bundle: Bundle) -> Mapping[str, Target]:
        """Return the targets of a reloaded policy.

        An endpoint that was given for a model that has left the catalogue is left out: a policy
        that drops a model must not fail for it.
        """
        models = bundle.words.models
        known = {name: part for name, part in self.endpoints.items() if name in models}
        return replace(self, endpoints=known).build(bundle)


def check_arguments(bundle: object, **callables: object) -> None:
    """Refuse arguments that would only fail during a call.

    Raises:
        ConfigurationError: It names the argument.
    """
    if not hasattr(bundle, "digest"):
        raise ConfigurationError(
            f"`bundle` is a {type(bundle).__name__}",
            hint="to load a policy, call `Router.from_policy(path)`",
        )
    for name, value in callables.items():
        if value is not None and not callable(value):
            raise ConfigurationError(
                f"`{name}` is a {type(value).__name__}", hint="pass something that can be called"
            )


def check_hosts(trusted_hosts: Collection[object]) -> None:
    """Refuse what would trust more, or less, than it seems to.

    Raises:
        ConfigurationError: It is one text, whose every part would be trusted, or an entry is
            no plain host.
    """
    if isinstance(trusted_hosts, str | bytes):
        raise ConfigurationError(
            "`trusted_hosts` is one text", hint=f"write a list: [{trusted_hosts!r}]"
        )
    for host in trusted_hosts:
        if not isinstance(host, str) or not HOST.fullmatch(host):
            raise ConfigurationError(
                f"{host!r} in `trusted_hosts` is no host",
                hint="a name or an address in lower case, without scheme, port, path or `*`",
            )


def overridden(entry: ModelEntry, endpoint: Mapping[str, object] | None) -> ModelEntry:
    """Return an entry with the endpoint given in code, checked like one from YAML."""
    if endpoint is None:
        return entry
    from pydantic import ValidationError  # noqa: PLC0415 - loaded with the policy

    from modelrouter.policy.catalogue import Endpoint  # noqa: PLC0415
    from modelrouter.policy.endpoints import endpoint_problem  # noqa: PLC0415

    try:
        changed = entry.model_copy(update={"endpoint": Endpoint.model_validate(dict(endpoint))})
    except ValidationError as error:
        wrong = ", ".join(".".join(str(part) for part in item["loc"]) for item in error.errors())
        changed, message = entry, f"`endpoints[{entry.id!r}]` is wrong at: {wrong}"
    else:
        message = ""
    if message:
        raise ConfigurationError(message, hint="the keys are those of `endpoint:` in a catalogue")
    problem = endpoint_problem(changed)
    if problem is not None:
        _, code, text, hint = problem
        raise PolicyError([Problem(code=code, file="endpoints", message=text, hint=hint)])
    return changed


def target_of(
    entry: ModelEntry,
    endpoint: Endpoint,
    trusted_hosts: Collection[str],
    *,
    has_credentials: bool,
) -> Target:
    """Return where one model is reached."""
    from modelrouter.policy.endpoints import (  # noqa: PLC0415 - loaded with the policy
        VENDOR_BASES,
        needs_trust,
        provider_of,
    )

    if endpoint.via == "direct":
        raise ConfigurationError(
            f"model `{entry.id}` has `via: direct`, which this version cannot carry out",
            hint="write `via: litellm`, or leave `via` out",
        )
    host = needs_trust(entry)
    if host is not None and host not in trusted_hosts:
        raise ConfigurationError(
            f"model `{entry.id}` is {entry.hosting} at `{host}`, which is neither loopback "
            "nor a private address",
            hint=f"if it is yours, say so in code: `trusted_hosts=[{host!r}]`",
        )
    keyless = endpoint.api_key == "none"
    if not keyless and endpoint.api_key_env is None and not has_credentials:
        raise ConfigurationError(
            f"model `{entry.id}` has no `api_key_env`",
            hint="name an environment variable, or pass `credentials=…`",
        )
    return Target(
        upstream=endpoint.model,
        api_base=endpoint.api_base or VENDOR_BASES[provider_of(endpoint.model)],
        in_house=entry.hosting != "vendor_api",
        key_name=endpoint.api_key_env,
        keyless=keyless,
    )


def key_reader(credentials: Credentials | None) -> Callable[[str, Target], Key | None]:
    """Return how keys are found: the application's callable first, then the environment."""

    def read(model: str, target: Target) -> Key | None:
        found = credentials(model) if credentials is not None else None
        if not found and target.key_name is not None:
            found = os.environ.get(target.key_name)
        return Key(found) if found else None

    return read
