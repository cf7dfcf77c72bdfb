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

OVERLAY, BIND, SYSTEM = "overlay", "bind", "keep"

_OF_THE_MACHINE = ("/dev", "/proc", "/sys")
_FOR_THE_NETWORK = ("/etc/resolv.conf", "/etc/hosts")
"""What another root has from this machine."""
_MOST_LINKS = 40


def overlay(at: str, lower: str, upper: str, spare: str) -> dict[str, str]:
    """A folder that shows `lower`; what is changed in it goes to `upper`. `spare` is an empty
    folder beside `upper`."""
    return {"kind": OVERLAY, "at": at, "lower": lower, "upper": upper, "spare": spare}


def system(at: str, lowers: list[str], beside: str, keep: list[str]) -> dict[str, str]:
    """A folder of the system that shows `lowers`, the first on top; what is changed in it goes to
    folders in `beside`, which are made. With `keep` it becomes the root folder: of the machine only
    these paths are seen there, and its devices and processes."""
    view = overlay(at, "\n".join(lowers), f"{beside}/changes", f"{beside}/spare")
    return {**view, SYSTEM: "\n".join(keep)}


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
    root = next((view for view in views if view.get(SYSTEM)), None)
    for view in views:
        at = view["at"]
        if view["kind"] == OVERLAY:
            _overlay(libc, view)
            overlays.append(at)
            continue
        inside = any(at.startswith(f"{folder}/") for folder in overlays)
        if not inside and (root is not None or not os.path.lexists(at)):
            outside[at] = view["source"]
            continue
        if inside:
            _make_place(view["source"], at)
        linux_mounts.bind(libc, view["source"], at)
        linux_mounts.make_read_only(libc, at)
    if root is not None:
        _new_root(libc, root["at"], root[SYSTEM].split("\n"), outside)
    elif outside:
        for place in linux_mounts.new_root(libc, outside):
            linux_mounts.make_read_only(libc, place)


def _new_root(libc: Any, root: str, keep: list[str], outside: dict[str, str]) -> None:
    """Makes a folder the root, with paths of the old one, and with what is bound to places."""
    linux_mounts.keep_out(libc, root)
    for path in (*_OF_THE_MACHINE, *_FOR_THE_NETWORK, *keep):
        if not Path(path).exists():
            continue
        try:
            place = _place_in(root, path)
            _make_place(path, place)
            linux_mounts.bind(libc, path, place)
        except OSError:
            # An image of another user's may have no room for these; it may have them, too.
            if path not in _FOR_THE_NETWORK:
                raise
    for at, source in outside.items():
        place = _place_in(root, at)
        _make_place(source, place)
        linux_mounts.bind(libc, source, place)
        linux_mounts.make_read_only(libc, place)
    linux_mounts.change_root(libc, root)


def _place_in(root: str, path: str) -> str:
    """Where a path lies below another root: a link there leads to a place of that root."""
    place = Path(root)
    for name in path.strip("/").split("/"):
        place = place / name
        for _ in range(_MOST_LINKS):
            if not place.is_symlink():
                break
            target = os.readlink(place)  # noqa: PTH115 - Path has it since 3.9
            base = root if target.startswith("/") else str(place.parent)
            place = Path(os.path.normpath(f"{base}/{target}"))
            if not str(place).startswith(f"{root}/"):
                raise OSError(0, "a link in the image leads out of it", str(place))
    return str(place)


def _overlay(libc: Any, view: dict[str, str]) -> None:
    at, lowers = view["at"], view["lower"].split("\n")
    folders = (*lowers, view["upper"], view["spare"])
    if any(character in folder for folder in folders for character in ',:\\"'):
        raise OSError(
            0, "an overlay's folders must have no comma, colon or backslash in their path"
        )
    if SYSTEM in view:
        for folder in (view["upper"], view["spare"], at):
            Path(folder).mkdir(parents=True, exist_ok=True)
        Path(view["upper"]).chmod(Path(lowers[-1]).stat().st_mode & 0o7777)
    covered = linux_mounts.opened_below(at) if at in lowers else {}
    options = f"lowerdir={':'.join(lowers)},upperdir={view['upper']},workdir={view['spare']}"
    if os.geteuid() != 0 or _in_user_namespace():
        options += ",userxattr"
    linux_mounts.mount(libc, "overlay", at, "overlay", 0, options)
    # What is mounted below (the libraries of a GPU's driver, for one) would be out of sight.
    for place, opened in covered.items():
        with suppress(OSError):
            linux_mounts.bind(libc, f"/proc/self/fd/{opened}", place)
        os.close(opened)


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
