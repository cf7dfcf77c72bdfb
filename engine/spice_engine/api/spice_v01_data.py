"""The v0.1 API's paths for data: observations and interpretations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web

from spice_engine.api import json_text
from spice_engine.api.bodies import JSON_LIMIT, BodyReader
from spice_engine.api.replies import json_response, text_error
from spice_engine.api.v01_times import InvalidMoment, parse_moment
from spice_engine.errors import InvalidRequest, NotFound, SpiceError, TooLarge
from spice_engine.operations import Dispatcher

OBSERVATIONS_LIMIT = 16 * 2**20
"""Largest body of observations: what one frame of the store can hold."""
PART_ROWS = 50_000
"""Rows of observations that are asked for at once."""
ROWS_HEADER, BAD_ROWS_HEADER, DUPLICATE_HEADER = "X-Rows", "X-Bad-Rows", "X-Duplicate"


class SpiceV01Data:
    """The handlers; `strict` answers exactly as the original did."""

    def __init__(self, dispatcher: Dispatcher, bodies: BodyReader, *, strict: bool) -> None:
        self._call = dispatcher.call
        self._bodies = bodies
        self._strict = strict

    def install(self, app: web.Application, prefix: str) -> None:
        """Add the routes; `prefix` is the path of the API."""
        pod = f"{prefix}/pods/{{pod}}"
        app.router.add_get(f"{pod}/observations", self.observations)
        app.router.add_post(f"{pod}/observations", self.observe)
        app.router.add_post(f"{pod}/dataspaces/{{from}}/{{name}}/data", self.add_data)
        app.router.add_get(f"{pod}/interpretations", self.interpretations)
        app.router.add_post(f"{pod}/interpretations", self.interpret)

    async def observations(self, request: web.Request) -> web.StreamResponse:
        """The raw rows: CSV, or JSON where that is what is accepted. Many come in parts."""
        as_json = request.headers.get("Accept", "").strip().lower() == "application/json"
        params: dict[str, Any] = {
            "pod": request.match_info["pod"],
            "format": "json" if as_json else "csv",
        }
        kind = "application/json" if as_json else "text/csv"
        try:
            params |= _bounds(request)
            part, size = await self._part(params, 0, PART_ROWS)
        except NotFound:
            return web.Response(status=404)
        except SpiceError as error:
            return text_error(error)
        if part["rows"] < size:
            return web.Response(text=part["text"], content_type=kind, charset="utf-8")
        response = web.StreamResponse(headers={"Content-Type": f"{kind}; charset=utf-8"})
        await response.prepare(request)
        offset = 0
        while True:
            last = part["rows"] < size
            text = _continued(part["text"], as_json=as_json, first=not offset, last=last)
            await response.write(text.encode())
            if last:
                await response.write_eof()
                return response
            offset += part["rows"]
            part, size = await self._part(params, offset, size)

    async def _part(
        self, params: dict[str, Any], offset: int, size: int
    ) -> tuple[dict[str, Any], int]:
        """Rows from `offset` on, at most `size` of them, or fewer where they are large."""
        while True:
            asked = params | {"offset": offset, "limit": size}
            try:
                return await self._call("pods.observations", asked), size
            except TooLarge:
                if size == 1:
                    raise
                size = max(1, size // 4)

    async def observe(self, request: web.Request) -> web.Response:
        """Observations of any of the pod's dataspaces."""
        is_json = request.content_type == "application/json" and not self._strict
        return await self._take(request, {"format": "json" if is_json else "csv"})

    async def add_data(self, request: web.Request) -> web.Response:
        """Data of one dataspace, in the form its processor reads."""
        path = f"{request.match_info['from']}/{request.match_info['name']}"
        return await self._take(request, {"dataspace": path})

    async def _take(self, request: web.Request, params: dict[str, Any]) -> web.Response:
        try:
            body = await self._bodies.read(request, limit=OBSERVATIONS_LIMIT)
            params |= {
                "pod": request.match_info["pod"],
                "data": body,
                "key": request.headers.get("Idempotency-Key", ""),
            }
            taken = await self._call("pods.observe", params)
        except NotFound:
            return web.Response(status=404)
        except SpiceError as error:
            if error.http_status != 400:
                return text_error(error)
            if self._strict and "dataspace" in params:
                return web.Response(status=500)
            return text_error(error, prefix=f"error processing {params.get('format', 'data')}: ")
        headers = {ROWS_HEADER: str(taken["rows"]), BAD_ROWS_HEADER: str(taken["bad_rows"])}
        if taken["duplicate"]:
            headers[DUPLICATE_HEADER] = "true"
        return web.Response(status=201, headers={} if self._strict else headers)

    async def interpretations(self, request: web.Request) -> web.Response:
        """What was said of the pod's data between `start` and `end`."""
        params: dict[str, Any] = {"pod": request.match_info["pod"]}
        try:
            params |= _bounds(request)
            found = (await self._call("pods.interpretations", params))["interpretations"]
        except NotFound:
            return web.Response(status=404)
        except SpiceError as error:
            return text_error(error)
        return json_response(
            [
                {
                    "Start": one["start"],
                    "End": one["end"],
                    "Name": one["name"],
                    "Actions": one["actions"],
                    "Tags": one["tags"],
                }
                for one in found
            ]
        )

    async def interpret(self, request: web.Request) -> web.Response:
        """Add interpretations: all, or none."""
        try:
            body = await self._bodies.read(request, limit=JSON_LIMIT)
            items = json_text.parse(body)
            if not isinstance(items, list):
                raise InvalidRequest("interpretations come as a JSON array.")
            rows = [
                _interpretation(item, strict=self._strict) for item in cast("list[object]", items)
            ]
            params = {"pod": request.match_info["pod"], "interpretations": rows}
            await self._call("pods.interpret", params)
        except NotFound:
            return web.Response(status=404)
        except SpiceError as error:
            return text_error(error)
        return web.Response(status=201)


def _bounds(request: web.Request) -> dict[str, Any]:
    """`start` and `end` of the query, as far as they are there, in Unix seconds.

    Raises InvalidMoment where one is no time.
    """
    bounds: dict[str, Any] = {}
    for name in ("start", "end"):
        if text := request.query.get(name, ""):
            try:
                bounds[name] = parse_moment(text)
            except InvalidMoment as error:
                raise InvalidMoment(f"invalid {name}: {error.message}", hint=error.hint) from None
    return bounds


def _continued(text: str, *, as_json: bool, first: bool, last: bool) -> str:
    """One part of a text that comes in several: each has a header or brackets of its own."""
    if as_json:
        inner = text.strip().removeprefix("[").removesuffix("]")
        return ("[" if first else "," if inner else "") + inner + ("]" if last else "")
    if not first:
        _, _, text = text.partition("\n")
    return text if not text or text.endswith("\n") else text + "\n"


def _interpretation(item: object, *, strict: bool) -> dict[str, Any]:
    """One interpretation of a body; keys in any case, times as everywhere in this API.

    Raises InvalidRequest where it has another form; `strict` overlooks members it does not know.
    """
    if not isinstance(item, dict):
        raise InvalidRequest("an interpretation is an object with Start, End, Name, Actions, Tags.")
    given = {str(key).lower(): value for key, value in cast("Mapping[object, Any]", item).items()}
    unknown = sorted(given.keys() - {"start", "end", "name", "actions", "tags"})
    if unknown and not strict:
        raise InvalidRequest(f"an interpretation has no {unknown[0][:100]!r}.")
    answer: dict[str, Any] = {}
    for name in ("start", "end"):
        value = given.get(name)
        if isinstance(value, str):
            value = parse_moment(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidRequest(f"an interpretation's {name} is a time in Unix seconds.")
        json_text.check_integers(value, name)
        answer[name] = value
    answer["name"] = given.get("name") or ""
    answer["actions"] = given.get("actions") or []
    answer["tags"] = given.get("tags") or []
    return answer
