"""The public door's listening socket: which port, and what to say when it is taken."""

from __future__ import annotations

import errno
import socket

from spice_engine.api.exposure import check_exposure
from spice_engine.errors import EngineUnavailable, InvalidSettings
from spice_engine.settings import Settings

FIRST_PORT = 8000
LAST_PORT = 8099
BACKLOG = 1024
USER_TIMEOUT_MS = 60_000
"""A peer that takes nothing for this long is dropped by the kernel (Linux)."""


def bind(settings: Settings) -> socket.socket:
    """A listening socket on `http_host`: at `http_port`, or at the first free port from 8000.

    It listens at once, so that nobody else gets the port between this and the door's start.

    Raises:
        InvalidSettings: the address cannot be resolved, or is open to others without TLS.
        EngineUnavailable: the port is taken (the message says by whom, where that can be seen),
            not ours to use, or all of 8000 to 8099 are taken.
    """
    check_exposure(settings)
    if settings.http_port is not None:
        if not 0 <= settings.http_port <= 65535:
            raise InvalidSettings(f"http_port {settings.http_port} is not between 0 and 65535.")
        try:
            return _listen(settings.http_host, settings.http_port)
        except OSError as error:
            raise _explain(error, settings.http_host, settings.http_port) from error
    for port in range(FIRST_PORT, LAST_PORT + 1):
        try:
            return _listen(settings.http_host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _explain(error, settings.http_host, port) from error
    raise EngineUnavailable(
        f"all ports from {FIRST_PORT} to {LAST_PORT} are taken.",
        hint="Set http_port to a free one, or to 0 for any.",
    )


def leads_to(settings: Settings, sock: socket.socket) -> bool:
    """Whether `bind` would want to listen where `sock` does. Blocks while it resolves the host."""
    host, port = str(sock.getsockname()[0]), int(sock.getsockname()[1])
    wanted = settings.http_port
    if (wanted and wanted != port) or (wanted is None and not FIRST_PORT <= port <= LAST_PORT):
        return False
    try:
        found = socket.getaddrinfo(settings.http_host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return False
    return any(item[4][0] == host for item in found)


def base_url(sock: socket.socket, *, tls: bool) -> str:
    """The URL at which a client on this machine reaches the socket, without a slash at the end."""
    host, port = str(sock.getsockname()[0]), int(sock.getsockname()[1])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{name}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise InvalidSettings(f"http_host {host!r} is no address of this machine.") from error
    # IPv4 first: `localhost` should be what most clients try.
    family, kind, protocol, _, address = min(found, key=lambda item: item[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _explain(error: OSError, host: str, port: int) -> EngineUnavailable | InvalidSettings:
    if error.errno == errno.EADDRINUSE:
        return EngineUnavailable(
            f"port {port} of {host} is taken by {_holder(port)}.",
            hint="Stop that, or set http_port to another port (0: any free one).",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return EngineUnavailable(
            f"port {port} of {host} may not be used by this user.",
            hint="Take a port from 1024 up.",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidSettings(f"http_host {host!r} is no address of this machine.")
    return EngineUnavailable(f"cannot listen on port {port} of {host}: {error.strerror}.")


def _holder(port: int) -> str:
    """Who listens on a port, as far as this user may see."""
    import psutil  # only needed for this message

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr[1] == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except (psutil.Error, OSError):
        return "another program"
    return "another program"
