"""Lines of a log that match a pattern, found piece by piece. Blocking; for a child."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from spice_engine.records import record
from spice_engine.store.log_lines import pieces, pieces_before
from spice_engine.store.log_matcher import Matcher

MOST_LOOKED = 32 * 2**20
"""Bytes looked at in one search; whoever wants more goes on from `next`."""

SECONDS = 0.5
"""After this much time a search answers with what it has, when a piece is done."""

MOST_MATCHES = 100_000


@record
class Found:
    """See `protocol.views.LogMatches`."""

    offsets: list[int]
    next: int
    done: bool
    looked: int


def search(
    path: Path,
    matcher: Matcher,
    offset: int,
    *,
    backwards: bool,
    limit: int,
    check: Callable[[], None],
) -> Found:
    """At most `limit` lines from `offset` on, or before it, nearest first.

    Forwards at the end, `next` is the start of a torn last line: it may come to match yet.
    `check` is called now and then, and may raise.

    Raises:
        NotFound, StorageError: there is no such log, or it cannot be read.
    """
    limit = max(1, min(limit, MOST_MATCHES))
    walk = _backwards if backwards else _forwards
    return walk(path, matcher, max(0, offset), limit, check, time.monotonic() + SECONDS)


def _forwards(
    path: Path,
    matcher: Matcher,
    offset: int,
    limit: int,
    check: Callable[[], None],
    until: float,
) -> Found:
    offsets: list[int] = []
    following, looked = offset, 0
    for begin, piece, after in pieces(path, offset):
        if looked >= MOST_LOOKED or time.monotonic() > until:
            return Found(offsets, begin, False, looked)
        check()
        for at in matcher.matches(piece):
            offsets.append(begin + at)
            if len(offsets) == limit:
                end = piece.find(b"\n", at) + 1
                following = begin + end if end else after
                return Found(offsets, following, False, looked + (end or len(piece)))
        looked += after - begin
        torn = 0 if piece.endswith(b"\n") else len(piece) - piece.rfind(b"\n") - 1
        following = after - torn if after == begin + len(piece) else after
    return Found(offsets, following, True, looked)


def _backwards(
    path: Path,
    matcher: Matcher,
    offset: int,
    limit: int,
    check: Callable[[], None],
    until: float,
) -> Found:
    offsets: list[int] = []
    following, looked = offset, 0
    for begin, piece in pieces_before(path, offset):
        if looked >= MOST_LOOKED or time.monotonic() > until:
            return Found(offsets, following, False, looked)
        check()
        found = [begin + at for at in matcher.matches(piece)]
        found.reverse()
        room = limit - len(offsets)
        if len(found) >= room:
            offsets += found[:room]
            last = offsets[-1]
            return Found(offsets, last, last == 0, looked + len(piece) - (last - begin))
        offsets += found
        following = begin
        looked += len(piece)
    return Found(offsets, following, following == 0 or not looked, looked)
