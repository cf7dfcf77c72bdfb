"""REST routes of the operation table: `/api/v1/…`, JSON in and out.

GET and DELETE take their parameters from the path and the query, POST and PUT from the path and
a JSON object. What an operation does not know is refused, not ignored: a misspelt name must not
look like a success.
"""

from __future__ import annotations

import base64
import dataclasses
import difflib
import types
from collections.abc import Collection
from typing import Any, Union, get_args, get_origin, get_type_hints

from aiohttp import web

from spice_engine.api import json_text
from spice_engine.api.bodies import JSON_LIMIT, BodyReader
from spice_engine.api.queries import map_name, read_map
from spice_engine.api.replies import json_response
from spice_engine.errors import InvalidRequest
from spice_engine.operations import Dispatcher, Operation
from spice_engine.protocol.pods import AS_TEXT


def install(app: web.Application, dispatcher: Dispatcher, bodies: BodyReader) -> None:
    """Add a route for every operation; literal paths win over those with parameters."""
    for operation in sorted(dispatcher.table, key=_rank):
        endpoint = Endpoint(operation, dispatcher, bodies)
        if operation.method == "GET":
            app.router.add_get(operation.path, endpoint.handle)
        else:
            app.router.add_route(operation.method, operation.path, endpoint.handle)


def takes_body(operation: Operation) -> bool:
    """Whether its parameters come as a JSON body (else as a query)."""
    return operation.method in {"POST", "PUT"}


class Endpoint:
    """One operation as an HTTP handler."""

    def __init__(self, operation: Operation, dispatcher: Dispatcher, bodies: BodyReader) -> None:
        self._operation = operation
        self._dispatcher = dispatcher
        self._bodies = bodies
        self._body = takes_body(operation)
        hints = get_type_hints(operation.request)
        names = [field.name for field in dataclasses.fields(operation.request)]
        self._fields = {name for name in names if name not in operation.path_parameters}
        self._lists = {name for name in self._fields if accepts(hints[name], list)}
        self._maps = {name for name in self._fields if accepts(hints[name], dict)}
        self._bytes = {
            field.name: dict(field.metadata) == AS_TEXT
            for field in dataclasses.fields(operation.request)
            if accepts(hints[field.name], bytes)
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request.

        Raises:
            SpiceError: whatever the request's form or the operation gives.
        """
        params = await self._from_body(request) if self._body else self._from_query(request)
        for name, value in request.match_info.items():
            if name in params and params[name] != value and str(params[name]) != value:
                raise InvalidRequest(f"{name} is {value!r} in the path, but not in the body.")
            params[name] = value
        operation = self._operation
        if json_text.is_suspicious(params):
            parsed = operation.parse(params)
            json_text.check_integers(dataclasses.asdict(parsed), operation.name)
        return json_response(await self._dispatcher.call(operation.name, params))

    async def _from_body(self, request: web.Request) -> dict[str, Any]:
        if request.query:
            names = ", ".join(sorted(request.query))
            raise InvalidRequest(
                f"{self._operation.name} takes no query ({names}).",
                hint="Send the parameters as a JSON body.",
            )
        body = await self._bodies.read(request, limit=JSON_LIMIT)
        params = json_text.parse_object(body)
        known = {*self._fields, *self._operation.path_parameters}
        for name in params:
            if name not in known:
                raise _unknown(name, "field", known)
        for name, as_text in self._bytes.items():
            if isinstance(text := params.get(name), str):
                params[name] = text.encode() if as_text else _from_base64(name, text)
        return params

    def _from_query(self, request: web.Request) -> dict[str, Any]:
        params: dict[str, Any] = {}
        query = request.query
        for parameter in query:
            name = map_name(parameter)
            if name not in self._maps:
                name = parameter
            if name in params:
                continue
            if name not in self._fields:
                raise _unknown(name, "query parameter", self._fields)
            if name in self._maps:
                params[name] = read_map(request, name)
                continue
            values = query.getall(name)
            if len(values) > 1 and name not in self._lists:
                raise InvalidRequest(f"{name} is given {len(values)} times.")
            params[name] = values if name in self._lists else values[0]
        return params


def accepts(hint: Any, kind: type) -> bool:
    """Whether a field of this type can hold a `kind` (list, dict or bytes)."""
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return any(accepts(part, kind) for part in get_args(hint))
    return (origin or hint) is kind


def _from_base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequest(
            f"{name} is not base64: {error}.", hint="Bytes are sent as base64 text in JSON."
        ) from None


def _unknown(name: str, what: str, known: Collection[str]) -> InvalidRequest:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    else:
        hint = f"Known: {', '.join(sorted(known))}." if known else "It takes none."
    return InvalidRequest(f"there is no {what} {name[:100]!r}.", hint=hint)


def _rank(operation: Operation) -> list[tuple[bool, str]]:
    return [(part.startswith("{"), part) for part in operation.path.split("/")]
