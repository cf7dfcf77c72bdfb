"""The `websocket` connector, and `coinbase`, a preset of it: JSON messages as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, cast

from spice_engine.data.connectors.remote import PlaceOf, address, headers, required
from spice_engine.errors import InvalidData
from spice_engine.records import record

PARAMS = ("url", "subscribe", "headers")
COINBASE_PARAMS = ("product_ids", "url")
COINBASE_URL = "wss://ws-feed.exchange.coinbase.com"


@record
class StreamSource:
    """Where to connect, what to say first, and which messages are data.

    With `only_type` those whose `type` is that, else every one with a time.
    """

    connector: str
    url: str
    subscribe: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    only_type: str = ""


def parse(params: Mapping[str, str], place_of: PlaceOf) -> StreamSource:
    """The params of `websocket`; `subscribe` is JSON, where an array is a message per item.

    Raises InvalidData where one is missing or cannot be used.
    """
    url = address("websocket", params, place_of, ("ws", "wss"))
    messages: list[Any] = []
    if text := params.get("subscribe", "").strip():
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidData(
                "The subscribe of the websocket connector is no JSON.",
                hint='Write the message as it is to be sent, as in {"type": "subscribe"}.',
                place=place_of("subscribe"),
            ) from None
        messages = cast("list[Any]", value) if isinstance(value, list) else [value]
    sent = tuple(json.dumps(message) for message in messages)
    return StreamSource("websocket", url, sent, headers("websocket", params, place_of))


def parse_coinbase(params: Mapping[str, str], place_of: PlaceOf) -> StreamSource:
    """The params of `coinbase`: `product_ids`, a comma list.

    Raises InvalidData where it is missing.
    """
    listed = required("coinbase", params, "product_ids", place_of)
    products = [name for part in listed.split(",") if (name := part.strip())]
    if not products:
        raise InvalidData(
            "coinbase connector requires the 'product_ids' parameter to be set",
            place=place_of("product_ids"),
        )
    url = address("coinbase", {"url": COINBASE_URL, **params}, place_of, ("ws", "wss"))
    message = {
        "type": "subscribe",
        "product_ids": products,
        "channels": ["ticker", "heartbeat"],
    }
    return StreamSource("coinbase", url, (json.dumps(message),), only_type="ticker")


def data_of(text: str, source: StreamSource, time_selector: str) -> Sequence[str]:
    """The objects of a message that are data, each as JSON; those of an array one by one.

    Raises ValueError where it is no JSON object or array of them.
    """
    try:
        value: Any = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if isinstance(value, dict):
        return (text,) if _is_data(value, source, time_selector) else ()
    if not isinstance(value, list):
        raise ValueError("it is no JSON object")
    items = cast("list[Any]", value)
    return [json.dumps(item) for item in items if _is_data(item, source, time_selector)]


def _is_data(item: Any, source: StreamSource, time_selector: str) -> bool:
    if not isinstance(item, dict):
        raise ValueError("it holds something that is no JSON object")
    known = cast("dict[str, Any]", item)
    if source.only_type:
        return known.get("type") == source.only_type
    # Greetings, heartbeats and receipts for a subscription have no time of a datum.
    return time_selector in known
