"""What decides how one environment is made, worked out from what was asked for."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.requirements import local_package
from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record
from spice_engine.runs import conda_file, environment_lock
from spice_engine.runs import environment_script as scripts
from spice_engine.runs.environment_lock import Lock
from spice_engine.runs.environment_wishes import absolute, has_conda, lines
from spice_engine.runs.pip_configuration import uv_variables
from spice_engine.runs.systems import System
from spice_runtime import process

_NUMBERS = re.compile(r"\d+(\.\d+)*")
OLDEST_PYTHON = (3, 6)
"""What uv can ask; of an older one it says that first, whatever is looked for."""
_OTHER_FILE = re.compile(r"^(-c|--constraint|-r|--requirement)[\s=]+")
_FOR_UV = ("UV_", "PIP_", "SSL_CERT")
_ELSEWHERE = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", process.SOFT_FILES)


@record
class Work:
    """All that decides how one environment is made."""

    wanted: Dependencies
    base: tuple[str, ...]
    system: System | None
    lock: Lock | None
    variables: Mapping[str, str]

    @property
    def conda(self) -> bool:
        return has_conda(self.wanted) or bool(self.lock is not None and self.lock.conda)

    @property
    def pip(self) -> list[str]:
        return [*self.wanted.pip, *conda_file.read(self.wanted.conda_file).pip]

    @property
    def has_packages(self) -> bool:
        return self.conda or bool(self.pip or lines(self.wanted.requirements) or self.base)

    @property
    def needs_python(self) -> bool:
        wanted = self.wanted
        locked = self.lock is not None and self.lock.pip
        return bool(self.pip or lines(wanted.requirements) or self.base or wanted.python or locked)

    @property
    def is_bare(self) -> bool:
        """Whether nothing is to be made but the system."""
        return self.system is not None and not (
            self.needs_python or self.conda or self.wanted.setup
        )

    @property
    def python(self) -> str:
        """The interpreter that an environment is made of; empty where it needs none."""
        if self.conda:
            return ""
        image = self.system is not None and self.system.is_image
        if image and not self.needs_python:
            return ""
        if self.wanted.python and self.wanted.python != platform.python_version():
            return self.wanted.python
        return (self.wanted.python or "python3") if image else sys.executable

    def is_whole(self, attempt: Path) -> bool:
        """Whether what was made is there: an interpreter is a link, to one that may be gone."""
        venv = attempt / scripts.VENV
        if self.conda:
            return (venv / "conda-meta").is_dir()
        python = venv / "bin" / "python"
        # An image's own interpreter is seen from inside only.
        image = self.system is not None and self.system.is_image
        return (python.is_symlink() if image else python.exists()) if self.python else True


def of_lock(dependencies: Dependencies) -> tuple[Dependencies, Lock | None]:
    """What a lock asks for, as other dependencies do; and the lock."""
    if not dependencies.lock:
        return dependencies, None
    lock = environment_lock.read(dependencies.lock)
    python = "" if lock.conda else lock.python
    wanted = Dependencies(
        python=python, apt=list(lock.apt), image=lock.image, setup=list(lock.setup)
    )
    return wanted, lock


def check_conda(dependencies: Dependencies) -> None:
    """Refuse conda's packages where rattler is not installed.

    Raises:
        InvalidRequest: it is not.
    """
    _, lock = of_lock(dependencies)
    wanted = has_conda(dependencies) or (lock is not None and lock.conda)
    if wanted and importlib.util.find_spec("rattler") is None:
        raise InvalidRequest(
            "conda environments are made by py-rattler, which is not installed.",
            hint="Install it beside spice-tui: pip install 'spice-tui[conda]'.",
        )


def is_python(spec: str) -> bool:
    name = spec.partition("::")[2] or spec
    return name == "python" or name.startswith(("python=", "python ", "python<", "python>"))


def pythons() -> Path:
    """Where uv keeps the interpreters that it installs."""
    given = os.environ.get("UV_PYTHON_INSTALL_DIR")
    data = os.environ.get("XDG_DATA_HOME")
    return Path(given or Path(data or Path.home() / ".local" / "share") / "uv" / "python")


def cache_places(variables: Mapping[str, str]) -> dict[str, Path]:
    """Where uv keeps packages and interpreters, by the variables that say so."""
    cache = Path(variables.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    return {"UV_CACHE_DIR": cache, "UV_PYTHON_INSTALL_DIR": pythons()}


def files_of(variables: Mapping[str, str]) -> list[Path]:
    """The files and folders of this machine that variables for uv name. Blocks."""
    words = (
        word
        for name, value in variables.items()
        if name.startswith(_FOR_UV)
        for word in value.split()
    )
    return [Path(word) for word in words if word.startswith("/") and Path(word).exists()]


def named_in(root: Path, requirements: Iterable[str]) -> list[Path]:
    """The files and folders of this machine that requirements name. Blocks."""
    found: list[Path] = []
    for line in requirements:
        named = local_package(_OTHER_FILE.sub("", line))[1]
        of_url = unquote(line.partition("file://")[2].partition("#")[0])
        if named or of_url:
            found.append(absolute(root, named or of_url))
    return [place for place in found if place.exists()]


def refreshed(root: Path, requirements: Iterable[str]) -> tuple[str, ...]:
    """The options of uv that have it build packages anew which are folders of this machine: it
    takes what it built of one before, unless the files that say how to build it have changed.
    Blocks."""
    import tomllib

    found: list[str] = []
    for requirement in requirements:
        option, place = local_package(requirement)
        if option or not place or not (folder := absolute(root, place)).is_dir():
            continue
        try:
            project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
            found.append(f"--refresh-package={project['project']['name']}")
        except (OSError, ValueError, KeyError, TypeError):
            return ("--refresh",)  # its name is not known
    return tuple(found)


def _pythons_of_pyenv() -> list[str]:
    """The folders of interpreters that pyenv has, the newest first: uv looks at its shims alone,
    which refuse what is not chosen in the folder."""
    folder = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    plain: list[Path] = []
    with suppress(OSError):  # it may be another user's, who started us with their variables
        plain += [one for one in folder.glob("*/bin") if _NUMBERS.fullmatch(one.parent.name)]
    newest_first = sorted(plain, key=_version_of, reverse=True)
    return [str(place) for place in newest_first if _version_of(place) >= OLDEST_PYTHON]


def _version_of(place: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in place.parent.name.split("."))


def job_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the job: ours, without what names another environment. Blocks."""
    kept = {name: value for name, value in environment.items() if name not in _ELSEWHERE}
    kept |= uv_variables(kept)
    if not kept.get("UV_CONFIG_FILE"):
        # The user's configuration counts, that of a project around the folder does not: it is
        # about the project's own environment.
        config = Path(kept.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
        places = [place for place in (config, Path("/etc/uv/uv.toml")) if place.is_file()]
        kept.update({"UV_CONFIG_FILE": str(places[0])} if places else {"UV_NO_CONFIG": "1"})
    kept["PATH"] = os.pathsep.join([kept.get("PATH", os.defpath), *_pythons_of_pyenv()])
    return kept | {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
