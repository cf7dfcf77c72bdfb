"""Payloads in: the body of a request by its codec."""

from __future__ import annotations

import io
from typing import Any

from spice_runtime.optional import have
from spice_runtime.predictors.answers import BadPayload
from spice_runtime.predictors.json_text import load
from spice_runtime.wire import JSON, MSGPACK, NPY

NO_JSON = "Request must contain a JSON object"


def decode(codec: int, body: bytes, *, is_short: bool = False) -> Any:
    """What the body holds; bytes where it is not for us to say. `is_short`: see `json_text.load`.

    Raises:
        BadPayload: 400 where it does not hold what the codec says, 415 where the predictor's
            environment cannot read it.
    """
    if codec == JSON:
        try:
            return load(body, is_short=is_short)
        except ValueError:
            raise BadPayload(400, NO_JSON) from None
    if codec == MSGPACK:
        return _msgpack(body)
    if codec == NPY:
        return _npy(body)
    return body


def _msgpack(body: bytes) -> Any:
    msgpack = have("msgpack")
    if msgpack is None:
        raise BadPayload(415, "msgpack is not installed in the predictor's environment")
    try:
        return msgpack.unpackb(body, strict_map_key=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadPayload(400, f"Request must contain msgpack: {error}") from None


def _npy(body: bytes) -> Any:
    numpy = have("numpy")
    if numpy is None:
        raise BadPayload(415, "numpy is not installed in the predictor's environment")
    try:
        return numpy.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, SyntaxError) as error:
        raise BadPayload(400, f"Request must contain an array in NPY format: {error}") from None
