"""The newest window of a state table, as packages keep it: what a pod without data goes by."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from spice_engine.errors import InvalidData
from spice_engine.pods.live import Table
from spice_engine.store import policies
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore


def window_bytes(table: Table, span: int) -> bytes | None:
    """The newest `span` complete rows as JSON text, or None where there are fewer."""
    if table.complete < span:
        return None
    first = table.complete - span
    if table.moments is None:
        times = [table.start + (first + row) * table.granularity for row in range(span)]
    else:
        times = [int(moment) for moment in table.moments[first : table.complete]]
    content = {
        "fields": list(table.fields),
        "granularity": table.granularity,
        "events": table.moments is not None,
        "times": times,
        "values": table.values[first : table.complete].tolist(),
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def read_window(data: bytes) -> Table:
    """The table that consists of this window alone. Imports NumPy at its first call.

    Raises:
        InvalidData: it is damaged, or holds anything but finite numbers.
    """
    import numpy as np

    try:
        content = cast("dict[str, Any]", json.loads(data))
        fields = tuple(map(str, content["fields"]))
        times = np.array(content["times"], dtype=np.int64)
        values = np.array(content["values"], dtype=np.float64)
        granularity = int(content["granularity"])
        events = bool(content["events"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidData(f"the window of the package cannot be read ({error!r}).") from error
    wanted = (len(times), len(fields))
    if not len(times) or values.shape != wanted or not np.isfinite(values).all():
        raise InvalidData(
            f"the window of the package has the shape {values.shape} instead of {wanted}, "
            "or holds what is no finite number."
        )
    return Table(
        values,
        fields,
        int(times[0]),
        granularity,
        len(times),
        "",
        times if events else None,
    )


async def kept_window(
    database: Database, objects: ObjectStore, pod: str, version: int
) -> Table | None:
    """The window that came with an imported version of a pod's policy, or None.

    Raises:
        SpiceError: it is gone or damaged.
    """
    digest = await database.read(lambda connection: policies.window_of(connection, pod, version))
    if digest is None:
        return None
    data = await asyncio.to_thread(objects.read_bytes, digest, verify=True)
    return await asyncio.to_thread(read_window, data)
