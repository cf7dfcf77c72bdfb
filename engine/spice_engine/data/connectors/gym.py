"""The connector `gym`: which gymnasium environment a pod acts in, and what it is made with.

It brings no data: the trainer steps the environment. Nothing here imports gymnasium.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from spice_engine.errors import InvalidData, Place
from spice_engine.records import record

NAME = "gym"
OLD_NAME = "openai-gym"
"""Of version 0.1, as a connector and a processor."""

PARAMS = ("environment", "options")


@record
class GymParams:
    """`environment` is gymnasium's id, `options` what else its `make` is given."""

    environment: str
    options: Mapping[str, Any]


def parse(params: Mapping[str, str], place_of: Callable[[str], Place | None]) -> GymParams:
    """The params. Raises InvalidData, with the place, where they cannot be used."""
    if importlib.util.find_spec("gymnasium") is None:
        raise InvalidData(
            "The connector 'gym' needs the package gymnasium, which is not installed.",
            hint="Install it: pip install 'spice-tui[gym]'.",
            place=place_of("environment"),
        )
    text = params.get("options", "").strip()
    try:
        options: Any = json.loads(text) if text else {}
    except ValueError as error:
        raise _no_map(place_of) from error
    if not isinstance(options, dict):
        raise _no_map(place_of)
    return GymParams(params["environment"], cast("dict[str, Any]", options))


def _no_map(place_of: Callable[[str], Place | None]) -> InvalidData:
    return InvalidData(
        "The param 'options' of the gym connector is a map of names to values.",
        hint="Write it as in {is_slippery: false}.",
        place=place_of("options"),
    )
