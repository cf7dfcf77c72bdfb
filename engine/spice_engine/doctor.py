"""What this machine and folder can and cannot do: `python -I -m spice_engine.doctor FOLDER --json`.

It runs in a process of its own, so that it works when the engine does not start.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.util
import json
import os
import resource
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from spice_engine import __version__
from spice_engine.app_folder import prepare, read_holder
from spice_engine.errors import InvalidRequest, SpiceError
from spice_engine.protocol.engine import Diagnosis, Finding
from spice_engine.protocol.location import (
    NETWORK_FILE_SYSTEMS,
    Location,
    file_system_of,
    is_locked,
    locate,
)
from spice_engine.runs import systems
from spice_engine.runs.run_files import ways_in
from spice_engine.settings import load_settings
from spice_engine.workers.limits import detect
from spice_runtime import namespace, views

LOW_DISK_BYTES = 500 * 2**20
LOW_OPEN_FILES = 1024


def diagnose(location: Location) -> Diagnosis:
    """Look at everything; no finding stops the others."""
    looks: list[Callable[[Location], Finding]] = [
        _python,
        _uvloop,
        _sqlite,
        _folder,
        _file_system,
        _disk,
        _open_files,
        _watches,
        _limits,
        _environments,
        _model_places,
        _run_files,
        _systems,
        _settings,
        _tls,
        _engine,
    ]
    return Diagnosis([look(location) for look in looks])


def _python(_: Location) -> Finding:
    detail = f"{sys.version.split()[0]} at {sys.executable}; spice-tui {__version__}"
    return Finding("python", "ok", detail)


def _uvloop(_: Location) -> Finding:
    if importlib.util.find_spec("uvloop") is None:
        return Finding(
            "uvloop", "warning", "not installed: the engine is slower", "pip install uvloop"
        )
    return Finding("uvloop", "ok", "installed")


def _sqlite(_: Location) -> Finding:
    return Finding("sqlite", "ok", f"{sqlite3.sqlite_version}, with write-ahead log")


def _folder(location: Location) -> Finding:
    existing = location.state if location.state.exists() else location.root
    if not os.access(existing, os.W_OK):
        return Finding(
            "app folder", "missing", f"{existing} cannot be written", "Make it writable."
        )
    return Finding("app folder", "ok", f"{location.root}, state in {location.state}")


def _file_system(location: Location) -> Finding:
    kind = file_system_of(location.state)
    if kind in NETWORK_FILE_SYSTEMS:
        return Finding(
            "file system",
            "missing",
            f"the state is on {kind}, which cannot hold a write-ahead log and locks",
            "Set SPICE_STATE_DIR to a local directory.",
        )
    home = file_system_of(location.root)
    if home in NETWORK_FILE_SYSTEMS:
        return Finding(
            "file system",
            "warning",
            f"the folder is on {home}: the state is kept in {location.state}, and changes "
            "made on other machines may not be noticed",
        )
    return Finding("file system", "ok", kind or "type unknown")


def _disk(location: Location) -> Finding:
    existing = location.state if location.state.exists() else location.root
    free = shutil.disk_usage(existing).free
    detail = f"{free / 2**30:.1f} GiB free"
    if free < LOW_DISK_BYTES:
        return Finding("disk", "warning", detail, "Free some space.")
    return Finding("disk", "ok", detail)


def _open_files(_: Location) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"{soft} open files (at most {hard})"
    if soft < LOW_OPEN_FILES:
        return Finding("open files", "warning", detail, "Raise it: ulimit -n 4096.")
    return Finding("open files", "ok", detail)


def _watches(_: Location) -> Finding:
    path = Path("/proc/sys/fs/inotify/max_user_watches")
    if not path.exists():
        return Finding("file watching", "ok", "by the system's own means")
    try:
        watches = int(path.read_text())
    except (OSError, ValueError):
        return Finding("file watching", "warning", "the limit of inotify watches is unreadable")
    if watches < 8192:
        advice = "Raise it: sysctl fs.inotify.max_user_watches=65536."
        return Finding("file watching", "warning", f"only {watches} inotify watches", advice)
    return Finding("file watching", "ok", f"inotify, {watches} watches")


def _limits(_: Location) -> Finding:
    support = detect()
    kinds = (support.cpu, support.memory, support.pids)
    status = "ok" if all(kind.startswith("cgroup") for kind in kinds) else "warning"
    detail = f"CPU by {kinds[0]}, memory by {kinds[1]}, processes by {kinds[2]}"
    return Finding("limits of runs", status, "; ".join((detail, *support.reasons)))


def _environments(_: Location) -> Finding:
    try:
        from uv import find_uv_bin

        conda = "by rattler" if importlib.util.find_spec("rattler") else "none: no py-rattler"
        return Finding("environments", "ok", f"made by {find_uv_bin()}; those of conda {conda}")
    except (ImportError, FileNotFoundError):
        detail = "uv is not installed: no Python environment can be made for servers"
        return Finding("environments", "missing", detail, "pip install uv")


def _model_places(_: Location) -> Finding:
    if namespace.possible():
        detail = "in a private mount namespace, for all programs"
        return Finding("/model and /mounts", "ok", detail)
    if os.access("/", os.W_OK):
        detail = "by links in /, which all servers share: one server with models at a time"
        return Finding("/model and /mounts", "warning", detail)
    return Finding(
        "/model and /mounts",
        "warning",
        "for Python's own functions only: libraries in C do not see files there",
        "Use self.model_path(), or allow user namespaces.",
    )


def _run_files(location: Location) -> Finding:
    ways = _ways(location)
    if isinstance(ways, Finding):
        return ways
    if ways[views.OVERLAY]:
        return Finding("files of runs", "ok", "by an overlay over the folder as it was")
    detail = "by a copy of the folder for each run"
    if ways[views.BIND]:
        return Finding("files of runs", "ok", detail)
    return Finding("files of runs", "warning", f"{detail}; mounts at absolute paths are refused")


@functools.cache
def _ways(location: Location) -> dict[str, bool] | Finding:
    """What commands can have of private mounts here."""
    beside = location.state if location.state.is_dir() else location.root
    try:
        with tempfile.TemporaryDirectory(dir=beside, prefix=".spice-doctor-") as folder:
            return ways_in(Path(folder))
    except OSError as error:
        return Finding("files of runs", "warning", f"cannot be tried in {beside}: {error.strerror}")


def _systems(location: Location) -> Finding:
    ways = _ways(location)
    try:
        systems.check(apt=False, overlays=not isinstance(ways, Finding) and ways[views.OVERLAY])
    except InvalidRequest as error:
        return Finding("systems of runs", "warning", error.message.rstrip("."))
    podman = "podman's" if shutil.which("podman") else "no podman, so none of its images"
    images = f"images: folders, tar files, {podman}"
    try:
        systems.check(apt=True, overlays=True)
        systems.host(location.state)
    except InvalidRequest as error:
        return Finding("systems of runs", "ok", f"{images}; {error.message.rstrip('.')}")
    return Finding("systems of runs", "ok", f"{images}; packages of apt, over this machine's")


def _settings(location: Location) -> Finding:
    try:
        loaded = load_settings(location.root)
    except SpiceError as error:
        return Finding("settings", "missing", str(error))
    changed = [name for name, source in loaded.sources.items() if source != "default"]
    return Finding("settings", "ok", f"set: {', '.join(changed) or 'none, all defaults'}")


def _tls(location: Location) -> Finding:
    try:
        settings = load_settings(location.root).values
    except SpiceError:
        return Finding("tls", "warning", "the settings cannot be read")
    if not settings.tls_cert:
        made = location.state / "tls-cert.pem"
        if made.is_file():
            lines = f"tls_cert: {made} and tls_key: {made.with_name('tls-key.pem')}"
            return Finding("tls", "ok", "a pair is there, not in use", f"Set {lines}.")
        return Finding("tls", "ok", "not set; not needed on loopback")
    for name in (settings.tls_cert, settings.tls_key):
        if not Path(name).is_file():
            return Finding("tls", "missing", f"{name} is not there", "Make a pair: --make-tls.")
    return Finding("tls", "ok", settings.tls_cert)


def _engine(location: Location) -> Finding:
    if not is_locked(location):
        return Finding("engine", "ok", "not running; it starts when it is needed")
    holder = read_holder(location)
    if holder is None:
        return Finding("engine", "warning", "something holds the lock but does not say who it is")
    return Finding("engine", "ok", f"running as process {holder.pid}, {holder.http}")


def main() -> int:
    """Print the diagnosis; 1 when something is missing."""
    parser = argparse.ArgumentParser(prog="spice_engine.doctor", description=diagnose.__doc__)
    parser.add_argument("folder", nargs="?", default=".")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--make-tls", action="store_true")
    options = parser.parse_args()
    location = locate(options.folder)
    try:
        if options.make_tls:
            from spice_engine.api.tls import make_tls_pair

            # Beside the token: the state's folder is private and never committed.
            prepare(location)
            make_tls_pair(location.state)
        diagnosis = diagnose(location)
    except SpiceError as error:
        print(json.dumps({"error": error.as_dict()}) if options.json else f"error: {error}")  # noqa: T201
        return error.exit_code
    if options.json:
        print(json.dumps(dataclasses.asdict(diagnosis)))  # noqa: T201
    else:
        for finding in diagnosis.findings:
            print(f"{finding.status:8} {finding.name}: {finding.detail} {finding.advice}".rstrip())  # noqa: T201
    return int(any(finding.status == "missing" for finding in diagnosis.findings))


if __name__ == "__main__":
    sys.exit(main())
