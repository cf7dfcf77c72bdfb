"""Follow a run: print its log as it grows, and learn how it ended.

The engine may be replaced meanwhile (restart, upgrade, crash): the run goes on, and so does
the follower, which connects again and continues at the byte it had reached.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from spice_engine.protocol.run_states import UNDER_WAY
from spice_tui.cli import output
from spice_tui.cli.following import FollowingClient, Patience, followed
from spice_tui.cli.session import Session

PIECE = 256 * 1024


class RunFollower:
    """Prints one run's log from `offset` on."""

    def __init__(self, session: Session, run: int, *, quiet: bool = False) -> None:
        self._session = session
        self._run = run
        self._quiet = quiet
        self._patience = Patience()
        self.offset = 0
        self.until: Collection[str] = ()
        """States at which to stop following, before it has ended."""
        self.part: Mapping[str, Any] = {}
        """Which of its logs: `rank` for that of a rank."""
        self.on_state: Callable[[dict[str, Any]], None] = _nothing
        """Given the run whenever it may have come to another state."""

    def follow(self, client: FollowingClient | None = None) -> dict[str, Any]:
        """Print until the run has ended; gives the run as it ended.

        Raises:
            SpiceError: there is no such run, or the engine stays away.
        """
        return followed(
            self._session,
            client,
            self._patience,
            self._until_end,
            what=f"run {self._run}",
            hint=f"The run goes on: spice-tui logs -f {self._run}.",
        )

    def _until_end(self, client: FollowingClient) -> dict[str, Any]:
        client.subscribe("runs")
        if not self._quiet:
            client.subscribe(f"log/{self._run}")
        run = client.call("runs.get", {"id": self._run})
        self._patience.renewed()
        while True:
            self.on_state(run)
            if run["state"] not in UNDER_WAY or run["state"] in self.until:
                self._print_new(client)
                return run
            topic, event = client.next_event()
            self._patience.renewed()
            if topic == "runs":
                run = self._newest(client, run, event.kind, event.data)
            else:
                self._print_new(client)

    def _newest(
        self, client: FollowingClient, run: dict[str, Any], kind: str, data: Any
    ) -> dict[str, Any]:
        """The run after an event: as the event tells it, else as the engine says."""
        key = str(self._run)
        if not isinstance(data, dict):
            return client.call("runs.get", {"id": self._run})
        if kind == "snapshot":
            return data[key] if key in data else client.call("runs.get", {"id": self._run})
        if key in data.get("set", {}):
            return data["set"][key]
        if key in data.get("del", ()):
            return client.call("runs.get", {"id": self._run})
        return run

    def _print_new(self, client: FollowingClient) -> None:
        if not self._quiet:
            self.offset = print_log(client, self._run, self.offset, self.part)


def _nothing(_: dict[str, Any]) -> None:
    """Nobody wants to hear of states."""


def chunks_of(
    client: Any, run: int, offset: int, part: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """A run's log from `offset` to its present end, piece by piece."""
    request = {"id": run, "limit": PIECE, **(part or {})}
    while True:
        chunk = client.call("runs.log", {**request, "offset": offset})
        if chunk["next"] < offset:  # the run filled the disk: of its log the beginning stays
            return
        yield chunk
        if chunk["next"] == offset or chunk["next"] >= chunk["size"]:
            return
        offset = chunk["next"]


def print_log(client: Any, run: int, offset: int, part: Mapping[str, Any] | None = None) -> int:
    """Print a run's log from `offset` to its present end; gives the new offset."""
    for chunk in chunks_of(client, run, offset, part):
        output.write(chunk["text"])
        offset = chunk["next"]
    output.flush()
    return offset
