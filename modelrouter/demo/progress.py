"""A progress bar on standard error for whatever can take more than two seconds.

On a terminal one line is redrawn; elsewhere (a file, a pipe, a CI log) a plain line appears
after two seconds and then at most every ten. Plain ASCII, no colour, nothing on standard
output.

::

    loading the model  [############------------]   50 %  1.4 s
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

__all__ = ["Progress"]

BAR_WIDTH = 24
REDRAW_EVERY_S = 0.1
FIRST_LINE_AFTER_S = 2.0
LINE_EVERY_S = 10.0


class Progress:
    """Shows how far one piece of work has come; it draws when `update` is called.

    Args:
        label: What is being done, in a few words.
        stream: Where to draw; standard error unless given.
        clock: Seconds that only go forward; a test passes its own.

    Example:
        >>> with Progress("loading the model") as progress:  # doctest: +SKIP
        ...     LocalModel.start(progress.update)
    """

    __slots__ = ("_clock", "_drawn", "_fraction", "_label", "_next", "_started", "_stream", "_tty")

    def __init__(
        self,
        label: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._clock = clock
        self._tty = self._stream.isatty()
        self._started = clock()
        self._next = self._started + (0.0 if self._tty else FIRST_LINE_AFTER_S)
        self._fraction = 0.0
        self._drawn = 0

    def update(self, fraction: float) -> None:
        """Note that `fraction` of the work is done, 0 to 1, and draw if it is time to."""
        self._fraction = min(max(fraction, 0.0), 1.0)
        now = self._clock()
        if now < self._next:
            return
        if self._tty:
            self._redraw()
            self._next = now + REDRAW_EVERY_S
        else:
            self._stream.write(f"{self._figures()}\n")
            self._stream.flush()
            self._next = now + LINE_EVERY_S

    def __enter__(self) -> Self:
        """Draw the empty bar on a terminal."""
        self.update(0.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the bar as it last was and end its line; work that failed is not shown as done."""
        if self._tty:
            self._redraw()
            self._stream.write("\n")
            self._stream.flush()

    def _redraw(self) -> None:
        filled = round(self._fraction * BAR_WIDTH)
        bar = "#" * filled + "-" * (BAR_WIDTH - filled)
        line = self._figures(f"[{bar}]  ")
        columns = _columns(self._stream)
        if len(line) >= columns:  # a wrapped line cannot be redrawn
            line = self._figures()[: columns - 1]
        self._stream.write("\r" + line.ljust(min(self._drawn, columns - 1)))
        self._stream.flush()
        self._drawn = len(line)

    def _figures(self, bar: str = "") -> str:
        elapsed = self._clock() - self._started
        return f"{self._label}  {bar}{int(self._fraction * 100):3d} %  {elapsed:.1f} s"


def _columns(stream: TextIO) -> int:
    """Return the width of the terminal, 80 where it cannot be told."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
