"""/model and /mounts for a replica alone, on a machine where they are not, or are another's.

Three ways, the first that can be had: a private mount namespace (with a user namespace where this
process is not root), in which the root folder is made anew out of what the machine has and the two
folders; symbolic links at these places; Python's own functions patched, which C code does not see.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from spice_runtime import namespace_patch
from spice_runtime.predictors.base import MODEL_DIR

if TYPE_CHECKING:
    import ctypes

MOUNTS_DIR = "SPICE_MOUNTS_DIR"

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY = 1
_MS_REMOUNT = 32
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_OLD = ".old-root"
_NUMBERS_OF_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def provide(model_dir: str | None, mounts_dir: str | None) -> str:
    """Makes the folders appear as /model and /mounts in this process and its children.

    Gives the way: `namespace`, `symlink`, `patched`, or `none` where there is nothing to show.
    Sets the variables SPICE_MODEL_DIR and SPICE_MOUNTS_DIR to where the files are to be found.
    Must be called while the process has one thread.
    """
    wanted = {
        place: os.path.realpath(folder)
        for place, folder in (("/model", model_dir), ("/mounts", mounts_dir))
        if folder
    }
    if not wanted:
        return "none"
    variables = {"/model": MODEL_DIR, "/mounts": MOUNTS_DIR}
    for way, attempt in (("namespace", _by_namespace), ("symlink", _by_links)):
        if attempt(wanted):
            for place in wanted:
                os.environ[variables[place]] = place
            return way
    namespace_patch.patch(wanted)
    # Where they really are: C code that is told by these variables finds them, too.
    for place, folder in wanted.items():
        os.environ[variables[place]] = folder
    return "patched"


def possible() -> bool:
    """Whether this process could have a private mount namespace."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return _tried({"/model": folder})


def _by_namespace(wanted: dict[str, str]) -> bool:
    # In a child first: a failure half-way would leave this process in a crippled namespace.
    if not _tried(wanted):
        return False
    _enter(wanted)
    return True


def _tried(wanted: dict[str, str]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _enter(wanted)
            code = 0
        except (OSError, AttributeError, KeyError):
            code = 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _enter(wanted: dict[str, str]) -> None:
    """Moves this process into a mount namespace of its own.

    Raises:
        OSError: the system does not allow it.
    """
    here = Path.cwd()
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    flags = _CLONE_NEWNS
    if os.geteuid() != 0:
        flags |= _CLONE_NEWUSER
    _check(libc.unshare(flags))
    if flags & _CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    # Nothing that happens in here reaches the machine.
    _mount(libc, None, "/", None, _MS_REC | _MS_PRIVATE)
    # An empty file system becomes the root; the old one hangs in it while its parts are bound.
    base = next(iter(wanted.values()))
    _mount(libc, "tmpfs", base, "tmpfs", 0)
    Path(base, _OLD).mkdir()
    number = _NUMBERS_OF_PIVOT_ROOT[os.uname().machine]
    _check(libc.syscall(number, os.fsencode(base), os.fsencode(f"{base}/{_OLD}")))
    os.chdir("/")
    old = Path("/", _OLD)
    for entry in os.scandir(old):
        if "/" + entry.name not in wanted:
            _show(libc, entry)
    for place, folder in wanted.items():
        Path(place).mkdir()
        _mount(libc, f"{old}{folder}", place, None, _MS_BIND | _MS_REC)
        # Kernels refuse this where the file system has locked flags; then it stays writable.
        with suppress(OSError):
            _mount(libc, None, place, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)
    _check(libc.umount2(os.fsencode(old), _MNT_DETACH))
    old.rmdir()
    os.chdir(here)


def _show(libc: ctypes.CDLL, entry: os.DirEntry[str]) -> None:
    """Makes an entry of the old root folder appear in the new one."""
    target = Path("/", entry.name)
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
        _mount(libc, entry.path, str(target), None, _MS_BIND | _MS_REC)


def _mount(
    libc: ctypes.CDLL, source: str | None, target: str, kind: str | None, flags: int
) -> None:
    import ctypes

    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    _check(libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result != 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _by_links(wanted: dict[str, str]) -> bool:
    made: list[str] = []
    for place, folder in wanted.items():
        try:
            if Path(place).is_symlink() and not Path(place).exists():
                # Left by one whose folder is gone.
                Path(place).unlink()
            Path(place).symlink_to(folder)
            made.append(place)
        except OSError:
            if Path(place).is_symlink() and os.path.realpath(place) == folder:
                continue
            for each in made:
                Path(each).unlink()
            return False
    return True
