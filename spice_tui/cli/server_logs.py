"""`server logs`: what the pods of a server print, one of them or all together."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest, NotFound
from spice_tui.cli import output
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.output import Json
from spice_tui.cli.server_arguments import ServerArgument
from spice_tui.cli.session import session_of

REQUESTS = "requests"
PIECE = 256 * 1024
COLORS = ("blue", "green", "yellow", "bold", "dim")


def logs(
    ctx: typer.Context,
    server: ServerArgument,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    pod: Annotated[int, typer.Option("--pod", "-p", metavar="ID", help="Only this pod.")] = 0,
    tail: Annotated[
        int, typer.Option("--tail", "-n", help="Only the last lines of each; 0: everything.")
    ] = 0,
    requests: Annotated[
        bool, typer.Option("--requests", help="The log of requests instead, lines of JSON.")
    ] = False,
    json: Json = False,
) -> None:
    """Print what a server's pods wrote; the lines of several begin with their number."""
    if json and follow:
        raise InvalidRequest("--json gives one answer and cannot follow.", hint="Leave out one.")
    if tail < 0:
        raise typer.BadParameter("must be 0 or more.", param_hint="--tail")
    with session_of(ctx).connect(FollowingClient) as client:
        if requests:
            parts: list[int | str] = [_requests(client, server)]
        else:
            parts = [*_pods(client, server, pod)]
        readers = [PodLog(client, server, part) for part in parts]
        if json:
            output.as_json([{"pod": one.pod, "text": one.rest(tail)} for one in readers])
            return
        if len(readers) > 1:
            _set_prefixes(readers)
        for one in readers:
            one.print_new(tail)
        if follow:
            follow_pods(client, server, readers, others=not pod and not requests)


def _pods(client: FollowingClient, server: str, wanted: int) -> list[int]:
    info = client.call("servers.get", {"server": server})["info"]
    numbers = sorted(pod["number"] for pod in info["replicas"])
    logged = logged_pods(client, server)
    if wanted:
        if wanted not in logged:
            there = ", ".join(map(str, logged)) or "none"
            raise NotFound(
                f"server {server!r} has no log of a pod {wanted}.", hint=f"There is: {there}."
            )
        return [wanted]
    if numbers:
        return numbers
    if not logged:
        raise NotFound("There are no active pods for this server.", hint=info["message"])
    output.note(f"There are no active pods for this server; pod {logged[-1]} was the last:")
    return logged[-1:]


def logged_pods(client: FollowingClient, server: str) -> list[int]:
    """The numbers of the server's pods whose logs are there, of those that ended, too."""
    names = (one["name"] for one in client.call("logs.sources")["sources"])
    start = f"server/{server}/"
    return sorted(
        int(name[len(start) :])
        for name in names
        if name.startswith(start) and name[len(start) :].isdecimal()
    )


def _prefix(pod: str, index: int) -> str:
    return output.paint(f"{pod} | ", COLORS[index % len(COLORS)])


class PodLog:
    """Prints one pod's log (or that of requests); with `whole` in whole lines, for others print
    there, too."""

    def __init__(
        self, client: FollowingClient, server: str, pod: int | str, *, whole: bool = False
    ) -> None:
        self._client = client
        self._source = f"server/{server}/{pod}"
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._torn = ""
        self._whole = whole
        self.pod = pod
        self.prefix = ""

    @property
    def topic(self) -> str:
        """Tells that it grew."""
        return f"log/{self._source}"

    def rest(self, tail: int = 0) -> str:
        """What is new in it; of its lines only the last `tail`, if that is not 0."""
        pieces: list[bytes] = []
        while True:
            request = {"source": self._source, "offset": self._offset, "limit": PIECE}
            chunk = self._client.call("logs.read", request)
            if chunk["size"] < self._offset:  # it was rotated: what is there now is all new
                self._offset = 0
                continue
            data = bytes(chunk["data"])
            self._offset = chunk["offset"] + len(data)
            pieces.append(data)
            if not data or self._offset >= chunk["size"]:
                break
        text = self._decoder.decode(b"".join(pieces))
        return "".join(text.splitlines(keepends=True)[-tail:]) if tail else text

    def print_new(self, tail: int = 0) -> None:
        """Print it; a last line that is not whole waits for its end, where lines have prefixes or
        are printed whole."""
        text = self.rest(tail)
        if self.prefix or self._whole:
            *lines, torn = (self._torn + text).split("\n")
            self._torn = torn
            text = "".join(f"{self.prefix}{line}\n" for line in lines)
        output.write(text)
        output.flush()


def follow_pods(
    client: FollowingClient,
    server: str,
    readers: Sequence[PodLog],
    *,
    others: bool = True,
    whole: bool = False,
) -> None:
    """Print what comes, with `others` of pods that come, too; until Control-C or the engine's end.

    Lines say whose they are once there are several pods; not where they are printed `whole`,
    between those of somebody else.
    """
    known = {one.topic: one for one in readers}
    for topic in known:
        client.subscribe(topic)
    client.subscribe("servers")
    while True:
        topic, event = client.next_event()
        if topic in known:
            known[topic].print_new()
        elif topic == "servers" and others and isinstance(event.data, dict):
            found = event.data if event.kind == "snapshot" else event.data.get("set", {})
            for reader in _new_pods(client, server, found.get(server), known, whole=whole):
                known[reader.topic] = reader
                client.subscribe(reader.topic)
                if not whole and len(known) > 1:
                    _set_prefixes(known.values())
                reader.print_new()


def _new_pods(
    client: FollowingClient,
    server: str,
    info: dict[str, Any] | None,
    known: dict[str, PodLog],
    *,
    whole: bool,
) -> list[PodLog]:
    pods = {pod["number"] for pod in (info or {}).get("replicas", ())}
    newest = max((one.pod for one in known.values() if isinstance(one.pod, int)), default=0)
    if pods and max(pods) > newest + 1:
        # Some came and went between two events; what they said last matters most.
        pods |= {number for number in logged_pods(client, server) if newest < number < max(pods)}
    made = [PodLog(client, server, number, whole=whole) for number in sorted(pods)]
    return [one for one in made if one.topic not in known]


def _requests(client: FollowingClient, server: str) -> str:
    """The name of the log of requests.

    Raises:
        NotFound: the server does not keep one.
    """
    details = client.call("servers.get", {"server": server})
    request = {"source": f"server/{server}/{REQUESTS}", "offset": 0, "limit": 1}
    if not details["definition"]["request_log"] and not client.call("logs.read", request)["size"]:
        raise NotFound(
            f"server {server} keeps no log of requests.",
            hint=f"Keep one: spice-tui server update {server} --request-log.",
        )
    return REQUESTS


def _set_prefixes(readers: Iterable[PodLog]) -> None:
    several = list(readers)
    width = max(len(str(one.pod)) for one in several)
    for index, one in enumerate(several):
        one.prefix = _prefix(str(one.pod).rjust(width), index)
