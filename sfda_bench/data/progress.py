"""A progress bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

_EVERY_SECONDS = 10.0


class Progress:
    """Shows (done, total) on stderr; a context manager that is called with both numbers.

    Args:
        title: What is being done.
        stream: Where to; a rich bar if it is a terminal.
    """

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title, self.stream = title, stream or sys.stderr
        self._bar: Any = None
        self._last = time.monotonic()

    def __enter__(self) -> Progress:
        if self.stream.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(file=self.stream), transient=True)
            self._task = self._bar.add_task(self.title, total=None)
            self._bar.start()
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._last > _EVERY_SECONDS:
            self._last = time.monotonic()
            self.stream.write(f'{self.title}: {done} of {total}\n')

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
