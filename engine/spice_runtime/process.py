"""Processes and files as the shim and the engine see them: identities, atomic files, claims."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

CLAIM = "claim"
JOB = "job.json"
SHIM = "shim.json"
EXIT = "exit.json"
SOCKET = "shim.sock"
LOG = "logs.txt"
SHIM_LOG = "shim.log"
SOFT_FILES = "SPICE_SOFT_FILES"  # variable: the limit of open files that commands get
MARK = "SPICE_JOB"  # variable: whose shim started a process, or what it comes from

_boot = ""


def identity(pid: int) -> str:
    """What tells this process from any other that had or will have its pid; "" if it is gone.

    A zombie counts as gone. On Linux the boot and the start time in clock ticks, elsewhere the
    start time that ps gives.
    """
    if pid <= 0:
        return ""
    if not sys.platform.startswith("linux"):
        return _identity_by_ps(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name may hold blanks and brackets; what follows the last bracket may not.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    if fields[0] in (b"Z", b"X"):
        return ""
    return f"{_boot_id()}:{int(fields[19])}"


def is_alive(pid: int, known: object) -> bool:
    """Whether a process still is the one of that identity."""
    # "" is what a process that is gone has for an identity: it matches nothing.
    return bool(known) and identity(pid) == known


def claim(folder: str, note: dict[str, Any]) -> bool:
    """Makes the folder's claim, whole and at once; False if there is one already.

    A claim is made by hard link, so that nobody ever reads half of one, and is flushed to the
    disk, so that a job is not started twice even when the power fails.
    """
    part = Path(folder, f"{CLAIM}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        _write_flushed(part, note)
        os.link(part, Path(folder, CLAIM))
    except FileExistsError:
        return False
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    _flush_folder(folder)
    return True


def own_note() -> dict[str, Any]:
    """What a process writes into a claim about itself."""
    return {"pid": os.getpid(), "identity": identity(os.getpid())}


def mark_of(note: dict[str, Any]) -> str:
    """What `MARK` is in all that the shim of such a claim starts."""
    return f"{note.get('pid')}:{note.get('identity')}"


def write_json(folder: str, name: str, value: dict[str, Any], *, durable: bool) -> None:
    """Writes a file that is seen whole or not at all; if `durable`, also after a power cut."""
    part = Path(folder, f"{name}.{os.getpid()}")
    try:
        if durable:
            _write_flushed(part, value)
        else:
            part.write_bytes(_encode(value))
        part.rename(Path(folder, name))
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
    if durable:
        _flush_folder(folder)


def read_json(folder: str, name: str) -> dict[str, Any] | None:
    """The object in a file of the folder; None if there is none, or it is not an object."""
    try:
        value = json.loads(Path(folder, name).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _identity_by_ps(pid: int) -> str:
    import subprocess

    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C", "PATH": os.defpath},
        check=False,
    ).stdout.decode("ascii", "replace")
    state, _, started = answer.strip().partition(" ")
    return "" if not state or state.startswith("Z") else started.strip()


def _boot_id() -> str:
    global _boot
    if not _boot:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                _boot = file.read().strip()
        except OSError:
            _boot = "?"
    return _boot


def _write_flushed(path: Path, value: dict[str, Any]) -> None:
    with path.open("wb") as file:
        file.write(_encode(value))
        file.flush()
        os.fsync(file.fileno())


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _flush_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
