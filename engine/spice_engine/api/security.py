"""Who may ask what: known Host names, foreign pages, bearer token, CORS, security headers.

Browsers are the danger on loopback: a page of somebody else's may send requests to it (so
writes with a foreign Origin are refused) and may, by DNS rebinding, even read the answers (so
the Host must be a name this engine knows). Other users of the machine are the second one: what
acts on the user's behalf needs the token.
"""

from __future__ import annotations

import hmac
import ipaddress
from enum import Enum
from functools import lru_cache

from aiohttp import web

from spice_engine.errors import Forbidden, InvalidRequest, InvalidSettings, Unauthorized
from spice_engine.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
EVENTS_PATH = "/api/v1/events"
SUBPROTOCOL = "spice.events.v1"
BEARER_SUBPROTOCOL = "bearer."
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "Via", "X-Real-IP")
EXPOSED = "X-Request-Id, Retry-After, Allow"
ACCEPTED = "Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Request-Deadline"


class Access(Enum):
    """What a route asks of its caller."""

    OPEN = "open"
    LOOPBACK = "loopback"
    """Open on loopback where the setting says so; else the token."""
    TOKEN = "token"
    SELF = "self"
    """The handler asks for the token itself (browsers cannot set headers on a WebSocket)."""


def access_of(route: str) -> Access:
    """What the route with this template asks; unknown paths (empty) are `LOOPBACK`."""
    if route == "/health":
        return Access.OPEN
    if route == EVENTS_PATH:
        return Access.SELF
    if route.startswith("/api/v0.1/") and route.endswith(("/export", "/import")):
        return Access.TOKEN  # these read and write files
    return Access.TOKEN if route.startswith("/api/v1/") else Access.LOOPBACK


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Whether an IP address in text form, or the name localhost, is this machine's loopback."""
    if address.lower().rstrip(".") == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond loopback in the clear, unless that is asked for.

    Raises:
        InvalidSettings: the address is reachable from elsewhere and there is no TLS.
    """
    if is_loopback(settings.http_host) or settings.tls_cert or settings.insecure:
        return
    raise InvalidSettings(
        f"http_host {settings.http_host!r} is reachable from other machines, without TLS.",
        hint="Set tls_cert and tls_key (`spice-tui doctor --make-tls` makes a pair), "
        "or insecure: true for a network that you trust.",
    )


def split_host(text: str) -> tuple[str, str]:
    """A Host header as lower-case name and port; the name is empty where it is malformed."""
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return "", ""
        port = rest[1:]
    else:
        name, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return "", ""
    return name.lower().rstrip("."), port


class Guard:
    """Checks every request before its handler sees it."""

    def __init__(self, settings: Settings, token: str) -> None:
        self._token = token.encode()
        self._open_loopback = settings.open_loopback
        self._open_everywhere = settings.insecure and not is_loopback(settings.http_host)
        self._hosts = {"localhost", "127.0.0.1", "::1"}
        for name in (settings.http_host, *settings.allowed_hosts):
            bare = name.strip("[]") if name.startswith("[") else name
            self._hosts.add(bare.lower().rstrip("."))
        self._origins = {origin.lower().rstrip("/") for origin in settings.cors_origins}
        self._any_origin = "*" in self._origins

    def check(self, request: web.Request) -> web.Response | None:
        """Let the request pass (None), or answer it here (a CORS preflight).

        Raises:
            Forbidden: the Host is unknown, or a foreign page wants to write.
            Unauthorized: the token is missing or wrong.
            InvalidRequest: the path is not text.
        """
        host = self._check_host(request)
        preflight = self._check_origin(request, host)
        if preflight is not None:
            return preflight
        if not _is_text(request.path):
            raise InvalidRequest("the path is not UTF-8.")
        resource = request.match_info.route.resource
        access = access_of(resource.canonical if resource is not None else "")
        if access is Access.OPEN:
            return None
        presented = request.headers.get("Authorization")
        if presented is not None and not self.is_token(_bearer(presented)):
            raise Unauthorized(
                "the token is not the one of this engine.",
                hint="Send the text of .spice/token as `Authorization: Bearer <token>`.",
            )
        if presented is not None or access is Access.SELF:
            return None
        if access is Access.LOOPBACK and (self._open_everywhere or self._is_local(request)):
            return None
        raise Unauthorized(
            "this call needs the engine's token.",
            hint="Send the text of .spice/token as `Authorization: Bearer <token>`.",
        )

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(text.encode("utf-8", "surrogateescape"), self._token)

    def decorate(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Add the security headers, and CORS headers where the page's origin is configured."""
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Server"] = "spice-tui"
        if "Content-Security-Policy" not in headers:
            headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-store"
        if self._origins:
            headers["Vary"] = "Origin"
            origin = request.headers.get("Origin", "")
            if origin and self._is_configured(origin):
                headers["Access-Control-Allow-Origin"] = "*" if self._any_origin else origin
                headers["Access-Control-Expose-Headers"] = EXPOSED

    def _check_host(self, request: web.Request) -> str:
        given = request.headers.getall("Host", [])
        # A target in absolute form overrides the header; then both have to be known.
        for text in (*given, *([request.host] if request.host not in given else [])):
            name, _ = split_host(text)
            if len(given) != 1 or not name or not self._knows(name, request):
                raise Forbidden(
                    f"the Host {text[:100]!r} is not a name of this engine.",
                    hint="Use localhost, or add the name to allowed_hosts.",
                )
        if not given:
            raise Forbidden("there is no Host header.")
        return given[0].lower()

    def _knows(self, name: str, request: web.Request) -> bool:
        if name in self._hosts:
            return True
        # The very address the client connected to: no name, so nothing that could be rebound.
        transport = request.transport
        own = transport.get_extra_info("sockname") if transport is not None else None
        return isinstance(own, tuple) and name == str(own[0])  # pyright: ignore[reportUnknownArgumentType]

    def _check_origin(self, request: web.Request, host: str) -> web.Response | None:
        origin = request.headers.get("Origin")
        if origin is None:
            if (
                request.method not in SAFE_METHODS
                and request.headers.get("Sec-Fetch-Site") == "cross-site"
            ):
                raise _foreign("a page of another site")
            return None
        same = origin.lower() in {f"http://{host}", f"https://{host}"}
        allowed = same or self._is_configured(origin)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            if not allowed:
                raise _foreign(origin)
            return _preflight(request)
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if not allowed and (upgrade or request.method not in SAFE_METHODS):
            raise _foreign(origin)
        return None

    def _is_configured(self, origin: str) -> bool:
        return self._any_origin or origin.lower() in self._origins

    def _is_local(self, request: web.Request) -> bool:
        """Whether the peer itself is on this machine, not a proxy that speaks for another."""
        if not self._open_loopback or any(name in request.headers for name in PROXY_HEADERS):
            return False
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        return isinstance(peer, tuple) and is_loopback(str(peer[0]))  # pyright: ignore[reportUnknownArgumentType]


def _is_text(path: str) -> bool:
    """Whether no bytes of it were left undecoded; such text cannot be stored or answered."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _foreign(origin: str) -> Forbidden:
    return Forbidden(
        f"{origin[:100]!r} may not send this to the engine.",
        hint="If that page is yours, add its origin to cors_origins.",
    )


def _preflight(request: web.Request) -> web.Response:
    response = web.Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
    response.headers["Access-Control-Allow-Headers"] = ACCEPTED
    response.headers["Access-Control-Max-Age"] = "600"
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        response.headers["Access-Control-Allow-Private-Network"] = "true"
    return response
