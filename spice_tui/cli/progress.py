"""A bar for long work on a terminal; in a pipe there are only the lines beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from spice_tui.cli import output


class Bar:
    """Prints lines; a terminal's bar stays below them."""

    def __init__(self, progress: Any = None, task: Any = None) -> None:
        self._progress = progress
        self._task = task

    def line(self, text: str) -> None:
        """One line above the bar."""
        if self._progress is None:
            output.line(text)
            output.flush()
            return
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(text), highlight=False)

    def advance(self, done: float, standing: str = "") -> None:
        """How much is done, in the units of the total, and what is shown beside the bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, standing=output.safe(standing))


@contextlib.contextmanager
def bar(title: str, total: float, *, quiet: bool = False, in_bytes: bool = False) -> Iterator[Bar]:
    """A bar up to `total`; none where nobody looks, or `quiet`. A total of 0 is not known yet."""
    if quiet or not output.is_terminal() or not output.has_color():
        yield Bar()
        return
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(bar_width=30),
        rich_progress.DownloadColumn() if in_bytes else rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("{task.fields[standing]}", markup=False),
    )
    with rich_progress.Progress(*columns, transient=True) as shown:
        task = shown.add_task(output.safe(title), total=total or None, standing="")
        yield Bar(shown, task)
