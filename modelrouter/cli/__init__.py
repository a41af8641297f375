"""The command line: `modelrouter`, also `python -m modelrouter`."""

from modelrouter.cli.program import main

__all__ = ["main"]
