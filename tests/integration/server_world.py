"""A folder with predictors, an engine on it, and clients that keep asking while things happen."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, cast

from tests.conftest import EngineFixture, wait_for

ECHO = """
from spice_runtime import BasePredictor

class Predictor(BasePredictor):
    def __init__(self, factor=2):
        self.factor = factor

    def predict(self, payload):
        return {"got": payload, "factor": self.factor}
"""

HERE = {"python": sys.executable}
"""Dependencies of a server that runs in the tests' own Python: nothing has to be installed."""


class ServerWorld:
    """What tests of servers do with an engine."""

    def __init__(self, engine: EngineFixture) -> None:
        self.engine = engine
        self.folder: Path = engine.location.root

    def write(self, name: str, text: str) -> str:
        """A file of the app folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    def call(self, operation: str, **params: Any) -> Any:
        """One operation."""
        return self.engine.call(operation, **params)

    def serve(self, name: str, text: str = ECHO, **more: Any) -> dict[str, Any]:
        """Stand up a server of this predictor, and wait until it runs or has failed."""
        entrypoint = self.write(f"{name.replace('-', '_')}.py", text)
        definition = {"name": name, "entrypoint": entrypoint, "dependencies": HERE, **more}
        return self.call("servers.serve", definition=definition, wait=True)

    def update(self, server: str, *, code: bool = False, **changes: Any) -> dict[str, Any]:
        """Roll out a new version, and wait for its end."""
        return self.call("servers.update", server=server, changes=changes, code=code, wait=True)

    def info(self, server: str) -> dict[str, Any]:
        """One server."""
        found = [one for one in self.call("servers.list")["servers"] if one["name"] == server]
        return found[0]

    def wait_ready(self, server: str, pods: int, without: frozenset[int] = frozenset()) -> None:
        """Until so many replicas are ready, none of them one of those."""

        def look() -> bool:
            replicas = self.info(server)["replicas"]
            ready = [one["number"] for one in replicas if one["state"] == "ready"]
            return len(ready) == pods and not without & set(ready)

        wait_for(look, f"{pods} ready replicas of {server}")

    def remove(self, server: str) -> None:
        """Take a server away, whatever it does."""
        self.call("servers.remove", server=server, force=True)

    def predict(self, server: str, payload: Any = None, **headers: str) -> tuple[int, Any]:
        """POST to the public door: the status, and the answer, decoded where it is JSON."""
        return self.post(f"/servers/{server}/predict", json.dumps(payload).encode(), **headers)

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        """POST to the public door."""
        request = urllib.request.Request(
            self.engine.http + path, data=body, headers=headers, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read())

    def process_of(self, replica: dict[str, Any]) -> int:
        """The pid of a replica's Python, below its shim."""
        shim = int(replica["pid"])
        text = Path(f"/proc/{shim}/task/{shim}/children").read_text()
        return int(text.split()[0])


class Clients:
    """Keep-alive clients that ask again and again; `failures` are all answers but 200."""

    def __init__(self, world: ServerWorld, server: str, count: int = 4, payload: Any = 1) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._path = f"/servers/{server}/predict"
        self._body = json.dumps(payload).encode()
        self._address = world.engine.http.rpartition("//")[2]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_more(self, number: int = 50) -> None:
        """Until so many more were answered."""
        wanted = self.answers + number
        wait_for(lambda: self.answers >= wanted or self.failures, f"{number} more answers")

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", self._path, self._body)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 200:
                    self.answers += 1
                else:
                    self.failures.append(f"{answer.status} {body[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            time.sleep(0.01)  # or these clients alone would keep a core busy
        connection.close()


def _decoded(body: bytes) -> Any:
    try:
        return cast("Any", json.loads(body))
    except ValueError:
        return body.decode()
