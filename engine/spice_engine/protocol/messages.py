"""The messages of the private door: what a frame may hold, in both directions.

A message is a msgpack array whose first item is its kind. Client to engine:

    [HELLO, {"protocol", "client", "capabilities"}]     first, once
    [REQUEST, id, operation, params]                    answered by RESPONSE or ERROR
    [SUBSCRIBE, id, topic, params]                      answered by SNAPSHOT, or ERROR
    [UNSUBSCRIBE, id]                                   no answer; of a request under way: nobody
                                                        waits for it any more, it is given up

Engine to client:

    [WELCOME, {"protocol", "engine", "operations", "topics", ...}]
    [RESPONSE, id, result]
    [ERROR, id, {"code", "message", "hint"?, "place"?}]  id 0: the connection itself
    [SNAPSHOT, id, seq, data]                            replaces what the client holds
    [DELTA, id, seq, data]                               follows seq - 1
    [GAP, id, first, last]                               rows first..last were dropped: read them
    [END, id, reason]                                    the subscription is over

`seq` counts per subscription, from 1, over snapshots and deltas alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, cast

from spice_engine.errors import ProtocolError
from spice_engine.records import record

PROTOCOL_VERSION = 1


class Kind(IntEnum):
    """First item of every message."""

    HELLO = 0
    REQUEST = 1
    SUBSCRIBE = 2
    UNSUBSCRIBE = 3
    WELCOME = 10
    RESPONSE = 11
    ERROR = 12
    SNAPSHOT = 13
    DELTA = 14
    GAP = 15
    END = 16


@record
class Hello:
    """A client's first message."""

    protocol: int
    client: str
    capabilities: tuple[str, ...] = ()


@record
class Request:
    """A call of one operation."""

    id: int
    operation: str
    params: Mapping[str, Any]


@record
class Subscribe:
    """A wish to follow one topic."""

    id: int
    topic: str
    params: Mapping[str, Any]


@record
class Unsubscribe:
    """The end of one subscription, or of one request under way, wished by the client."""

    id: int


ClientMessage = Hello | Request | Subscribe | Unsubscribe


def parse_client_message(message: Any) -> ClientMessage:
    """A decoded frame as one of the messages a client may send.

    Raises:
        ProtocolError: anything else.
    """
    match message:
        case [Kind.HELLO, {"protocol": int(protocol), "client": str(client), **rest}]:
            capabilities = rest.get("capabilities", ())
            names = cast("list[object]", capabilities) if isinstance(capabilities, list) else []
            return Hello(protocol, client[:100], tuple(str(name) for name in names[:100]))
        case [Kind.REQUEST, int(id_), str(operation), params] if id_ > 0:
            return Request(id_, operation, _named(params))
        case [Kind.SUBSCRIBE, int(id_), str(topic), params] if id_ > 0:
            return Subscribe(id_, topic, _named(params))
        case [Kind.UNSUBSCRIBE, int(id_)] if id_ > 0:
            return Unsubscribe(id_)
        case _:
            raise ProtocolError(
                "a message is not of any form this protocol knows",
                hint=f"This engine speaks version {PROTOCOL_VERSION}.",
            )


def _named(params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise ProtocolError("parameters must be a map")
    named = cast("dict[object, Any]", params)
    if not all(isinstance(name, str) for name in named):
        raise ProtocolError("the names of parameters must be text")
    return cast("dict[str, Any]", named)
