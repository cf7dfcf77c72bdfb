"""Responses of the public door: JSON, text, pages and errors."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from spice_engine.api import json_text
from spice_engine.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    SpiceError,
    TooLarge,
    Unauthorized,
)

REQUEST_ID = web.RequestKey("request_id", str)


class ClientGone(Exception):
    """The client hung up before it was answered."""


class MethodNotAllowed(SpiceError):
    """The path exists, but not with this method."""

    code = "method_not_allowed"
    http_status = 405
    exit_code = 2


class RequestTimeout(SpiceError):
    """The client did not send its request in time."""

    code = "request_timeout"
    http_status = 408
    exit_code = 2


def json_response(data: Any, status: int = 200) -> web.Response:
    """Plain data as JSON."""
    return web.Response(
        body=json_text.dumps(data), status=status, content_type="application/json", charset="utf-8"
    )


def text_response(text: str, status: int = 200) -> web.Response:
    """Plain text."""
    return web.Response(text=text, status=status, content_type="text/plain", charset="utf-8")


def page_response(html: str) -> web.Response:
    """A self-contained page: inline styles and pictures only, no script, no frame around it."""
    response = web.Response(text=html, content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response


def error_response(error: SpiceError) -> web.Response:
    """The error with its status: `{"error": {"code", "message", "hint"?, "place"?}}`."""
    response = json_response({"error": error.as_dict()}, status=error.http_status)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="spice-tui"'
    return _told(response, error)


def text_error(error: SpiceError, *, status: int | None = None, prefix: str = "") -> web.Response:
    """The error as plain text, the v0.1 API's form; with another status where one is given."""
    return _told(text_response(f"{prefix}{error}", status or error.http_status), error)


def _told(response: web.Response, error: SpiceError) -> web.Response:
    """The response, with what the error says to the connection."""
    if error.http_status in {429, 503}:
        response.headers["Retry-After"] = "1"
    if isinstance(error, RequestTimeout | TooLarge):
        response.force_close()  # what is left of the body is not waited for
    return response


def from_http_exception(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's own refusals in our form; redirects and the like stay as they are."""
    if error.status < 400:
        return error
    ours: SpiceError
    if isinstance(error, web.HTTPNotFound):
        ours = NotFound(
            f"there is nothing at {request.path!r}.", hint="/docs lists every path of this API."
        )
    elif isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        ours = MethodNotAllowed(
            f"{request.method} is not possible at {request.path!r}.", hint=f"Allowed: {allowed}."
        )
        response = error_response(ours)
        response.headers["Allow"] = allowed
        return response
    elif isinstance(error, web.HTTPRequestEntityTooLarge):
        ours = TooLarge("the request's body is too large.")
    elif error.status == 401:
        ours = Unauthorized(error.reason)
    elif error.status == 403:
        ours = Forbidden(error.reason)
    else:
        ours = InvalidRequest((error.text or error.reason).strip())
    return error_response(ours)
