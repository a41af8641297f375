"""`python -m modelrouter`."""

from __future__ import annotations

import sys

from modelrouter.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
