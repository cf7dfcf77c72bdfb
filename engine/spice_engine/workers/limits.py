"""Limits of CPU, memory and processes: what this machine can enforce, and a plan for the shim.

Control groups where they can be written (version 2, or the controllers of version 1), resource
limits otherwise. Nothing here changes the machine: the shim carries a plan out.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

GROUP_PREFIX = "spice-tui."
_PERIOD_US = 100_000
_SWEEP_SECONDS = 60.0
_FEWEST_PROCESSES = 4096
_PROCESSES_A_CORE = 256
_CONTROLLERS = ("cpu", "memory", "pids")
Kind = Literal["cgroup2", "cgroup1", "rlimit", "none"]


@record
class Limits:
    """What a job may use; 0 is no limit. `cpu` in cores (0.5 is half of one)."""

    cpu: float = 0.0
    memory_bytes: int = 0
    pids: int = 0


@record
class LimitSupport:
    """What can be enforced, by which means, and why not better, in words for `doctor`.

    The three groups are the folders under which a job's own groups are made.
    """

    cpu: Kind
    memory: Kind
    pids: Kind
    cpu_group: str = ""
    memory_group: str = ""
    pids_group: str = ""
    reasons: tuple[str, ...] = ()


def detect(root: Path = Path("/")) -> LimitSupport:
    """Looks at the control groups of this process. `root` stands for `/` in tests. Blocks."""
    own = _own_groups(root)
    mounts = _mounts(root)
    reasons: list[str] = []
    kinds: dict[str, Kind] = {"cpu": "none", "memory": "rlimit", "pids": "none"}
    groups: dict[str, str] = {}
    unified = _unified_base(root, own, mounts, reasons)
    for name in _CONTROLLERS:
        if unified is not None and name in unified[1]:
            kinds[name], groups[name] = "cgroup2", str(unified[0])
        elif (base := _v1_base(root, name, own, mounts, reasons)) is not None:
            kinds[name], groups[name] = "cgroup1", str(base)
    if kinds["memory"] == "rlimit":
        reasons.append("memory is limited by address space (RLIMIT_AS), for each process alone")
    reasons.extend(
        f"{what} cannot be limited without control groups"
        for name, what in (("cpu", "CPU"), ("pids", "the number of processes"))
        if kinds[name] == "none"
    )
    return LimitSupport(
        cpu=kinds["cpu"],
        memory=kinds["memory"],
        pids=kinds["pids"],
        cpu_group=groups.get("cpu", ""),
        memory_group=groups.get("memory", ""),
        pids_group=groups.get("pids", ""),
        reasons=tuple(reasons),
    )


def plan(limits: Limits, name: str, support: LimitSupport) -> dict[str, Any]:
    """What the shim has to do, as plain data; `name` tells the job's groups apart.

    What cannot be enforced is left out: `support` says what that is. A value that is not
    `required` may fail, for the kernel may lack the file.

    Raises:
        InvalidRequest: a negative limit, or a name that is no file name.
    """
    if min(limits.cpu, limits.memory_bytes, limits.pids) < 0:
        raise InvalidRequest(f"a limit is negative: {limits}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise InvalidRequest(f"{name!r:.120} cannot name a control group")
    groups: dict[str, list[list[Any]]] = {}
    oom: list[str] = []
    rlimits: list[list[Any]] = []

    def put(base: str, file: str, value: int | str, *, required: bool = True) -> str:
        path = str(Path(base, GROUP_PREFIX + name))
        groups.setdefault(path, []).append([file, str(value), required])
        return path

    if limits.cpu:
        quota = max(1000, round(limits.cpu * _PERIOD_US))
        if support.cpu == "cgroup2":
            put(support.cpu_group, "cpu.max", f"{quota} {_PERIOD_US}")
        elif support.cpu == "cgroup1":
            put(support.cpu_group, "cpu.cfs_period_us", _PERIOD_US)
            put(support.cpu_group, "cpu.cfs_quota_us", quota)
    if limits.memory_bytes:
        if support.memory == "cgroup2":
            path = put(support.memory_group, "memory.max", limits.memory_bytes)
            put(support.memory_group, "memory.swap.max", 0, required=False)
            # Half of a job without the other half helps nobody.
            put(support.memory_group, "memory.oom.group", 1, required=False)
            oom.append(str(Path(path, "memory.events")))
        elif support.memory == "cgroup1":
            path = put(support.memory_group, "memory.limit_in_bytes", limits.memory_bytes)
            memsw = "memory.memsw.limit_in_bytes"
            put(support.memory_group, memsw, limits.memory_bytes, required=False)
            oom.append(str(Path(path, "memory.oom_control")))
        elif support.memory == "rlimit":
            rlimits.append(["RLIMIT_AS", limits.memory_bytes])
    if limits.pids and support.pids != "none":
        put(support.pids_group, "pids.max", limits.pids)
    return {
        "groups": [{"path": path, "writes": writes} for path, writes in groups.items()],
        "oom": oom,
        "rlimits": rlimits,
    }


def most_processes(root: Path = Path("/")) -> int:
    """How many processes and threads one job may have that is to leave some to all others."""
    most = max(_FEWEST_PROCESSES, _PROCESSES_A_CORE * (os.cpu_count() or 1))
    with suppress(OSError, ValueError):
        most = min(most, int((root / "proc/sys/kernel/pid_max").read_text("ascii")) // 2)
    return most


def sweep(support: LimitSupport) -> int:
    """Removes the empty groups that killed shims left behind; gives their number. Blocks."""
    # A younger one may be of another engine's shim, which is about to put its command there.
    removed, before = 0, time.time() - _SWEEP_SECONDS
    for base in {support.cpu_group, support.memory_group, support.pids_group} - {""}:
        for path in Path(base).glob(f"{GROUP_PREFIX}*"):
            try:
                if path.stat().st_mtime < before:
                    path.rmdir()
                    removed += 1
            except OSError:
                # In use: its job runs.
                continue
    return removed


def _own_groups(root: Path) -> dict[str, str]:
    """Controller ("" is the unified hierarchy) to the path of this process in it."""
    own: dict[str, str] = {}
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return own
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for name in controllers.split(","):
            own[name] = path
    return own


def _mounts(root: Path) -> list[tuple[str, str, str, set[str]]]:
    """(type, root of the mount, mount point, options) of each control group file system."""
    found: list[tuple[str, str, str, set[str]]] = []
    try:
        lines = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        front, _, back = line.partition(" - ")
        kind, _, rest = back.partition(" ")
        fields = front.split(" ")
        if kind in ("cgroup", "cgroup2") and len(fields) > 4:
            options = set(rest.rpartition(" ")[2].split(","))
            found.append((kind, fields[3], fields[4], options))
    return found


def _folder(root: Path, mount_root: str, point: str, own: str) -> Path:
    # In a container the mount shows a part of the tree, the process's path may be of the whole.
    inside = own.removeprefix(mount_root) if mount_root != "/" else own
    folder = root / point.lstrip("/") / inside.lstrip("/")
    return folder if folder.is_dir() else root / point.lstrip("/")


def _unified_base(
    root: Path,
    own: dict[str, str],
    mounts: list[tuple[str, str, str, set[str]]],
    reasons: list[str],
) -> tuple[Path, set[str]] | None:
    """The nearest group above this process whose children we may make and limit."""
    for kind, mount_root, point, _ in mounts:
        if kind != "cgroup2" or "" not in own:
            continue
        top = root / point.lstrip("/")
        here = _folder(root, mount_root, point, own[""])
        for folder in (here, *here.parents):
            enabled = _words(folder / "cgroup.subtree_control") & set(_CONTROLLERS)
            writable = os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
            if enabled and writable:
                return folder, enabled
            if folder == top:
                break
        offered = _words(top / "cgroup.controllers") & set(_CONTROLLERS)
        reasons.append(
            "control groups v2: no group above this process is ours to write and has controllers "
            "enabled; start the engine as a systemd service or scope with Delegate=yes"
            if offered
            else "control groups v2 is mounted without the cpu, memory and pids controllers"
        )
        return None
    reasons.append("control groups v2 is not mounted")
    return None


def _v1_base(
    root: Path,
    name: str,
    own: dict[str, str],
    mounts: list[tuple[str, str, str, set[str]]],
    reasons: list[str],
) -> Path | None:
    for kind, mount_root, point, options in mounts:
        if kind == "cgroup" and name in options and name in own:
            folder = _folder(root, mount_root, point, own[name])
            if os.access(folder, os.W_OK):
                return folder
            reasons.append(f"control groups v1: {folder} is not ours to write")
            return None
    reasons.append(f"control groups v1: the {name} controller is not mounted")
    return None


def _words(path: Path) -> set[str]:
    try:
        return set(path.read_text().split())
    except OSError:
        return set()
