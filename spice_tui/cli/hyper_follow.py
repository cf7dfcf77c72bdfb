"""Follow a search to its end: a line for each trial that is over.

The engine may be replaced meanwhile (restart, upgrade, crash): the search goes on in the next one,
and so does the follower, which connects again.
"""

from __future__ import annotations

from typing import Any

import typer

from spice_tui.cli import output, values
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.following import FollowingClient, Patience, followed
from spice_tui.cli.hyper_show import best_text, status_text, text
from spice_tui.cli.session import Session

ACTIVE = frozenset({"running", "stopping", "killing"})
"""States of a search that is not over."""
_UNDER_WAY = frozenset({"asked", "running"})


def exit_code(search: dict[str, Any]) -> int:
    """0 of a search that came to its end."""
    return ExitCode.OK if search["state"] == "complete" else ExitCode.FAILED


class SearchFollower:
    """Prints the trials of one search, each once."""

    def __init__(self, session: Session, search: int, *, quiet: bool = False) -> None:
        self._session = session
        self._search = search
        self._quiet = quiet
        self._patience = Patience()
        self._printed: set[int] = set()

    def follow(self, client: FollowingClient | None = None) -> dict[str, Any]:
        """Print until the search is over; gives it as it ended. Control-C only detaches.

        Raises:
            SpiceError: there is no such search, or the engine stays away.
            typer.Exit: with 130, at Control-C.
        """
        try:
            found = followed(
                self._session,
                client,
                self._patience,
                self._watch,
                what=f"search {self._search}",
                hint=f"It goes on with the engine: spice-tui hyper wait {self._search}.",
            )
        except KeyboardInterrupt:
            output.error_line(
                f"\nSearch {self._search} goes on. Look again: spice-tui hyper wait "
                f"{self._search}   Stop it: spice-tui hyper stop {self._search}"
            )
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        if not self._quiet:
            line = f"Search {self._search}: {status_text(found)}. {found['message']}"
            output.line(output.safe(line.rstrip()))
            if best := best_text(found):
                output.line(f"Best: {output.safe(best)}")
        return found

    def _watch(self, client: FollowingClient) -> dict[str, Any]:
        client.subscribe("searches")
        found = client.call("searches.get", {"id": self._search})
        names = [one["name"] for one in found["parameters"]]
        while True:
            self._patience.renewed()
            if not self._quiet:
                self._print_ended(client, names)
            if found["state"] not in ACTIVE:
                return found
            found = self._changed(client)

    def _changed(self, client: FollowingClient) -> dict[str, Any]:
        """The search once something of it changed."""
        key = str(self._search)
        while True:
            topic, event = client.next_event()
            data = event.data if isinstance(event.data, dict) else {}
            told = data if event.kind == "snapshot" else data.get("set", {})
            if topic == "searches" and key in told:
                return told[key]

    def _print_ended(self, client: FollowingClient, names: list[str]) -> None:
        first = next(one for one in range(1, len(self._printed) + 2) if one not in self._printed)
        request = {"id": self._search, "first": first}
        for trial in client.call("searches.trials", request)["trials"]:
            if trial["state"] in _UNDER_WAY or trial["number"] in self._printed:
                continue
            self._printed.add(trial["number"])
            params = ", ".join(f"{name}={text(trial['params'][name])}" for name in names)
            value = "" if trial["value"] is None else f" {values.number(trial['value'], 8)}"
            note = f" {trial['message']}" if trial["message"] else ""
            line = f"Trial {trial['number']}: {trial['state']}{value} ({params}){note}"
            output.line(output.safe(line))
