"""Gets a registry's listing and packages over HTTP, bounded in size and time.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any

from spice_engine import __version__
from spice_engine.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    SpiceError,
    TooLarge,
)
from spice_engine.pods.deadline import Deadline

SILENCE_SECONDS = 10.0
LARGEST = 64 * 2**20
_CHUNK = 2**16


class RegistryUnreachable(SpiceError):
    """A registry does not answer, or answers something else than asked for."""

    code = "registry_unreachable"
    http_status = 502
    exit_code = 9


class _SameSecurity(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from HTTPS to plain HTTP, or to another scheme."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in {"http", "https"} or (req.type == "https" and scheme == "http"):
            raise RegistryUnreachable(
                f"{shown(req.full_url)} leads to {shown(newurl)}, which is not as safe.",
                hint="Use the address it leads to, if you trust it.",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def get(url: str, accept: str, deadline: Deadline, *, largest: int = LARGEST) -> bytes:
    """The body at an `http` or `https` address.

    Raises:
        InvalidRequest: the address has another form.
        NotFound: the server has nothing there.
        RegistryUnreachable: it cannot be reached, or refuses.
        TooLarge: the body has more than `largest` bytes.
        DeadlineExceeded: it takes too long.
    """
    _check(url)
    request = _request(url, accept)
    opener = urllib.request.build_opener(_SameSecurity)
    try:
        with opener.open(request, timeout=min(SILENCE_SECONDS, deadline.left)) as answer:
            return _read(answer, url, largest, deadline)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in {404, 410}:
                raise NotFound(f"there is nothing at {shown(url)}.") from None
            raise RegistryUnreachable(
                f"{shown(url)} answers {error.code} {error.reason}.",
                hint="Check the address; see whether it asks for a login.",
            ) from None
    except TimeoutError as error:
        raise DeadlineExceeded(f"{shown(url)} does not answer in time.") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise DeadlineExceeded(f"{shown(url)} does not answer in time.") from error
        raise RegistryUnreachable(
            f"{shown(url)} cannot be reached: {reason}.", hint="Check the address and the network."
        ) from error


def shown(url: str) -> str:
    """The address as messages and files may show it: without password, query, and HTTP's user."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "ssh" and parts.username:  # no secret, and needed to use it again
            host = f"{parts.username}@{host}"
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    return urllib.parse.urlunsplit((parts.scheme, host + port, parts.path, "", ""))


def _check(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise InvalidRequest(f"{url[:200]!r} is no address of a registry or package.")


def _request(url: str, accept: str) -> urllib.request.Request:
    """The request; user and password of the address become a header for that host alone."""
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(
        parts._replace(netloc=host, fragment="").geturl(),
        headers={"Accept": accept, "User-Agent": f"spice-tui/{__version__}"},
    )
    if at:
        secret = base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode("ascii")
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request


def _read(answer: Any, url: str, largest: int, deadline: Deadline) -> bytes:
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > largest:
        raise TooLarge(f"{shown(url)} has {announced} bytes, over the limit of {largest}.")
    body = bytearray()
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if len(body) > largest:
            raise TooLarge(f"{shown(url)} has over {largest} bytes, which is the limit.")
        deadline.check(shown(url))
    if announced.isdecimal() and len(body) != int(announced):
        raise RegistryUnreachable(f"{shown(url)} broke off.", hint="Try again.")
    return bytes(body)
