"""The few system calls for private mounts that Python does not have. Linux only."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY = 1
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
# What a mount may be, as statvfs tells it and as mount takes it; the same bits in Linux.
_KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048  # nosuid, nodev, noexec, noatime, nodiratime
_OLD = ".old-root"
_NUMBERS_OF_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def library() -> ctypes.CDLL:
    """The C library."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def unshare(libc: ctypes.CDLL) -> None:
    """Moves this process, which must have one thread, into a mount namespace of its own; nothing
    that is mounted in there reaches the machine.

    Raises:
        OSError: the system does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    flags = CLONE_NEWNS
    if os.geteuid() != 0:
        flags |= CLONE_NEWUSER
    check(libc.unshare(flags))
    if flags & CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    mount(libc, None, "/", None, MS_REC | MS_PRIVATE)


def mount(
    libc: ctypes.CDLL,
    source: str | None,
    target: str,
    kind: str | None,
    flags: int,
    options: str | None = None,
) -> None:
    """mount(2).

    Raises:
        OSError: it failed.
    """
    import ctypes

    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    check(
        libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(options)),
        target,
    )


def bind(libc: ctypes.CDLL, source: str, target: str) -> None:
    """Makes a folder or file appear at a place, with all that is mounted in it."""
    mount(libc, source, target, None, MS_BIND | MS_REC)


def make_read_only(libc: ctypes.CDLL, target: str) -> None:
    """Takes the writing from what was bound there.

    Raises:
        OSError: the system does not allow it.
    """
    # In a user namespace what the mount is otherwise must be said again, or it is refused.
    kept = os.statvfs(target).f_flag & _KEPT_FLAGS
    mount(libc, None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def new_root(libc: ctypes.CDLL, wanted: dict[str, str]) -> list[str]:
    """Makes the root folder anew, of what the old one has and of the `wanted` places.

    `wanted` is places (`/model`, `/mnt/data`) with what is to appear there, a folder or a file. A
    folder on the way to a place is made anew, too: what is written straight into it is gone
    afterwards. Gives the places.

    Raises:
        OSError: the system does not allow it.
    """
    # An empty file system becomes the root; the old one hangs in it while its parts are bound.
    # Until then it may hide any folder.
    base = next(Path(source) for source in wanted.values())
    base = base if base.is_dir() else base.parent
    mount(libc, "tmpfs", str(base), "tmpfs", 0)
    Path(base, _OLD).mkdir()
    number = _NUMBERS_OF_PIVOT_ROOT[os.uname().machine]
    check(libc.syscall(number, os.fsencode(base), os.fsencode(f"{base}/{_OLD}")))
    os.chdir("/")
    old = Path("/", _OLD)
    _fill(libc, old, "/", wanted)
    for place, source in wanted.items():
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        if Path(f"{old}{source}").is_dir():
            Path(place).mkdir(exist_ok=True)
        else:
            Path(place).touch()
        bind(libc, f"{old}{source}", place)
    check(libc.umount2(os.fsencode(old), MNT_DETACH))
    old.rmdir()
    return list(wanted)


def keep_out(libc: ctypes.CDLL, place: str) -> None:
    """Has what is mounted at a place left out where the folder that the place is in is bound
    elsewhere. Without that, who removes the folder there removes what is mounted."""
    mount(libc, None, place, None, MS_UNBINDABLE)


def change_root(libc: ctypes.CDLL, root: str) -> None:
    """Makes a folder on which something is mounted the root; the old one is out of reach then.

    Raises:
        OSError: the system does not allow it.
    """
    old = f"{root}/{_OLD}"
    Path(old).mkdir(exist_ok=True)
    number = _NUMBERS_OF_PIVOT_ROOT[os.uname().machine]
    check(libc.syscall(number, os.fsencode(root), os.fsencode(old)), root)
    os.chdir("/")
    check(libc.umount2(os.fsencode(f"/{_OLD}"), MNT_DETACH))
    Path("/", _OLD).rmdir()
    mount(libc, None, "/", None, MS_PRIVATE)


def opened_below(folder: str) -> dict[str, int]:
    """The places below a folder on which something is mounted, each with an open descriptor."""
    found: dict[str, int] = {}
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            place = os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1"))
            if place.startswith(f"{folder}/"):
                with suppress(OSError):
                    found[place] = os.open(place, os.O_PATH)
    return found


def _fill(libc: ctypes.CDLL, old: Path, folder: str, wanted: dict[str, str]) -> None:
    """Shows what a folder had, but for the wanted places and the folders on the way to them."""
    for entry in os.scandir(f"{old}{folder}"):
        place = os.path.join(folder, entry.name)  # noqa: PTH118 - they are texts
        if place in wanted:
            continue
        if any(other.startswith(place + "/") for other in wanted) and entry.is_dir():
            Path(place).mkdir()
            _fill(libc, old, place, wanted)
        else:
            _show(libc, entry, place)


def _show(libc: ctypes.CDLL, entry: os.DirEntry[str], place: str) -> None:
    """Makes an entry of an old folder appear in the new one."""
    target = Path(place)
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(os.readlink(entry.path))  # noqa: PTH115 - Path has it since 3.9
        return
    if stat.S_ISDIR(mode):
        target.mkdir()
    elif stat.S_ISREG(mode):
        target.touch()
    else:
        return
    # An entry that cannot be bound (a file system of another user's) is empty in here.
    with suppress(OSError):
        bind(libc, entry.path, place)


def tried(work: Callable[[], object]) -> bool:
    """Whether a child of this process, which ends then, could do this."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except (OSError, AttributeError, KeyError):
            code = 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def check(result: int, place: str | None = None) -> None:
    """Raises the OSError of a call that failed."""
    if result != 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), place)
