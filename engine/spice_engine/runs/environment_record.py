"""Writes an environment's lock when it was made, and a run's note of the environment it had."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_lock
from spice_engine.runs import environment_script as scripts
from spice_engine.runs.environment_lock import Lock, lines_of, name_of
from spice_engine.runs.systems import System
from spice_runtime import process

LOCK = "lock.json"
NOTE = "environment.json"
"""In a run's folder: the environment it had."""


def composed(attempt: Path, wanted: Dependencies, system: System | None) -> None:
    """Write the lock of what was made into its folder. Blocks.

    Raises:
        OSError: it cannot be written.
    """
    file = attempt / scripts.CONDA_LOCK
    conda: Sequence[Mapping[str, Any]] = json.loads(file.read_bytes()) if file.is_file() else ()
    names = {name_of(str(record["name"])) for record in conda} | _of_conda(attempt)
    lock = Lock(
        python=_text(attempt / scripts.PYTHON).strip(),
        pip=tuple(
            line for line in lines_of(_text(attempt / scripts.LOCK)) if name_of(line) not in names
        ),
        conda=tuple(conda),
        image=system.image if system is not None else "",
        image_id=system.image_id if system is not None else "",
        apt=system.apt if system is not None else (),
        setup=tuple(wanted.setup),
    )
    (attempt / LOCK).write_text(lock.text(), encoding="utf-8")


def _of_conda(attempt: Path) -> set[str]:
    """The packages in site-packages that conda installed: pip knows them, too."""
    found: set[str] = set()
    for note in (attempt / scripts.VENV).glob("lib/python*/site-packages/*.dist-info/INSTALLER"):
        if _text(note).strip() == "conda":
            found.add(name_of(f"{note.parent.name.partition('-')[0]}==0"))
    return found


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def note(folder: Path, key: str, lock: Lock, *, cached: bool, waited: float, made: float) -> None:
    """Note in a run's folder which environment it has. Blocks.

    `waited` is how long the run waited for it, `made` what making it once took, in seconds.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = {
        "key": key,
        "cached": cached,
        "waited_s": round(waited, 4),
        "made_s": round(made, 3),
        "time": time.time(),
        "lock": json.loads(lock.text()),
    }
    process.write_json(str(folder), NOTE, text, durable=False)


def lock_of(system: System | None, lock: Path | None, packages: str) -> Lock:
    """The lock of an environment: its own; of an interpreter that is used as it is, what is in it
    now. Blocks."""
    if lock is not None:
        return environment_lock.read(lock.read_text(encoding="utf-8"))
    return Lock(
        pip=tuple(lines_of(packages)),
        image=system.image if system is not None else "",
        image_id=system.image_id if system is not None else "",
        apt=system.apt if system is not None else (),
    )
