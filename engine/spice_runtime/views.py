"""What a command sees of the disk: its own work folder over a frozen one, and read-only mounts.

In a mount namespace of the command's own. Called between fork and exec, and by itself to find out
what this machine allows: `python -I -m spice_runtime.views FOLDER`.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from spice_runtime import linux_mounts

OVERLAY, BIND = "overlay", "bind"


def overlay(at: str, lower: str, upper: str, spare: str) -> dict[str, str]:
    """A folder that shows `lower`; what is changed in it goes to `upper`. `spare` is an empty
    folder beside `upper`."""
    return {"kind": OVERLAY, "at": at, "lower": lower, "upper": upper, "spare": spare}


def bind(at: str, source: str) -> dict[str, str]:
    """A folder or a file that appears read-only at a place."""
    return {"kind": BIND, "at": at, "source": source}


def enter(views: list[dict[str, str]]) -> None:
    """Gives this process, which must have one thread, these views of the disk, in their order.

    A place that is not there is made, in the command's sight only where it lies outside an overlay.

    Raises:
        OSError: the system does not allow it.
    """
    libc = linux_mounts.library()
    linux_mounts.unshare(libc)
    outside: dict[str, str] = {}
    overlays: list[str] = []
    for view in views:
        at = view["at"]
        if view["kind"] == OVERLAY:
            _overlay(libc, view)
            overlays.append(at)
            continue
        inside = any(at.startswith(f"{folder}/") for folder in overlays)
        if not inside and not os.path.lexists(at):
            outside[at] = view["source"]
            continue
        if inside:
            _make_place(view["source"], at)
        linux_mounts.bind(libc, view["source"], at)
        linux_mounts.make_read_only(libc, at)
    if outside:
        for place in linux_mounts.new_root(libc, next(iter(outside.values())), outside):
            linux_mounts.make_read_only(libc, place)


def _overlay(libc: Any, view: dict[str, str]) -> None:
    folders = (view["lower"], view["upper"], view["spare"])
    if any(character in folder for folder in folders for character in ',:\\"'):
        raise OSError(
            0, "an overlay's folders must have no comma, colon or backslash in their path"
        )
    options = "lowerdir={},upperdir={},workdir={}".format(*folders)
    if os.geteuid() != 0 or _in_user_namespace():
        options += ",userxattr"
    linux_mounts.mount(libc, "overlay", view["at"], "overlay", 0, options)


def _in_user_namespace() -> bool:
    with suppress(OSError):
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    return False


def _make_place(source: str, at: str) -> None:
    place = Path(at)
    place.parent.mkdir(parents=True, exist_ok=True)
    if Path(source).is_dir():
        place.mkdir(exist_ok=True)
    elif not place.exists():
        place.touch()


def possible(folder: str) -> dict[str, bool]:
    """Whether this process could have an overlay of folders in `folder`, and binds."""
    found = {OVERLAY: False, BIND: False}
    if not sys.platform.startswith("linux"):
        return found
    import tempfile

    with tempfile.TemporaryDirectory(prefix="views-", dir=folder) as base:
        names = ("lower", "upper", "spare", "at", "source")
        for name in names:
            Path(base, name).mkdir()
        lower, upper, spare, at, source = (f"{base}/{name}" for name in names)
        Path(lower, "old").write_text("old")
        found[OVERLAY] = _tried([overlay(at, lower, upper, spare)], f"{at}/old")
        if Path(lower, "old").read_text() != "old":
            found[OVERLAY] = False
        found[BIND] = _tried([bind(at, source)], "")
        # The kernel's own folder in there is closed to everybody.
        with suppress(OSError):
            Path(spare, "work").chmod(0o700)
    return found


def _tried(views: list[dict[str, str]], written: str) -> bool:
    def work() -> None:
        enter(views)
        if written:
            Path(written).write_text("new")

    return linux_mounts.tried(work)


if __name__ == "__main__":
    import json

    sys.stdout.write(json.dumps(possible(sys.argv[1])))
