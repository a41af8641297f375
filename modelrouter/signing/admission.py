"""Lets a bundle into a router: verified first, and remembered once the router stands."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Required, TypedDict

from modelrouter.signing.bundles import open_bundle
from modelrouter.signing.keys import KeySource, public_keys
from modelrouter.signing.serials import accept_in_file, process_serials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Unpack

    from opentelemetry.trace import TracerProvider

    from modelrouter.budget import BudgetStore
    from modelrouter.cache import ExactCache
    from modelrouter.policy.bundle import Bundle
    from modelrouter.ports import Provider
    from modelrouter.receipts import Receipt
    from modelrouter.wiring import Credentials
    from modelrouter.world import Approval, Clock

__all__ = ["BundleOptions", "RouterOptions", "admission"]


class RouterOptions(TypedDict, total=False):
    """The keyword arguments of `Router`."""

    sends: bool
    credentials: Credentials | None
    endpoints: Mapping[str, Mapping[str, object]] | None
    trusted_hosts: Collection[str]
    provider: Provider | None
    budgets: BudgetStore | None
    cache: ExactCache | None
    approve: Callable[[Approval], bool | Awaitable[bool]] | None
    receipts: Callable[[Receipt], None] | None
    receipt_key: bytes | None
    shadow: Bundle | None
    tracer_provider: TracerProvider | None
    clock: Clock | None


class BundleOptions(RouterOptions, total=False):
    """The keyword arguments of `Router.from_bundle`: those of `Router`, and these.

    Attributes:
        keys: Public keys of those who may sign, any of them: 32 bytes, PEM as bytes, or paths
            of PEM files.
        serial_file: Where the highest serial ever accepted is kept, for this policy alone.
            Without it, it is kept as long as this process lives.
        after: The serial has to be larger than this.
        policy: The name that the policy has to have.
    """

    keys: Required[Sequence[KeySource]]
    serial_file: str | os.PathLike[str] | None
    after: int | None
    policy: str | None


@contextmanager
def admission(
    path: str | os.PathLike[str],
    *,
    keys: Sequence[KeySource],
    serial_file: str | os.PathLike[str] | None = None,
    after: int | None = None,
    policy: str | None = None,
    **options: Unpack[RouterOptions],
) -> Generator[tuple[Bundle, RouterOptions]]:
    """Yield the policy of a bundle, and remember its serial if the block ends without an error.

    A release that no router could be built for does not count: the one before it may be used.
    See `BundleOptions` for the arguments; the others are handed through.

    Raises:
        BundleRefused: It cannot be trusted, or a later release was accepted before.
        PolicyError: It is signed, but this version cannot load it.
        ConfigurationError: It, a key or the serial file cannot be used.
    """
    trusted = public_keys(keys)
    opened = open_bundle(path, keys=tuple(trusted.values()), after=after, policy=policy)
    yield opened.bundle, options
    if serial_file is None:
        process_serials().accept(opened.manifest, trusted)
    else:
        accept_in_file(serial_file, opened.manifest)
