"""The `http` connector: what an address answers, once or every `polling_interval`."""

from __future__ import annotations

from collections.abc import Mapping

from spice_engine.data.connectors.remote import PlaceOf, Request, address, headers, seconds
from spice_engine.errors import InvalidData
from spice_engine.records import record

PARAMS = ("url", "method", "timeout", "polling_interval", "headers", "body")
_METHODS = ("GET", "POST", "PUT")


@record
class HttpSource:
    """What to ask, and how often: `every` in seconds, 0 for once."""

    request: Request
    every: float


def parse(params: Mapping[str, str], place_of: PlaceOf) -> HttpSource:
    """The connector's params.

    Raises InvalidData where one is missing or cannot be used.
    """
    url = address("http", params, place_of, ("http", "https"))
    method = params.get("method", "").strip().upper() or "GET"
    if method not in _METHODS:
        raise InvalidData(
            f"The method '{method[:20]}' of the http connector is not supported.",
            hint=f"Use one of {', '.join(_METHODS)}.",
            place=place_of("method"),
        )
    timeout = seconds("http", params, "timeout", place_of, default=5.0, least=0.001, most=300.0)
    every = seconds("http", params, "polling_interval", place_of, default=0.0, least=0.1, zero=True)
    sent = headers("http", params, place_of)
    request = Request("http", method, url, sent, params.get("body", ""), timeout)
    return HttpSource(request, every)
