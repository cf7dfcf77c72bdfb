"""What goes wrong for the client's caller; the names are Spell's."""

from __future__ import annotations

from typing import Any


class ClientException(Exception):
    """The root. `message` says what happened, `response` is the engine's answer as plain data."""

    def __init__(self, message: str = "", response: Any = None, exception: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.response = response
        self.exception = exception


class ServerError(ClientException):
    """The engine failed, or cannot be reached."""


class BadRequest(ClientException):
    """The request cannot be carried out as it is."""


class NotFound(BadRequest):
    """There is no such thing."""


class UnauthorizedClient(ClientException):
    """The client has no token."""


class UnauthorizedRequest(ClientException):
    """The token is not the engine's."""


class ConflictRequest(ClientException):
    """The thing is in a state in which this cannot be done."""


class JsonDecodeError(ClientException):
    """The answer is not JSON."""


class WaitError(ClientException):
    """What was waited for cannot come any more."""


def of_status(status: int, message: str, response: Any) -> ClientException:
    """The error of an HTTP status."""
    kinds = {
        401: UnauthorizedRequest,
        403: UnauthorizedRequest,
        404: NotFound,
        409: ConflictRequest,
    }
    kind = kinds.get(status, ServerError if status >= 500 else BadRequest)
    return kind(message, response)
