"""Start the engine of a folder in the background, and wait until it answers or says why not.

The new process tells over an inherited pipe, in one line of JSON, that it is ready or which
error stopped it: no polling, and no guessing from logs.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from typing import Any, cast

from spice_engine.errors import EngineUnavailable, revive
from spice_engine.protocol.location import Location
from spice_engine.records import record

READY_VARIABLE = "SPICE_READY_FD"
START_SECONDS = 30.0


@record
class Starting:
    """An engine that is coming up."""

    location: Location
    process: subprocess.Popen[bytes]
    reader: int

    def wait(self) -> dict[str, Any]:
        """Wait until it answers; gives its `pid` and `http`.

        Raises:
            SpiceError: what stopped the engine from starting.
        """
        try:
            status = self.process.wait()  # it only forks: the engine is nobody's child
            answer = _read_line(self.reader)
        finally:
            os.close(self.reader)
        if not answer:
            ending = f"it ended with status {status}" if status else "it gave no sign"
            raise EngineUnavailable(
                f"the engine did not start: {ending}.", hint=f"Its log: {self.location.log}."
            )
        message = cast("dict[str, Any]", json.loads(answer))
        if "error" in message:
            raise revive(cast("dict[str, Any]", message["error"]))
        return message


def begin_engine(location: Location, flags: list[str] | None = None) -> Starting:
    """Begin to start an engine that outlives this process."""
    reader, writer = os.pipe()
    command = [sys.executable, "-I", "-m", "spice_engine", "--background", str(location.root)]
    try:
        process = subprocess.Popen(
            [*command, *(flags or [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(writer,),
            env={**os.environ, READY_VARIABLE: str(writer)},
        )
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return Starting(location, process, reader)


def start_engine(location: Location, flags: list[str] | None = None) -> dict[str, Any]:
    """Start an engine that outlives this process; its answer holds `pid` and `http`.

    Raises:
        SpiceError: what stopped the engine from starting.
    """
    return begin_engine(location, flags).wait()


def _read_line(reader: int) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([reader], [], [], START_SECONDS)
        data = os.read(reader, 65536) if ready else b""
        if not data:
            break
        text += data
    return text.strip()
