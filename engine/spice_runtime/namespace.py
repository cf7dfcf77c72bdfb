"""/model and /mounts for a replica alone, on a machine where they are not, or are another's.

Three ways, the first that can be had: a private mount namespace (with a user namespace where this
process is not root), in which the root folder is made anew out of what the machine has and the two
folders; symbolic links at these places; Python's own functions patched, which C code does not see.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from spice_runtime import linux_mounts, namespace_patch
from spice_runtime.predictors.base import MODEL_DIR

MOUNTS_DIR = "SPICE_MOUNTS_DIR"


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
    return linux_mounts.tried(lambda: _enter(wanted))


def _enter(wanted: dict[str, str]) -> None:
    """Moves this process into a mount namespace of its own.

    Raises:
        OSError: the system does not allow it.
    """
    here = Path.cwd()
    libc = linux_mounts.library()
    linux_mounts.unshare(libc)
    for place in linux_mounts.new_root(libc, wanted):
        # Kernels refuse this where the file system has locked flags; then it stays writable.
        with suppress(OSError):
            linux_mounts.make_read_only(libc, place)
    os.chdir(here)


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
