"""What an application says of how its policy is followed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrouter.accepting import Gate, lint_is_clean, tests_pass
from modelrouter.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from modelrouter.policy.bundle import Bundle

__all__ = ["Reload", "check_stale_level"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """How a router follows the files of its policy.

    Attributes:
        interval_s: Seconds between two looks of the background thread, at least 0.01; None
            leaves every look to `router.reload()`.
        settle_s: Seconds for which changed files must stand still before they are loaded.
        max_stale_s: Seconds without a look that found the files to be the policy in force,
            after which sensitive calls are denied; None for never.
        stale_deny_from: The lowest level that is denied then; None for the level from which
            the policy denies by default.
        run_tests: Whether the policy's unit tests must pass.
        gates: Further gates, asked in this order after the built-in ones.
        meter_provider: OpenTelemetry meter provider; the global one by default.
    """

    interval_s: float | None = 2.0
    settle_s: float = 0.2
    max_stale_s: float | None = None
    stale_deny_from: str | None = None
    run_tests: bool = True
    gates: tuple[Gate, ...] = ()
    meter_provider: MeterProvider | None = None

    def __post_init__(self) -> None:
        """Refuse what would never look, or never stop.

        Raises:
            ConfigurationError: It names the option.
        """
        bounds: tuple[tuple[str, object, float], ...] = (
            ("interval_s", self.interval_s, 0.01),
            ("settle_s", self.settle_s, 0.0),
            ("max_stale_s", self.max_stale_s, 0.0),
        )
        for name, value, least in bounds:
            if value is None and name != "settle_s":
                continue
            if not isinstance(value, int | float) or not least <= value <= threading.TIMEOUT_MAX:
                raise ConfigurationError(
                    f"`Reload({name}={value!r})`", hint=f"give seconds from {least} up"
                )

    @property
    def every_gate(self) -> tuple[Gate, ...]:
        """The gates of a policy that has loaded, in their order."""
        return (lint_is_clean, *((tests_pass,) if self.run_tests else ()), *self.gates)


def check_stale_level(options: Reload, bundle: Bundle) -> None:
    """Refuse a level the policy does not declare.

    Raises:
        ConfigurationError: It names the level.
    """
    level = options.stale_deny_from
    if level is not None and level not in bundle.scheme.rank:
        raise ConfigurationError(
            f"`stale_deny_from` names level `{level}`, which policy `{bundle.name}` does not have",
            hint=f"known: {', '.join(bundle.scheme.levels)}",
        )
