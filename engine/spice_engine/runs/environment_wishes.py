"""What may be asked of an environment, and what is refused, with the reason."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.requirements import local_package
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import conda_file, environment_lock
from spice_engine.runs.environment_script import MAX_SETUP

_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_LEFT = frozenset({"build", "dist", "__pycache__"})
_OTHER_FILE = re.compile(r"(-r|-c|--requirement|--constraint)[\s=]++(?!/|\w+://)")
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?")


def check(dependencies: Dependencies) -> None:
    """Refuse what cannot be had, with the reason."""
    conda = has_conda(dependencies)
    if conda and dependencies.image:
        raise InvalidRequest(
            "Only one of the following options can be specified: --from, --conda-file.",
            hint="Have conda in the image, or leave the image out.",
        )
    if conda and dependencies.requirements:
        raise InvalidRequest(
            "conda packages and a file of pip's requirements exclude each other.",
            hint="Name what pip is to install with --pip, or in the conda file.",
        )
    conda_file.read(dependencies.conda_file)
    if dependencies.lock:
        _check_lock(dependencies)
    if len(dependencies.setup) > MAX_SETUP:
        raise InvalidRequest(f"there are more than {MAX_SETUP} setup commands.")
    everything = (
        *dependencies.pip,
        *dependencies.setup,
        *dependencies.conda,
        *dependencies.channels,
        *dependencies.apt,
        dependencies.python,
        dependencies.image,
    )
    for item in everything:
        if "\0" in item or "\n" in item:
            raise InvalidRequest("a package, a setup command or an interpreter is one line.")
    for line in (*lines(dependencies.requirements), *conda_file.read(dependencies.conda_file).pip):
        if _OTHER_FILE.match(line):
            raise InvalidRequest(
                f"{line[:200]!r} names another file, and only the text of this one is here.",
                hint="Write what that file says in its place; a whole path is found, too.",
            )
    for item in (*dependencies.pip, *dependencies.conda):
        if not item.strip() or item.lstrip().startswith("-"):
            raise InvalidRequest(
                f"{item!r} is not a package.", hint="Options of pip go into a file: --pip-req FILE."
            )
    for item in dependencies.apt:
        if not _APT.fullmatch(item) and not (item.endswith(".deb") and not item.startswith("-")):
            raise InvalidRequest(
                f"{item[:200]!r} is no package of apt.", hint="Write NAME, or NAME=VERSION."
            )
    if is_path(dependencies.python) and (
        dependencies.pip
        or dependencies.setup
        or lines(dependencies.requirements)
        or conda
        or dependencies.image
    ):
        raise InvalidRequest(
            f"nothing is installed into {dependencies.python}: an interpreter is used as it is.",
            hint="Install the packages there yourself, or name a version such as 3.12 instead.",
        )


def _check_lock(dependencies: Dependencies) -> None:
    environment_lock.read(dependencies.lock)
    if dependencies != Dependencies(lock=dependencies.lock):
        raise InvalidRequest(
            "an environment of a lock holds what the lock names, and nothing else.",
            hint="Leave the other packages out, or name them without the lock.",
        )


def has_conda(dependencies: Dependencies) -> bool:
    """Whether conda's packages are asked for."""
    return bool(dependencies.conda or dependencies.conda_file)


def absolute(root: Path, name: str) -> Path:
    """A path that a user wrote, which begins in `root` if nowhere else.

    Raises:
        InvalidRequest: it names the home of a user that is not there.
    """
    try:
        return root / Path(name).expanduser()
    except RuntimeError as error:
        raise InvalidRequest(f"{name[:200]!r} is no path: {error}") from None


def is_path(python: str) -> bool:
    return "/" in python or python.startswith("~")


def lines(requirements: str) -> list[str]:
    """The lines that say something."""
    stripped = (line.strip() for line in requirements.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def stamps(root: Path, packages: Iterable[str]) -> list[list[object]]:
    """Size and time of change of the packages that are files or folders of this machine: their
    names stay where their contents change. Of one that is used where it lies (`-e`) only what
    says how it is installed counts."""
    found: list[list[object]] = []
    for name in packages:
        option, place = local_package(name)
        if not place:
            continue
        with suppress(RuntimeError):  # the home of nobody
            folder = root / Path(place).expanduser()
            inner = _BUILD_FILES if option else _files_of(folder) if folder.is_dir() else ("",)
            found += _stamps(folder, inner)
    return found


def _files_of(folder: Path) -> Iterable[str]:
    """The files of a package's folder, but for what building it leaves there."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_left(name))
        yield from (os.path.relpath(f"{path}/{name}", folder) for name in sorted(names))


def _is_left(name: str) -> bool:
    return name.startswith(".") or name in _LEFT or name.endswith(".egg-info")


def stamps_of_commands(root: Path, commands: Iterable[str]) -> list[list[object]]:
    """The same of the files that setup commands read; those that they write to with `>` are not
    among them."""
    words: list[str] = []
    for command in commands:
        split = shlex.shlex(command, posix=True, punctuation_chars=True)
        split.whitespace_split = True
        before = ""
        with suppress(ValueError):  # quotes that the shell will complain of
            for word in split:
                if not before.startswith(">") and _is_file(root / word):
                    words.append(word)
                before = word
    return _stamps(root, words)


def _is_file(place: Path) -> bool:
    with suppress(OSError, ValueError):
        return place.is_file()
    return False


def _stamps(root: Path, names: Iterable[str]) -> list[list[object]]:
    found: list[list[object]] = []
    for name in names:
        with suppress(OSError, RuntimeError, ValueError):
            status = (root / Path(name).expanduser()).stat()
            found.append([name, status.st_size, status.st_mtime_ns])
    return found
