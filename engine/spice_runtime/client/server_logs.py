"""The log of one pod of a model server, line by line."""

# What crosses the door is plain data.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import base64
import codecs
import time
from collections.abc import Callable, Iterator
from typing import Any

from spice_runtime.client.door import Door
from spice_runtime.client.errors import BadRequest

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


def pod_number(pods: list[dict[str, Any]], wanted: Any, server: str) -> int:
    """The number of the pod that is wanted, which may be given as a pod; else of the only one.

    Raises:
        BadRequest: there is none, or there are several.
    """
    if wanted is not None:
        return int(wanted["number"] if isinstance(wanted, dict) else wanted)
    numbers = [pod["number"] for pod in pods]
    if len(numbers) == 1:
        return numbers[0]
    if not numbers:
        raise BadRequest("There are no active pods for this server.")
    listed = ", ".join(map(str, numbers))
    raise BadRequest(f"Server {server} has several pods: say which, of {listed}.")


def lines(door: Door, source: str, offset: int, goes_on: Callable[[], bool]) -> Iterator[str]:
    """The lines of a log from number `offset` on, until it `goes_on` no more; of a negative one
    the last ones, and what comes after."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    place, rest, pause, left = 0, "", _FIRST_PAUSE, offset
    while True:
        last = not goes_on()
        found: list[str] = []
        while True:
            piece = door.get("logs/read", source=source, offset=place, limit=2**20)
            if piece["size"] < place:  # it was rotated: what is there now is all new
                place = 0
                continue
            data = base64.b64decode(piece["data"])
            if not data:
                break
            place = piece["offset"] + len(data)
            *whole, rest = (rest + decoder.decode(data)).split("\n")
            found += whole
        if last and rest:
            found.append(rest)
        if left > 0:
            skipped = min(left, len(found))
            found, left = found[skipped:], left - skipped
        elif left < 0:
            found, left = found[left:], 0
        yield from found
        if last:
            return
        pause = _FIRST_PAUSE if found else min(1.5 * pause, _LONGEST_PAUSE)
        time.sleep(pause)
