"""Who may ask what: known Host names, foreign pages, bearer token, CORS, security headers.

Browsers are the danger on loopback: a page of somebody else's may send requests to it (so
writes with a foreign Origin are refused) and may, by DNS rebinding, even read the answers (so
the Host must be a name this engine knows). Other users of the machine are the second one: what
acts on the user's behalf needs the token. Model servers have rules of their own beside these:
a token and origins each. `Guard`'s answers about plain values are the same rules for who does
not have aiohttp's requests.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import Enum

from aiohttp import web

from spice_engine.api.exposure import is_loopback
from spice_engine.api.server_paths import ServerPaths
from spice_engine.errors import Forbidden, InvalidRequest, Unauthorized
from spice_engine.serving.directory import Directory, Served
from spice_engine.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
EVENTS_PATH = "/api/v1/events"
SUBPROTOCOL = "spice.events.v1"
BEARER_SUBPROTOCOL = "bearer."
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "Via", "X-Real-IP")
EXPOSED = "X-Request-Id, Retry-After, Allow"
ACCEPTED = "Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Request-Deadline"
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Server", "spice-tui"),
)
"""Header lines of every response."""
UNLESS_GIVEN = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
)
"""Header lines of responses that do not have another value for them."""


_WITH_TOKEN = ("/api/v1/", "/api/runs/", "/api/2.0/", "/api/3.0/")
"""How the routes begin of operations, and of MLflow's clients."""


class Access(Enum):
    """What a route asks of its caller."""

    OPEN = "open"
    LOOPBACK = "loopback"
    """Open on loopback where the setting says so; else the token."""
    TOKEN = "token"
    SELF = "self"
    """The handler asks for a token itself: browsers cannot set headers on a WebSocket, and what
    runs send their metrics with has one in its path."""
    SERVER = "server"
    """What the model server says: like `LOOPBACK`, or its own token."""


def access_of(route: str) -> Access:
    """What the route with this template asks; unknown paths (empty) are `LOOPBACK`."""
    if route == "/health":
        return Access.OPEN
    if route == EVENTS_PATH or route.startswith("/spell/"):
        return Access.SELF
    if "{server}" in route and not route.startswith("/api/"):
        return Access.LOOPBACK if route.endswith(("/health", "/ready")) else Access.SERVER
    if route.startswith("/api/v0.1/") and route.endswith(("/export", "/import")):
        return Access.TOKEN  # these read and write files
    return Access.TOKEN if route.startswith(_WITH_TOKEN) else Access.LOOPBACK


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
    """Checks every request before its handler sees it. `directory` holds the model servers."""

    def __init__(self, settings: Settings, token: str, directory: Directory | None = None) -> None:
        self._token = token.encode()
        self._directory = Directory() if directory is None else directory
        self._paths = ServerPaths(self._directory.owner)
        self._open_loopback = settings.open_loopback
        self._open_everywhere = settings.insecure and not is_loopback(settings.http_host)
        self._hosts = {"localhost", "127.0.0.1", "::1"}
        for name in (settings.http_host, *settings.allowed_hosts):
            bare = name.strip("[]") if name.startswith("[") else name
            self._hosts.add(bare.lower().rstrip("."))
        self._origins = {origin.lower().rstrip("/") for origin in settings.cors_origins}

    # -- the rules, on plain values

    @property
    def has_origins(self) -> bool:
        """Whether answers depend on the page's origin, whatever the path."""
        return bool(self._origins)

    def knows(self, name: str, own: str) -> bool:
        """Whether a host's name is the engine's. `own` is the address that was connected to: no
        name, so nothing that could be rebound."""
        return bool(name) and (name in self._hosts or name == own)

    def is_open_to(self, peer: str, *, proxied: bool) -> bool:
        """Whether a caller at this address needs no token where a path asks for none on
        loopback. `proxied`: it speaks for another (a header of `PROXY_HEADERS` is there)."""
        if self._open_everywhere:
            return True
        return self._open_loopback and not proxied and is_loopback(peer)

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(text.encode("utf-8", "surrogateescape"), self._token)

    def may_call(self, served: Served | None, authorization: str | None, *, is_open: bool) -> bool:
        """Whether a model server's call may pass: where it `is_open` to the caller, or with the
        server's token or the engine's. Where it is open the header belongs to the predictor.
        """
        if is_open:
            return True
        if authorization is None:
            return False
        text = bearer(authorization)
        if served is not None and served.token:
            theirs = served.token.encode()
            if hmac.compare_digest(text.encode("utf-8", "surrogateescape"), theirs):
                return True
        return self.is_token(text)

    # -- one request of aiohttp's

    def check(self, request: web.Request) -> web.Response | None:
        """Let the request pass (None), or answer it here (a CORS preflight).

        Raises:
            Forbidden: the Host is unknown, or a foreign page wants to write.
            Unauthorized: the token is missing or wrong.
            InvalidRequest: the path is not text.
        """
        host = self._check_host(request)
        served = self._served(request)
        preflight = self._check_origin(request, host, served.door.cors if served else ())
        if preflight is not None:
            return preflight
        if not _is_text(request.path):
            raise InvalidRequest("the path is not UTF-8.")
        resource = request.match_info.route.resource
        access = access_of(resource.canonical if resource is not None else "")
        if access is Access.OPEN:
            return None
        presented = request.headers.get("Authorization")
        is_open = self._is_open(request)
        if access is Access.SERVER or served is not None:
            if access is Access.SERVER and served is not None and served.door.auth != "none":
                is_open = False
            if self.may_call(served, presented, is_open=is_open):
                return None
            raise Unauthorized(
                "this call needs the server's token.",
                hint="`spice-tui server describe --token` shows it; send it as "
                "`Authorization: Bearer <token>`.",
            )
        if presented is not None and not self.is_token(bearer(presented)):
            raise Unauthorized(
                "the token is not the one of this engine.",
                hint="Send the text of .spice/token as `Authorization: Bearer <token>`.",
            )
        if presented is not None or access is Access.SELF:
            return None
        if access is Access.LOOPBACK and is_open:
            return None
        raise Unauthorized(
            "this call needs the engine's token.",
            hint="Send the text of .spice/token as `Authorization: Bearer <token>`.",
        )

    def decorate(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Add the security headers, and CORS headers where the page's origin is configured."""
        headers = response.headers
        for name, value in ALWAYS:
            headers[name] = value
        for name, value in UNLESS_GIVEN:
            if name not in headers:
                headers[name] = value
        served = self._served(request)
        more = served.door.cors if served is not None else ()
        if self._origins or more:
            headers["Vary"] = "Origin"
            origin = request.headers.get("Origin", "")
            if origin and self._is_configured(origin, more):
                everybody = "*" in self._origins or "*" in more
                headers["Access-Control-Allow-Origin"] = "*" if everybody else origin
                headers["Access-Control-Expose-Headers"] = EXPOSED

    def _served(self, request: web.BaseRequest) -> Served | None:
        name = self._paths.server(request.path)
        return self._directory.get(name) if name else None

    def _check_host(self, request: web.Request) -> str:
        given = request.headers.getall("Host", [])
        # A target in absolute form overrides the header; then both have to be known.
        for text in (*given, *([request.host] if request.host not in given else [])):
            name, _ = split_host(text)
            if len(given) != 1 or not self.knows(name, _address(request, "sockname")):
                raise Forbidden(
                    f"the Host {text[:100]!r} is not a name of this engine.",
                    hint="Use localhost, or add the name to allowed_hosts.",
                )
        if not given:
            raise Forbidden("there is no Host header.")
        return given[0].lower()

    def _check_origin(
        self, request: web.Request, host: str, more: Sequence[str]
    ) -> web.Response | None:
        origin = request.headers.get("Origin")
        if origin is None:
            if (
                request.method not in SAFE_METHODS
                and request.headers.get("Sec-Fetch-Site") == "cross-site"
            ):
                raise _foreign("a page of another site")
            return None
        same = origin.lower() in {f"http://{host}", f"https://{host}"}
        allowed = same or self._is_configured(origin, more)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            if not allowed:
                raise _foreign(origin)
            return _preflight(request)
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if not allowed and (upgrade or request.method not in SAFE_METHODS):
            raise _foreign(origin)
        return None

    def _is_configured(self, origin: str, more: Sequence[str]) -> bool:
        if "*" in self._origins or "*" in more or origin.lower() in self._origins:
            return True
        return any(origin.lower() == other.lower().rstrip("/") for other in more)

    def _is_open(self, request: web.Request) -> bool:
        proxied = any(name in request.headers for name in PROXY_HEADERS)
        return self.is_open_to(_address(request, "peername"), proxied=proxied)


def _address(request: web.Request, which: str) -> str:
    """The address of this end (`sockname`) or of the other (`peername`); empty if not known."""
    transport = request.transport
    found = transport.get_extra_info(which) if transport is not None else None
    return str(found[0]) if isinstance(found, tuple) else ""  # pyright: ignore[reportUnknownArgumentType]


def _is_text(path: str) -> bool:
    """Whether no bytes of it were left undecoded; such text cannot be stored or answered."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def bearer(header: str) -> str:
    """The token of an `Authorization` header; empty where it is of another kind."""
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
