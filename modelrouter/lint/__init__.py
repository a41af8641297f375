"""The linter: what a policy says, judged before it is used. Exact, by regions; no sampling."""

from modelrouter.lint.linting import Report, examine, lint

__all__ = ["Report", "examine", "lint"]
