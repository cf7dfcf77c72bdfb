"""A loader of observations in this very process, small enough to see through.

It reads `time,value` as CSV without a header, as JSON, and as InfluxDB's CSV.

Its "Parquet" files are frames again, so that a test can count what is in them.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack

from spice_engine.errors import ChildFailed, InvalidData
from spice_engine.pods.observation_body import Body
from spice_engine.store.framedlog import frame, read_frames
from spice_engine.units import parse_time


def body(text: str, dataspace: str = "home/room", **more: Any) -> Body:
    """Rows of `time,value` posted to one dataspace."""
    return Body(text.encode(), "csv", "dataspace", [{}], only=dataspace, **more)


def rows_of(files: list[dict[str, Any]]) -> list[tuple[str, int, float]]:
    """All rows of the files, as (dataspace, time, value), in their order."""
    found: list[tuple[str, int, float]] = []
    for file in files:
        for end, payload in read_frames(Path(file["path"])):
            if file["format"] == "frames" and end > file["bytes"]:
                break
            for block in msgpack.unpackb(payload)["b"]:
                times = struct.unpack(f"<{len(block['t']) // 8}q", block["t"])
                values = struct.unpack(f"<{len(times)}d", block["m"]["value"])
                found += ((block["d"], *row) for row in zip(times, values, strict=True))
    return found


Rows = tuple[list[tuple[int, float]], int]


def _read_csv(text: str) -> Rows:
    rows: list[tuple[int, float]] = []
    bad = 0
    for line in text.splitlines():
        try:
            moment, value = line.split(",")
            rows.append((int(moment), float(value)))
        except ValueError:
            bad += 1
    return rows, bad


def _read_json(text: str) -> Rows:
    value = json.loads(text)
    items = value if isinstance(value, list) else [value]
    good = [item for item in items if isinstance(item["time"], int)]
    return [(item["time"], float(item["value"])) for item in good], len(items) - len(good)


def _read_flux(text: str) -> Rows:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = csv.DictReader(lines)
    return [(parse_time(row["_time"]), float(row["_value"])) for row in found], 0


_READERS = {"csv": _read_csv, "json": _read_json, "flux-csv": _read_flux}


class SmallIngest:
    """`hold` stops it until it is set again; a payload of `boom` kills it, `wrong` is refused."""

    def __init__(self, size: int = 2) -> None:
        self.size = size
        self.hold = asyncio.Event()
        self.hold.set()
        self.batches: list[int] = []
        self.seals: list[list[str]] = []
        self.seal_fails = False

    async def call(
        self, method: str, params: Mapping[str, Any], *, deadline: float | None = None
    ) -> Any:
        await self.hold.wait()
        await asyncio.sleep(0)
        if method == "seal":
            return self._seal(params["files"], Path(params["out"]))
        self.batches.append(len(params["bodies"]))
        return [self._read(one) for one in params["bodies"]]

    def _read(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        data = spec["data"] if "data" in spec else Path(spec["path"]).read_bytes()
        if data == b"boom":
            raise ChildFailed("the loader died")
        if data == b"wrong":
            return {"error": InvalidData("it is wrong", hint="Right it.").as_dict()}
        rows, bad = _READERS[spec["format"]](data.decode())
        payload = {
            "v": 1,
            "at": time.time(),
            "h": hashlib.sha256(data).digest()[:16],
            "k": spec["key"],
            "f": spec["feed"],
            "r": spec["replace"],
            "b": [
                {
                    "d": spec["only"],
                    "t": struct.pack(f"<{len(rows)}q", *(moment for moment, _ in rows)),
                    "m": {"value": struct.pack(f"<{len(rows)}d", *(value for _, value in rows))},
                    "c": {},
                    "i": {},
                    "g": None,
                }
            ],
        }
        packed = msgpack.packb(payload)
        return {
            "frame": packed,
            "rows": len(rows),
            "bad_rows": bad,
            "bad_cells": {},
            "examples": [],
        }

    def _seal(self, files: list[str], out: Path) -> dict[str, Any]:
        if self.seal_fails:
            raise ChildFailed("the loader died")
        self.seals.append(files)
        with out.open("wb") as target:
            for file in files:
                for _, payload in read_frames(Path(file)):
                    target.write(frame(payload))
        return {}
