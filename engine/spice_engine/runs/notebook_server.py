"""A notebook server: the command that starts it, and what it says about itself over HTTP.

Jupyter's own REST interface
(https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html). Everything blocks.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spice_engine.errors import Conflict, InvalidRequest, NotInstalled
from spice_engine.records import record

HOST = "127.0.0.1"
PORTS = range(8888, 8988)
"""Those of Jupyter and on, tried in turn; each app folder begins at one of its own."""

MODULES = {"lab": "jupyterlab", "notebook": "notebook"}
"""What serves each interface, as a Python module and as a package."""

PAGES = {"lab": "/lab", "notebook": "/tree"}
_SECONDS = 5.0
_PROBE_SECONDS = 30.0
_MOST_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@record
class Kernel:
    """A running kernel; `since` is its last activity."""

    id: str
    busy: bool
    since: float


@record
class Activity:
    """What a server says: when it was used last, and its kernels and terminals."""

    last: float
    kernels: tuple[Kernel, ...]
    terminals: int


class NoAnswer(Exception):
    """The server does not answer, or not as a notebook server does."""


def command(python: str, interface: str, port: int) -> list[str]:
    """What starts a server that only this machine reaches; the token comes by the environment."""
    words = [
        *(python, "-m", MODULES[interface], "--no-browser"),
        *(f"--ServerApp.ip={HOST}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
    ]
    if interface == "lab":
        # It would ask elsewhere whether there is a newer one.
        words.append("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
    if os.geteuid() == 0:
        words.append("--allow-root")
    return words


def python_with(interface: str) -> str:
    """The Python that has what serves the interface: the PATH's first, or the engine's own.

    Raises:
        NotInstalled: neither has it.
    """
    module = MODULES[interface]
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    for python in dict.fromkeys((shutil.which("python"), shutil.which("python3"), sys.executable)):
        with suppress(OSError, subprocess.SubprocessError):
            if (
                python
                and not subprocess.run(
                    [python, "-c", probe],
                    cwd="/",  # nothing in a folder of the user can be taken for it
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_PROBE_SECONDS,
                    check=False,
                ).returncode
            ):
                return python
    raise NotInstalled(
        f"{module} is not installed.",
        hint=f"Give the workspace an environment of its own (--pip {module}), or install it beside "
        f"spice-tui: pip install {module}.",
    )


def needs(interface: str, named: Iterable[str]) -> list[str]:
    """The packages to add to requirements that name none which serves the interface."""
    names = {
        found.group().lower() for text in named if (found := _NAME.match(text.strip())) is not None
    }
    wanted = MODULES[interface]
    return [] if names & {wanted, "jupyter"} else [wanted]


def free_port(wanted: int | None, last: int | None, taken: Sequence[int], root: Path) -> int:
    """A port to listen on: the wanted one, the one it had last, or the next that is free.

    Two app folders that ask at once find the same ports free: so each begins elsewhere.

    Raises:
        InvalidRequest: the wanted one is none.
        Conflict: the wanted one, or all, are in use.
    """
    if wanted is not None:
        if not 0 < wanted < 65536:
            raise InvalidRequest(f"{wanted} is no port.", hint="Between 1 and 65535.")
        if wanted in taken or not _is_free(wanted):
            raise Conflict(
                f"port {wanted} is in use.", hint="Take another one, or leave --port out."
            )
        return wanted
    begin = zlib.crc32(os.fsencode(root)) % len(PORTS)
    for port in (last, *PORTS[begin:], *PORTS[:begin]):
        if port and port not in taken and _is_free(port):
            return port
    raise Conflict(
        f"all ports from {PORTS[0]} to {PORTS[-1]} are in use.",
        hint="Stop a workspace that nobody needs, or give one another port (--port).",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((HOST, port))
        except OSError:
            return False
    return True


def look(port: int, token: str) -> Activity:
    """What a server says about itself. Asking is no activity.

    Raises:
        NoAnswer: it does not, or not so.
    """

    def ask(call: Callable[[str, str], Any]) -> Activity:
        status = call("GET", "/api/status")
        kernels = tuple(
            Kernel(
                str(one["id"]),
                one.get("execution_state") == "busy",
                _seconds(one["last_activity"]),
            )
            for one in call("GET", "/api/kernels?no_track_activity=1")
        )
        try:
            terminals = [
                _seconds(one["last_activity"])
                for one in call("GET", "/api/terminals?no_track_activity=1")
            ]
        except NoAnswer:
            terminals = []  # they are switched off
        last = [_seconds(status["last_activity"]), *terminals, *(one.since for one in kernels)]
        return Activity(max(last), kernels, len(terminals))

    return _with(port, token, ask)


def end_kernel(port: int, token: str, kernel: str) -> None:
    """End one kernel.

    Raises:
        NoAnswer: the server does not answer.
    """
    _with(port, token, lambda call: call("DELETE", f"/api/kernels/{kernel}?no_track_activity=1"))


def _with(port: int, token: str, ask: Callable[[Callable[[str, str], Any]], Any]) -> Any:
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)

    def call(method: str, path: str) -> Any:
        connection.request(method, path, headers={"Authorization": f"token {token}"})
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES)
        if answer.status >= 300:
            raise NoAnswer(f"{path.partition('?')[0]} is answered with status {answer.status}")
        return json.loads(body) if body else None

    try:
        return ask(call)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
    finally:
        connection.close()


def _seconds(text: str) -> float:
    """Unix seconds of a time as the server writes it, always in UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=UTC).timestamp()
