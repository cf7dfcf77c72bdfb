"""`server dev`: serve a predictor while it is written; each save is served and tried at once."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict, EngineUnavailable, NotFound, SpiceError
from spice_tui.cli import completion, failures, output, server_flags, server_follow
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.option_table import with_options
from spice_tui.cli.server_logs import PodLog, follow_pods
from spice_tui.cli.server_predict import body_of
from spice_tui.cli.server_sources import inside
from spice_tui.cli.session import Session, session_of
from spice_tui.client import Client

MARK = "server dev"
"""The description of servers that are only there while somebody writes them."""

SECONDS = 3600.0
QUIET_MS = 150
"""Editors write a file in several steps: a save is over after so long without another."""

KINDS = frozenset({".py", ".pyi", ".yaml", ".yml", ".json", ".toml"})
"""Files whose save counts; a log or data that a program writes beside them does not."""

IGNORED = frozenset({".git", ".spice", ".venv", "node_modules", "__pycache__"})


@with_options(server_flags.FLAGS)
def dev(
    ctx: typer.Context,
    entrypoint: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The file with the Predictor.", autocompletion=completion.scripts
        ),
    ],
    *,
    model: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME:VERSION", help="Model; repeat.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="Its name; default: dev- and the file's.")
    ] = "",
    payload: Annotated[
        str,
        typer.Option(
            "--json", "-j", metavar="JSON|FILE", help="Send this first, and after each save."
        ),
    ] = "",
    given: Mapping[str, Any],
) -> None:
    """Serve a file here until Control-C; every save is served, and the last request sent again.

    The difference between the two answers is shown. The server is gone afterwards.
    """
    session = session_of(ctx)
    file = inside(session, entrypoint)
    changed = server_flags.changes(given)
    scaling = {"min_pods": 1, "max_pods": 1, **changed.pop("scaling", {})}
    definition = {
        "debug": True,
        **changed,
        "scaling": scaling,
        "name": name or f"dev-{_slug(Path(file).stem)}",
        "models": model or [],
        "entrypoint": file,
        "description": MARK,
    }
    first = body_of(payload) if payload else None
    with session.connect(FollowingClient, make=True) as client:
        _make_room(client, definition["name"])
        try:
            Development(session, client, definition, first if payload else NOTHING).run()
        except KeyboardInterrupt:
            output.error_line("")
        finally:
            _remove(session, definition["name"])


NOTHING: Any = object()
"""Where no request was sent yet."""


class Development:
    """One server while its file is written."""

    def __init__(
        self, session: Session, client: FollowingClient, definition: dict[str, Any], payload: Any
    ) -> None:
        self._session = session
        self._client = client
        self._definition = definition
        self._name = str(definition["name"])
        self._payload = payload
        self._answer: dict[str, Any] | None = None

    def run(self) -> None:
        """Serve it, and again after every save, until Control-C."""
        root = self._session.location.root
        self._serve("servers.serve", {"definition": self._definition})
        follower = threading.Thread(target=self._print_logs, daemon=True, name="logs")
        follower.start()
        self._try_again()
        output.line(f"Watching {root}. Control-C ends it.")
        output.flush()
        for paths in saves(root):
            names = ", ".join(sorted({path.name for path in paths})[:3])
            output.note(f"Saved: {names}")
            # The answer of what is served now, to compare with.
            self._remember()
            if self._serve("servers.update", {"server": self._name, "code": True}):
                self._try_again()

    def _serve(self, operation: str, request: dict[str, Any]) -> bool:
        """Whether it runs; if it does not, the next save may mend it."""
        try:
            client = self._session.connect(FollowingClient)
            with client:
                info = server_follow.wait(client, operation, request)
        except EngineUnavailable:
            raise
        except SpiceError as error:
            failures.say(str(error))
            return False
        output.line(f"Serving version {info['version']}: {info['url']}")
        output.flush()
        return True

    def _remember(self) -> None:
        """Note the last request, and its answer by the code before the save."""
        try:
            found = self._call("servers.last_request", {"server": self._name})
            if found["known"] and found["payload"] != self._payload:
                self._payload, self._answer = found["payload"], None
            if self._payload is not NOTHING and self._answer is None:
                self._answer = self._ask()
        except EngineUnavailable:
            raise
        except SpiceError:
            self._answer = None  # what served before does not run: there is nothing to compare

    def _try_again(self) -> None:
        if self._payload is NOTHING:
            return
        try:
            answer = self._ask()
        except EngineUnavailable:
            raise
        except SpiceError as error:
            failures.say(str(error))
            return
        for line in difference(self._answer, answer):
            output.line(line)
        output.flush()
        self._answer = answer

    def _ask(self) -> dict[str, Any]:
        return self._call("servers.predict", {"server": self._name, "payload": self._payload})

    def _call(self, operation: str, request: dict[str, Any]) -> Any:
        return self._client.call(operation, request, timeout=SECONDS)

    def _print_logs(self) -> None:
        """What the pods print; in a thread of its own, until the program's end."""
        try:
            with self._session.attach(FollowingClient) as client:
                info = client.call("servers.get", {"server": self._name})["info"]
                numbers = [pod["number"] for pod in info["replicas"]]
                pods = [PodLog(client, self._name, one, whole=True) for one in numbers]
                for pod in pods:
                    pod.print_new()
                follow_pods(client, self._name, pods, whole=True)
        except SpiceError:
            return  # the engine or the server went away, which the main thread tells


def difference(before: dict[str, Any] | None, after: dict[str, Any]) -> Iterator[str]:
    """Two answers to one request as lines; the whole answer where there was none before."""
    took = f"{after['status']} in {after['ms']:.1f} ms"
    if before is None:
        yield output.paint(took, "green" if after["status"] < 400 else "red")
        yield from (output.safe(line) for line in _lines(after))
        return
    old, new = _lines(before), _lines(after)
    if old == new:
        yield output.paint(f"Answer unchanged: {took}", "dim")
        return
    yield f"Answer changed: {took}"
    for line in difflib.unified_diff(old, new, lineterm="", n=3):
        if line.startswith(("---", "+++")):
            continue
        color = {"+": "green", "-": "red", "@": "dim"}.get(line[:1])
        yield output.paint(line, color) if color else output.safe(line)


def _lines(answer: dict[str, Any]) -> list[str]:
    """An answer as lines to compare: its status where it is no success, and JSON spread out."""
    body = answer["body"]
    if answer["content_type"].startswith("application/json"):
        with contextlib.suppress(ValueError):
            body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    head = [] if answer["status"] == 200 else [f"HTTP {answer['status']}"]
    return [*head, *body.splitlines()]


def saves(root: Path) -> Iterator[set[Path]]:
    """Files that were saved below a folder, one save at a time."""
    from watchfiles import Change, watch

    def wanted(_: Change, path: str) -> bool:
        parts = Path(path).relative_to(root).parts if path.startswith(str(root)) else ()
        kind = Path(path).suffix in KINDS
        return kind and bool(parts) and not IGNORED.intersection(parts)

    seen: dict[Path, tuple[int, int]] = {}
    for found in watch(root, watch_filter=wanted, debounce=QUIET_MS, raise_interrupt=True):
        changed = {Path(path) for _, path in found if _is_new(Path(path), seen)}
        if changed:
            yield changed


def _is_new(path: Path, seen: dict[Path, tuple[int, int]]) -> bool:
    """Whether a file differs from what it was when it was last told."""
    try:
        status = path.stat()
        mark = (status.st_mtime_ns, status.st_size)
    except OSError:
        mark = (0, 0)
    return seen.get(path) != mark and not seen.update({path: mark})


def _slug(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:50] or "predictor"


def _make_room(client: Client, name: str) -> None:
    """Remove what an earlier `server dev` could not.

    Raises:
        Conflict: another server has the name.
    """
    try:
        found = client.call("servers.get", {"server": name})
    except NotFound:
        return
    if found["definition"]["description"] != MARK:
        raise Conflict(f"there is a server {name!r} already.", hint="Take another name: --name.")
    client.call("servers.remove", {"server": name, "force": True, "wait": True}, timeout=SECONDS)


def _remove(session: Session, name: str) -> None:
    """Take the server away, on a new connection: the old one may be in the middle of a call."""
    try:
        with session.attach() as client:
            request = {"server": name, "force": True, "wait": True}
            client.call("servers.remove", request, timeout=60.0)
    except NotFound:
        return
    except SpiceError as error:
        failures.say(f"server {name} could not be removed: {error}")
        return
    output.line(f"Server {name} is removed.")
