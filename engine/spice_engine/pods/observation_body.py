"""A payload for a pod as the store of observations takes it, and the store's bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from spice_engine.errors import ChildFailed, InvalidRequest, SpiceError, revive
from spice_engine.pods.observation_files import SEGMENT_BYTES, SEGMENT_FRAMES
from spice_engine.protocol.pods import Observed
from spice_engine.records import record

_POD = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
_LARGEST_KEY = 255


class Caller(Protocol):
    """What parses: a `ChildPool` of loaders."""

    size: int

    async def call(
        self, method: str, params: Mapping[str, Any], *, deadline: float | None = None
    ) -> Any:
        """Has one of them call a method."""
        ...


@record
class Body:
    """A payload with all that is needed to read it; see `spice_engine.data.loader.ingest`.

    `data`, or where that is None the file at `path`, which stays its sender's. `only` (`from/name`)
    in mode `dataspace`. `feed` names where it comes from by itself, and is empty for what was
    posted; `replace` is a range of times [a, b] of that feed that this payload replaces.
    """

    data: bytes | None
    format: str
    mode: str
    dataspaces: Sequence[Mapping[str, Any]]
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    only: str = ""
    key: str = ""
    feed: str = ""
    replace: tuple[int, int] | None = None
    path: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the loader."""
        answer: dict[str, Any] = {
            "format": self.format,
            "params": dict(self.params),
            "mode": self.mode,
            "dataspaces": list(self.dataspaces),
            "only": self.only,
            "feed": self.feed,
            "replace": list(self.replace) if self.replace else None,
            "key": self.key,
        }
        if self.data is None:
            return {**answer, "path": self.path}
        return {**answer, "data": self.data}


@record
class Limits:
    """Bounds of the store, in bytes and seconds where the name does not say otherwise."""

    waiting_bytes: int = 64 * 2**20
    waiting_bodies: int = 10_000
    body_bytes: int = 64 * 2**20
    inline_bytes: int = 2**20
    batch_bodies: int = 64
    batch_bytes: int = 4 * 2**20
    group_bytes: int = 8 * 2**20
    ingest_seconds: float = 60.0
    seal_seconds: float = 300.0
    lease_seconds: float = 300.0
    segment_frames: int = SEGMENT_FRAMES
    segment_bytes: int = SEGMENT_BYTES


def check_pod(name: str) -> None:
    """Raises InvalidRequest where the name cannot be that of a folder."""
    if not _POD.fullmatch(name) or name in {".", ".."}:
        raise InvalidRequest(
            f"'{name[:200]}' cannot be the name of a pod's folder.",
            hint="Use letters, digits, '.', '_' and '-'.",
        )


def check_key(key: str) -> None:
    """Raises InvalidRequest where an idempotency key cannot be one."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("the idempotency key is not UTF-8.") from None
    if size > _LARGEST_KEY:
        raise InvalidRequest(f"the idempotency key is longer than {_LARGEST_KEY} bytes.")


def result_of(entry: Mapping[str, Any]) -> tuple[Observed, bytes] | SpiceError:
    """What the loader says about one payload: its counts and frame, or why it cannot be read."""
    try:
        if "error" in entry:
            return revive(entry["error"])
        counts = entry["rows"], entry["bad_rows"], dict(entry["bad_cells"]), list(entry["examples"])
        return Observed(*counts), bytes(entry["frame"])
    except (KeyError, TypeError, ValueError) as error:
        raise ChildFailed(f"the loader's answer has an unknown form: {error!r}.") from error
