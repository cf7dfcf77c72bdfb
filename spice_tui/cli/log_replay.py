"""A run's log once more, with the pauses that lay between what it wrote."""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spice_engine.errors import NotFound
from spice_tui.cli import output
from spice_tui.cli.follow_run import PIECE

Decoder = codecs.IncrementalDecoder


def replay(
    client: Any,
    run: int,
    offset: int,
    part: Mapping[str, Any],
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Print a run's log from `offset` to its present end, in its own time; gives the new offset.

    The engine notes when something was written once a second at most, so that shorter pauses are
    not known. The rest of a log without times comes at once.
    """
    rank = part.get("rank")
    source = f"run/{run}" if rank is None else f"run/{run}/{rank}"
    # A character may have been written in two parts.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        offset = _parts(client, source, offset, decoder, sleep)
    except NotFound:
        return offset  # a run that came without its log
    output.write(decoder.decode(b"", final=True))
    output.flush()
    return offset


def _parts(
    client: Any,
    source: str,
    offset: int,
    decoder: Decoder,
    sleep: Callable[[float], object],
) -> int:
    before: float | None = None
    for start, moment in _moments(client, source, offset):
        offset = _print_to(client, source, offset, start, decoder)
        if before is not None and moment > before:
            output.flush()
            sleep(moment - before)
        before = moment
    return _print_to(client, source, offset, sys.maxsize, decoder)


def _moments(client: Any, source: str, offset: int) -> Iterator[tuple[int, float]]:
    """Where the pieces of a log begin, and when they were written; the first may lie before
    `offset`."""
    while True:
        found = client.call("logs.times", {"source": source, "offset": offset})
        yield from zip(found["offsets"], found["times"], strict=True)
        if found["done"] or not found["offsets"]:
            return
        offset = found["offsets"][-1] + 1


def _print_to(client: Any, source: str, offset: int, stop: int, decoder: Decoder) -> int:
    while offset < stop:
        limit = min(PIECE, stop - offset)
        piece = client.call("logs.read", {"source": source, "offset": offset, "limit": limit})
        if not piece["data"]:
            break
        output.write(decoder.decode(piece["data"]))
        offset = piece["offset"] + len(piece["data"])
    return offset
