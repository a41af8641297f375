"""Where a model may be reached: no address or key may come from the environment.

LiteLLM falls back to a vendor's public address when `api_base` is missing, and to the
vendor's key when a key is missing. So both are explicit for every model, and a model that
is declared to run in the house must not point at a vendor.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from modelrouter.policy.catalogue import ModelEntry

__all__ = ["VENDOR_BASES", "endpoint_problem", "host_of", "needs_trust", "provider_of"]

VENDOR_BASES: dict[str, str] = {
    "anthropic": "https://api.anthropic.com",
    "deepseek": "https://api.deepseek.com/beta",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "together_ai": "https://api.together.xyz/v1",
    "xai": "https://api.x.ai/v1",
}
"""Public address by LiteLLM provider prefix. Source: the vendors' API references, 2026-11."""

VENDOR_DOMAINS = (
    "anthropic.com",
    "cerebras.ai",
    "cohere.ai",
    "cohere.com",
    "deepinfra.com",
    "deepseek.com",
    "fireworks.ai",
    "googleapis.com",
    "groq.com",
    "huggingface.co",
    "mistral.ai",
    "moonshot.ai",
    "moonshot.cn",
    "novita.ai",
    "nvidia.com",
    "openai.com",
    "openrouter.ai",
    "perplexity.ai",
    "replicate.com",
    "sambanova.ai",
    "together.ai",
    "together.xyz",
    "x.ai",
)
"""Domains of public model APIs; nothing declared in the house may point at one."""

SHARED_CLOUD_DOMAINS = ("amazonaws.com", "azure.com", "databricks.com")
"""Domains that serve private deployments too: refused for `self_hosted` alone."""


def provider_of(upstream: str) -> str:
    """Return the provider prefix of a LiteLLM model name, or the empty string."""
    prefix, slash, _ = upstream.partition("/")
    return prefix if slash else ""


def host_of(api_base: str) -> str | None:
    """Return the host of an http(s) address in lower case, or None if it is not one."""
    try:
        parts = urlsplit(api_base)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host or parts.username or parts.password:
        return None
    return host.rstrip(".").lower()


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address a literal host stands for; names are not resolved."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def within(host: str, domains: Collection[str]) -> bool:
    """Whether `host` is one of `domains` or below one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def endpoint_problem(entry: ModelEntry) -> tuple[str, str, str, str] | None:
    """Return key, code, message and hint of what is wrong with an endpoint, or None."""
    endpoint = entry.endpoint
    if endpoint is None:
        return None
    if endpoint.api_key_env and endpoint.api_key:
        return (
            "api_key",
            "MR122",
            f"model `{entry.id}` has both `api_key_env` and `api_key`",
            "keep one of them",
        )
    if entry.hosting != "vendor_api":
        return in_house_problem(entry)
    if endpoint.api_base is None and provider_of(endpoint.model) not in VENDOR_BASES:
        return (
            "model",
            "MR120",
            f"no public address is known for `{endpoint.model}` of model `{entry.id}`",
            f"give `api_base`, or use a prefix among {', '.join(sorted(VENDOR_BASES))}",
        )
    if endpoint.api_base is not None and host_of(endpoint.api_base) is None:
        return bad_address(entry)
    return None


def in_house_problem(entry: ModelEntry) -> tuple[str, str, str, str] | None:
    """Return what is wrong with the endpoint of a model declared to run in the house."""
    endpoint = entry.endpoint
    if endpoint is None:
        return None
    if endpoint.api_base is None:
        return (
            "",
            "MR120",
            f"model `{entry.id}` is {entry.hosting} but has no `api_base`",
            "without one the request would go to a vendor's public API",
        )
    if endpoint.api_key_env is None and endpoint.api_key is None:
        return (
            "",
            "MR121",
            f"model `{entry.id}` is {entry.hosting} but has neither `api_key_env` nor `api_key`",
            "write `api_key: none` if the server takes no key; without it a vendor's could be sent",
        )
    host = host_of(endpoint.api_base)
    return bad_address(entry) if host is None else host_problem(entry, host)


def host_problem(entry: ModelEntry, host: str) -> tuple[str, str, str, str] | None:
    """Return what is wrong with the host of a model declared to run in the house."""
    refused = (
        VENDOR_DOMAINS
        if entry.hosting == "private_cloud"
        else (*VENDOR_DOMAINS, *SHARED_CLOUD_DOMAINS)
    )
    if within(host, refused):
        return (
            "api_base",
            "MR123",
            f"model `{entry.id}` is {entry.hosting}, but `{host}` belongs to a vendor",
            "declare it `hosting: vendor_api`, or give your own server's address",
        )
    address = address_of(host)
    if address is not None and (
        address.is_link_local or address.is_unspecified or address.is_multicast
    ):
        return (
            "api_base",
            "MR124",
            f"model `{entry.id}` points at `{host}`, which is no server's own address",
            "link-local, multicast and unspecified addresses are refused",
        )
    return None


def bad_address(entry: ModelEntry) -> tuple[str, str, str, str]:
    """Return the problem of an `api_base` that is no address."""
    return (
        "api_base",
        "MR120",
        f"`api_base` of model `{entry.id}` is not an http or https address",
        "for example http://127.0.0.1:8000/v1, without a user name or password",
    )


def needs_trust(entry: ModelEntry) -> str | None:
    """Return the host of an in-house model that only code can vouch for, or None.

    Loopback and private addresses vouch for themselves. Any other host, a name included,
    must stand in `Router(trusted_hosts=[…])`; names are not resolved.
    """
    endpoint = entry.endpoint
    if endpoint is None or entry.hosting == "vendor_api" or endpoint.api_base is None:
        return None
    host = host_of(endpoint.api_base)
    if host is None or host == "localhost":
        return None
    address = address_of(host)
    if address is not None and (address.is_loopback or address.is_private):
        return None
    return host
