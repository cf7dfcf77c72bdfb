"""Calls to the engine over HTTP: JSON in and out, patient while the engine is replaced."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

import http.client
import json
import ssl
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from spice_runtime.client.errors import (
    ConflictRequest,
    JsonDecodeError,
    NotFound,
    ServerError,
    UnauthorizedClient,
    of_status,
)

PATIENCE = 60.0
"""Seconds in which an engine that is away may come back: it restarts, and runs go on."""
PATIENCE_OF_RUNS = 600.0
"""The same for what an engine has started, and what can do nothing without it."""
TIMEOUT = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_UNAUTHORIZED, _AWAY = 401, 503
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Door:
    """The engine's HTTP door. Safe from several threads and after a fork: it keeps nothing open."""

    def __init__(
        self, url: str, token: str, state: str = "", *, patience: float = PATIENCE
    ) -> None:
        if not token:
            raise UnauthorizedClient("A client needs the engine's token.")
        self._url = url.rstrip("/")
        self._token = token
        self._state = Path(state) if state else None
        self._patience = patience

    @property
    def url(self) -> str:
        """Where the engine is."""
        return self._url

    @property
    def state(self) -> str:
        """Its folder, where its address is read again; empty if it is not known."""
        return "" if self._state is None else str(self._state)

    def get(self, path: str, /, **query: Any) -> Any:
        """What lies at a path below /api/v1; parameters of None are left out."""
        return self._call("GET", path, query, None)

    def post(self, path: str, body: dict[str, Any] | None = None, *, again: bool = False) -> Any:
        """Have something done; `again`: it may be asked once more when the engine has gone."""
        return self._call("POST", path, {}, body or {}, again=again)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """Have something made, once: by its key the engine knows a request that is made again."""
        return self.post(path, {**body, "request_key": uuid.uuid4().hex}, again=True)

    def change(self, path: str) -> Any:
        """Have a state changed; None if that was done already when it was asked for again."""
        return self._call("POST", path, {}, {}, again=True, done=ConflictRequest)

    def changed(self, path: str, how: str) -> Any:
        """Have the state of what lies at a path changed; what that is then."""
        return self.change(f"{path}/{how}") or self.get(path)

    def delete(self, path: str, /, **query: Any) -> Any:
        """Remove something."""
        return self._call("DELETE", path, query, None, again=True, done=NotFound)

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, Any],
        body: Any,
        *,
        again: bool = False,
        done: type[Exception] | tuple[()] = (),
    ) -> Any:
        """What the engine answers. `done` is the error of what is done already; if it comes when
        the request was made again, the first has done it."""
        whole = "/api/v1/" + quote(path)
        given = {name: value for name, value in query.items() if value is not None}
        if given:
            whole += "?" + urlencode(given, doseq=True)
        data = None if body is None else json.dumps(body).encode()
        status, text, repeated = self._sent(method, whole, data, again=again or method == "GET")
        try:
            answer = json.loads(text) if text else None
        except ValueError as error:
            raise JsonDecodeError("The engine's answer is not JSON.", text, error) from error
        if status < 400:
            return answer
        found = answer.get("error") if isinstance(answer, dict) else None
        said = found if isinstance(found, dict) else {}
        message = " ".join(str(said[key]) for key in ("message", "hint") if said.get(key))
        error = of_status(status, message or f"HTTP status {status}.", answer)
        if repeated and isinstance(error, done):
            return None
        raise error

    def _sent(
        self, method: str, path: str, data: bytes | None, *, again: bool
    ) -> tuple[int, bytes, bool]:
        """Status and body of the answer, and whether it may not have been the first."""
        deadline, repeated = time.monotonic() + self._patience, False
        pause = _FIRST_PAUSE
        while True:
            connection = self._connection()
            began, sent = time.monotonic(), False
            try:
                connection.connect()
                sent = True
                connection.request(method, path, data, self._headers(data))
                response = connection.getresponse()
                # 503: it comes up or leaves just now, and has done nothing.
                away = response.status == _AWAY or self._is_anothers(response)
                if not away or time.monotonic() > deadline:
                    return response.status, response.read(), repeated
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() - began > self._patience:
                    deadline = time.monotonic() + self._patience  # it waited long for its answer
                # What was sent may have been done: only what changes nothing is asked again.
                if (sent and not again) or time.monotonic() > deadline:
                    raise ServerError(
                        f"The engine cannot be reached: {error}.", None, error
                    ) from error
                repeated = repeated or sent
            finally:
                connection.close()
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)
            self._look_again()

    def _headers(self, data: bytes | None) -> dict[str, str]:
        found = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return found if data is None else {**found, "Content-Type": "application/json"}

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        host = parts.hostname or "127.0.0.1"
        if parts.scheme != "https":
            return http.client.HTTPConnection(host, parts.port or 80, timeout=TIMEOUT)
        context = ssl.create_default_context()
        if host in _LOOPBACK:
            # It leaves this machine nowhere, and its certificate is the user's own.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(
            host, parts.port or 443, timeout=TIMEOUT, context=context
        )

    def _is_anothers(self, response: http.client.HTTPResponse) -> bool:
        """Whether something else answers where the engine was, which is away: the engine of another
        folder refuses the token, other programs do not number their answers."""
        if self._state is None:
            return False
        return response.status == _UNAUTHORIZED or response.headers["X-Request-Id"] is None

    def _look_again(self) -> None:
        """The engine may have come back at another address."""
        if self._state is not None:
            with suppress(OSError):
                self._url = (self._state / "http").read_text().strip().rstrip("/") or self._url
            with suppress(OSError):
                self._token = (self._state / "token").read_text().strip() or self._token
