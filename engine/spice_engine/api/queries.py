"""Maps in a query: `name[key]=value` for each member, or one JSON object as `name=…`."""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web

from spice_engine.api import json_text
from spice_engine.errors import InvalidRequest


def map_name(parameter: str) -> str:
    """`state` of `state[field]`; empty for a parameter that is no member of a map."""
    name, bracket, _ = parameter.partition("[")
    return name if bracket and parameter.endswith("]") else ""


def read_map(request: web.Request, name: str) -> dict[str, Any]:
    """The map `name` of a request's query, empty where it is not there.

    Values given member by member are text.

    Raises:
        InvalidRequest: a member is given twice, both forms are used, or it is no JSON object.
    """
    query = request.query
    members: dict[str, Any] = {}
    for parameter, value in query.items():
        if map_name(parameter) != name:
            continue
        key = parameter[len(name) + 1 : -1]
        if key in members:
            raise InvalidRequest(f"{parameter[:100]} is given more than once.")
        members[key] = value
    whole = query.getall(name, [])
    if not whole:
        return members
    if len(whole) == 1 and not members:
        try:
            data = json_text.parse(whole[0].encode("utf-8", "replace"))
        except InvalidRequest:
            data = None
        if isinstance(data, dict):
            return cast("dict[str, Any]", data)
    raise InvalidRequest(
        f"{name} must be one JSON object, or be given member by member.",
        hint=f'Examples: {name}={{"key":1}} or {name}[key]=1.',
    )
