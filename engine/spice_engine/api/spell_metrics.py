"""Where Spell's own module sends a run's metrics: `POST /spell/<token>/user-metrics`.

It is told so by `SPELL_METRICS`, which ends in `/rankN` for a rank of a run. A body is
`{"type": "number", "name", "number"[, "index"]}` or `{"type": "text", "name", "text"[, "index"]}`;
what is wrong with one is told as 400 with a text, which the module shows as a warning.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from spice_engine.api.bodies import BodyReader
from spice_engine.api.replies import json_response, text_error
from spice_engine.errors import InvalidRequest, NotFound, Unauthorized
from spice_engine.operations import Dispatcher
from spice_engine.runs.metric_service import run_of_token
from spice_runtime.rank_names import prefix_of

ROUTE = "/spell/{run_token}/user-metrics"
RANK_ROUTE = r"/spell/{run_token}/rank{rank:\d{1,4}}/user-metrics"
BODY_LIMIT = 512 * 1024


class SpellMetrics:
    """The handler; `token` is the engine's, of which those of runs are made."""

    def __init__(self, dispatcher: Dispatcher, bodies: BodyReader, token: str) -> None:
        self._call = dispatcher.call
        self._bodies = bodies
        self._token = token

    def install(self, app: web.Application) -> None:
        """Add the route."""
        for route in (ROUTE, RANK_ROUTE):
            app.router.add_post(route, self.send)

    async def send(self, request: web.Request) -> web.Response:
        """Take in one point."""
        number = run_of_token(self._token, request.match_info["run_token"])
        if number is None:
            raise Unauthorized("this is no run's address for metrics.")
        body = await self._bodies.read(request, limit=BODY_LIMIT)
        try:
            point = _point(body, prefix_of(int(request.match_info.get("rank", 0))))
            await self._call("runs.add_metrics", {"id": number, "points": [point]})
        except (InvalidRequest, NotFound) as error:
            return text_error(error, status=400)
        return json_response({})


def _point(body: bytes, prefix: str) -> dict[str, Any]:
    """Raises InvalidRequest."""
    try:
        told = json.loads(body)  # it also reads NaN and Infinity
    except (ValueError, RecursionError):
        raise InvalidRequest("a metric must be a JSON object.") from None
    match told:
        case {"type": "number", "name": str(name), "number": int() | float() as value}:
            pass
        case {"type": "text", "name": str(name), "text": str(value)}:
            pass
        case _:
            raise InvalidRequest("a metric has a name, and a number or a text with its type.")
    index = told.get("index")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        raise InvalidRequest("the index of a metric must be a whole number.")
    return {"name": prefix + name, "value": value, "index": index}
