"""`spell.api.exceptions`."""

from __future__ import annotations

from spice_runtime.client.errors import (
    BadRequest,
    ClientException,
    ConflictRequest,
    JsonDecodeError,
    ServerError,
    UnauthorizedClient,
    UnauthorizedRequest,
    WaitError,
)

__all__ = [
    "BadRequest",
    "ClientException",
    "ConflictRequest",
    "JsonDecodeError",
    "ServerError",
    "UnauthorizedClient",
    "UnauthorizedRequest",
    "WaitError",
]
