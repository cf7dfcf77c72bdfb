"""The parameters of a search as the command line names them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from spice_engine.errors import InvalidSettings

GRID = "NAME=VALUE[,VALUE,VALUE,...]"
RANGE = "NAME=MIN:MAX[:linear|log|reverse_log[:int|float]]"
SCALES = ("linear", "log", "reverse_log")
TYPES = ("int", "float")

_WHOLE = re.compile(r"[+-]?\d+\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\Z", re.ASCII | re.IGNORECASE)


def parameters(
    method: str, params: Iterable[str], json_params: Iterable[str]
) -> list[dict[str, Any]]:
    """The parameters of a `grid`, `random` or `bayesian` search, as a request has them.

    Raises:
        InvalidSettings: one is not of the form it must have, or comes twice.
    """
    found = [_param(method, text) for text in params]
    found += [_json_param(text) for text in json_params]
    names = [one["name"] for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidSettings(f"Redundant param name {name!r}.")
    if not found:
        raise InvalidSettings("a search needs parameters.", hint=f"--param {GRID}")
    return found


def value(text: str) -> Any:
    """A whole number, else a number, else the text itself."""
    if _WHOLE.match(text):
        return int(text)
    if _NUMBER.match(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _param(method: str, text: str) -> dict[str, Any]:
    name, equals, rest = text.partition("=")
    if not name or not equals or "=" in rest or not rest:
        raise _malformed(method, text)
    if method != "grid" and ":" in rest:
        return _range(method, text, name, rest)
    if _is_range(rest):
        raise InvalidSettings(
            f"param {name!r}: a grid needs values, not the range {rest}.",
            hint=f"`hyper random` draws from ranges; --json-param {name}='[\"{rest}\"]' is a text.",
        )
    values = rest.split(",")
    if "" in values:
        raise _malformed(method, text)
    return {"name": name, "values": [value(one) for one in values]}


def _is_range(text: str) -> bool:
    """Whether it begins as a range does: with two numbers."""
    ends = text.split(":")[:2]
    return len(ends) == 2 and not any(isinstance(value(end), str) for end in ends)


def _range(method: str, text: str, name: str, rest: str) -> dict[str, Any]:
    low, high, *more = rest.split(":")
    words = [word.lower() for word in more]
    scale, kind = "linear", "float"
    if words and words[0] in SCALES:
        scale = words.pop(0)
    if words and words[0] in TYPES:
        kind = words.pop(0)
    ends = [value(end.strip()) for end in (low, high)]
    if words or any(isinstance(end, str) for end in ends):
        raise _malformed(method, text)
    if ends[0] > ends[1]:
        raise InvalidSettings(f"param {name!r}: MIN {low} is above MAX {high}.")
    return {"name": name, "low": ends[0], "high": ends[1], "scale": scale, "type": kind}


def _json_param(text: str) -> dict[str, Any]:
    name, equals, rest = text.partition("=")
    try:
        values = json.loads(rest) if name and equals else None
    except ValueError:
        values = None
    if not isinstance(values, list) or not values:
        raise InvalidSettings(
            f"Incorrect formatting of param '{text}', it must be NAME='[VALUE,VALUE,...]', "
            "a JSON list."
        )
    return {"name": name, "values": values}


def _malformed(method: str, text: str) -> InvalidSettings:
    forms = GRID if method == "grid" else f"{GRID} or {RANGE}"
    return InvalidSettings(f"Incorrect formatting of param '{text}', it must be {forms}")


def options(texts: Iterable[str], flag: str) -> dict[str, Any]:
    """The options of a sampler or pruner, NAME=VALUE each.

    Raises:
        InvalidSettings: one is not of that form.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not name or not equals:
            raise InvalidSettings(f"{flag} {text}: must be NAME=VALUE.")
        truth = {"true": True, "false": False}
        found[name.replace("-", "_")] = truth.get(rest.lower(), value(rest))
    return found
