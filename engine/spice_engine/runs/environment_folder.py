"""What lies in the folder of one environment: attempts at it, and which of them counts. Blocks."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from spice_engine.records import record
from spice_engine.runs import environment_script as scripts
from spice_engine.store.disk import storage_error
from spice_runtime import process

READY = "ready"
UNUSED_SECONDS = 30 * 86400.0
_TAIL_BYTES = 16 * 1024


@record
class Environment:
    """One environment; `packages` is its lock: `NAME==VERSION` lines, as `pip freeze` writes."""

    key: str
    python: Path
    packages: str


def tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return opened.read().decode("utf-8", "replace")
    except OSError:
        return ""


def attempts(folder: Path) -> list[Path]:
    """Attempts at an environment, the newest first."""
    with suppress(OSError):
        return sorted((item for item in folder.iterdir() if item.is_dir()), reverse=True)
    return []


def has_python(attempt: Path) -> bool:
    """Whether its interpreter is there: it is a link, to one that may have been removed since."""
    return (attempt / scripts.VENV / "bin" / "python").exists()


def write_ready(folder: Path, attempt: Path) -> None:
    try:
        packages = (attempt / scripts.LOCK).read_text(encoding="utf-8")
    except OSError as error:
        raise storage_error(error, "read an environment's lock", attempt) from error
    note = {"attempt": attempt.name, "packages": packages, "created": time.time()}
    try:
        # What uv wrote is not flushed either: to flush this alone would promise too much.
        process.write_json(str(folder), READY, note, durable=False)
    except OSError as error:
        raise storage_error(error, "keep an environment", folder) from error


def read_ready(folder: Path) -> Environment | None:
    """The finished environment, now marked as used; None where there is none. Blocks."""
    file = folder / READY
    try:
        note = cast("dict[str, Any]", json.loads(file.read_bytes()))
        attempt, packages = folder / str(note["attempt"]), str(note["packages"])
        if has_python(attempt):
            os.utime(file)
            return Environment(folder.name, attempt / scripts.VENV / "bin" / "python", packages)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    file.unlink(missing_ok=True)
    return None


def prune(folder: Path, kept: Collection[str], unused_seconds: float) -> int:
    """Blocks."""
    removed, oldest = 0, time.time() - unused_seconds
    for environment in list(folder.iterdir()) if folder.is_dir() else []:
        stamp = environment / READY
        try:
            used = (stamp if stamp.exists() else environment).stat().st_mtime
        except OSError:
            continue
        if environment.name in kept or used > oldest:
            continue
        stamp.unlink(missing_ok=True)  # first: what is half gone must not be found
        shutil.rmtree(environment, ignore_errors=True)
        removed += 1
    return removed
