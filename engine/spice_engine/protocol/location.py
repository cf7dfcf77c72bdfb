"""Where an app folder's state and doors are, and whether an engine holds it.

Both sides must agree on these rules.

State lives in `<folder>/.spice`, unless the folder is on a file system that cannot hold it
(network homes: no dependable locks, no mmap'ed WAL, no inotify); then in the user's state
directory, under a name made from the folder's real path.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from spice_engine.records import record

MAX_SOCKET_PATH = 100
"""Bytes of the longest socket path used; the kernel's limit is 108 (Linux) or 104 (macOS)."""

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "lustre", "gpfs", "afpfs"}
    | {"webdav", "fuse.sshfs", "fuse.glusterfs"}
)


@record
class Location:
    """One app folder: `root` is the user's, `state` the engine's; both absolute."""

    root: Path
    state: Path

    @property
    def key(self) -> str:
        """A short name for this folder that is safe in a path."""
        return folder_key(self.root)

    @property
    def socket(self) -> Path:
        """The private door; in the runtime directory when the state's path is too long."""
        path = self.state / "engine.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        return runtime_directory() / f"{self.key}.sock"

    @property
    def lock(self) -> Path:
        """Held with `flock` by the one engine of this folder."""
        return self.state / "engine.lock"

    @property
    def log(self) -> Path:
        """The engine's own log."""
        return self.state / "engine.log"

    @property
    def token(self) -> Path:
        """The bearer token of the public door."""
        return self.state / "token"

    @property
    def http(self) -> Path:
        """Holds the base URL of the public door while an engine runs."""
        return self.state / "http"


def folder_key(root: Path) -> str:
    """`my-app` at some path becomes `my-app-3f2a9c1e5b7d`."""
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in root.name)[:40]
    return f"{name or 'root'}-{digest}"


def state_home() -> Path:
    """The user's state directory for this product (XDG base directory specification)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return home / "spice-tui"


def runtime_directory() -> Path:
    """A short directory only this user can enter, for sockets whose own path is too long."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and len(base) <= 40 and Path(base).is_dir():
        return Path(base) / "spice-tui"
    return Path("/tmp") / f"spice-tui-{os.getuid()}"


def file_system_of(path: Path, mounts: str | None = None) -> str:
    """The type of the file system `path` is on, `""` where that cannot be told.

    `mounts` is the text of a mount table, `/proc/self/mounts` when not given.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    best, kind = "", ""
    wanted = str(path)
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        point = parts[1].replace("\\040", " ").replace("\\011", "\t")
        inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, parts[2]
    return kind


def locate(folder: Path | str | None = None) -> Location:
    """The location of an app folder (default: the current directory).

    `SPICE_STATE_DIR` names a parent for the state of every folder, for machines on which the
    rule above guesses wrong.
    """
    root = Path(folder or ".").expanduser().resolve()
    parent = os.environ.get("SPICE_STATE_DIR", "")
    if parent:
        return Location(root, Path(parent).expanduser().resolve() / folder_key(root))
    if file_system_of(root) in NETWORK_FILE_SYSTEMS:
        return Location(root, state_home() / "folders" / folder_key(root))
    return Location(root, root / ".spice")


def is_locked(location: Location) -> bool:
    """Whether an engine holds the folder now."""
    try:
        descriptor = os.open(location.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
