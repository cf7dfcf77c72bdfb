"""The engine's own log lines: to a bounded file in the background, to stderr under `--serve`."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from pathlib import Path

from spice_engine.errors import StorageError

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
MAX_BYTES = 8 * 2**20
KEPT = 3


class _Formatter(logging.Formatter):
    """UTC times, and `engine` names without the package's."""

    converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        record.name = record.name.removeprefix("spice_engine.") or "engine"
        return super().format(record)


def set_up(path: Path, level: str, *, to_stderr: bool) -> None:
    """Send all records of `level` and above to the file, or to stderr.

    Raises:
        StorageError: the file cannot be written.
    """
    handler: logging.Handler
    if to_stderr:
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            handler = logging.handlers.RotatingFileHandler(
                path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8"
            )
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    handler.setFormatter(_Formatter(FORMAT, "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
