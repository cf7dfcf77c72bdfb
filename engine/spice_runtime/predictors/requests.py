"""Starlette's types for a predictor: requests out of raw heads, responses that write themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spice_runtime.optional import have

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Send = Callable[[dict[str, Any]], Awaitable[None]]

prefix = ""
"""What the door's paths begin with (`/servers/<name>`): a predictor sees what follows it, so that
`request.url.path` is `/predict` as everywhere else. `/<owner>/<name>` begins them, too."""

_DEFAULT_HEAD = b"POST /predict HTTP/1.1\r\n\r\n"


def need_starlette(what: str) -> None:
    """Says at start-up that a predictor needs Starlette and its environment lacks it.

    Raises:
        ImportError: it is not there.
    """
    if have("starlette") is None:
        raise ImportError(
            f"{what} needs Starlette, which is not installed in the predictor's environment: add "
            "starlette to its packages"
        )


def scope_of(head: bytes) -> dict[str, Any]:
    """The ASGI scope of a raw HTTP head."""
    from urllib.parse import unquote

    lines = (head or _DEFAULT_HEAD).split(b"\r\n")
    first = lines[0].split(b" ")
    method, target = first[:2] if len(first) > 1 else (b"POST", b"/predict")
    version = first[-1].rpartition(b"/")[2].decode("latin-1") or "1.1"
    headers: list[tuple[bytes, bytes]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.strip().lower(), value.strip()))
    raw_path, _, query = target.partition(b"?")
    if not raw_path.startswith(b"/"):
        # An absolute target: scheme and host before the path.
        raw_path = b"/" + raw_path.partition(b"://")[2].partition(b"/")[2]
    path = unquote(raw_path.decode("latin-1"))
    return {
        "type": "http",
        # From 2.4 on a response notices by its writes that the client is gone.
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": version,
        "method": method.decode("latin-1").upper(),
        "scheme": "http",
        "path": _inner(path),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
    }


def _inner(path: str) -> str:
    """The path below the server's own."""
    server = prefix.rpartition("/")[2]
    parts = path.split("/", 3)
    if server and len(parts) == 4 and not parts[0] and parts[2] == server:
        return "/" + parts[3]
    return path


def request_of(kind: Any, head: bytes, body: bytes) -> Any:
    """A Starlette `Request` (or the subclass `kind`), its body there already."""
    if kind is None:
        kind = have("starlette.requests").Request
    request = kind(scope_of(head), receiver(body))
    # So that `await request.body()` never waits, whatever loop it runs on.
    request._body = body
    return request


def receiver(body: bytes) -> Any:
    """ASGI's `receive` for a body that came whole; after it, nothing comes for ever."""
    given = False

    async def receive() -> dict[str, Any]:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        import asyncio

        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive


def background_tasks() -> Any:
    """An empty list of background tasks."""
    return have("starlette.background").BackgroundTasks()
