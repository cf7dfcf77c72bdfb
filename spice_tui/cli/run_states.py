"""Says how a run that is followed stands: what it waits for, what is made for it, why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spice_engine.protocol.run_states import UNDER_WAY
from spice_tui.cli import output, values
from spice_tui.cli.runs import stages_text

BEFORE = frozenset({"queued", "building", "mounting"})
"""States of a run that does not run yet, whose message says why."""


class Standing:
    """Tells each state of a run once: to a person at a terminal those before it begins, with
    `verbose` all of them, anywhere. `known`: as it was told already."""

    def __init__(self, known: Mapping[str, Any] | None = None, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._told = "" if known is None else beginning(known)
        self._waited = known is not None and known["state"] in BEFORE

    def tell(self, run: Mapping[str, Any]) -> None:
        """Say how it stands, if that is another than before. Its end is told by `end`."""
        before = run["state"] in BEFORE
        begun = self._waited and run["state"] == "running"
        if run["state"] not in UNDER_WAY or not (before or begun or self._verbose):
            return
        self._waited = before
        text = beginning(run)
        if text == self._told:
            return
        self._told = text
        output.flush()
        (output.error_line if self._verbose else output.note)(text)

    def end(self, run: Mapping[str, Any], *, quiet: bool) -> None:
        """Say how it ended, with `verbose` also how long each of its stages took."""
        text = f"Run {run['id']}: {values.status_text(run)}."
        if run.get("message"):
            text += f" {run['message']}"
        if resumed := run.get("resumed_as"):
            text += f" Run {resumed} goes on with its files: spice-tui logs -f {resumed}"
        if self._verbose and (took := stages_text(run["stages"])):
            text += f" [{took}]"
        output.flush()
        # A command that never ran tells nothing of its end.
        loud = self._verbose or (run.get("exit_code") is None and not quiet)
        (output.error_line if loud else output.note)(text)


def beginning(run: Mapping[str, Any]) -> str:
    """What a run waits for, or that it started, or what becomes of it."""
    if run["state"] in BEFORE and run["message"]:
        return f"Run {run['id']} {run['message']}"
    if run["state"] not in {"requested", "running"} and run["state"] in UNDER_WAY:
        return f"Run {run['id']} is {run['state']}."
    return f"Run {run['id']} started."
