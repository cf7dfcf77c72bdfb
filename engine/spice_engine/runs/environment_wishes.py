"""What may be asked of an environment, and what is refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs.environment_script import MAX_SETUP


def check(dependencies: Dependencies) -> None:
    """Refuse what cannot be had, with the reason."""
    if dependencies.conda_file:
        raise InvalidRequest(
            "conda environments cannot be made yet.",
            hint="Name the packages with --pip or --pip-req, or a conda environment's own "
            "interpreter with --python PATH.",
        )
    if dependencies.apt:
        raise InvalidRequest(
            f"packages of the system ({', '.join(dependencies.apt)}) are not installed for a "
            "server.",
            hint="Install them on this machine (apt install …).",
        )
    if len(dependencies.setup) > MAX_SETUP:
        raise InvalidRequest(f"there are more than {MAX_SETUP} setup commands.")
    for item in (*dependencies.pip, *dependencies.setup, dependencies.python):
        if "\0" in item or "\n" in item:
            raise InvalidRequest("a package, a setup command or an interpreter is one line.")
    for item in dependencies.pip:
        if not item.strip() or item.lstrip().startswith("-"):
            raise InvalidRequest(
                f"{item!r} is not a package.", hint="Options of pip go into a file: --pip-req FILE."
            )
    if is_path(dependencies.python) and (
        dependencies.pip or dependencies.setup or lines(dependencies.requirements)
    ):
        raise InvalidRequest(
            f"nothing is installed into {dependencies.python}: an interpreter is used as it is.",
            hint="Install the packages there yourself, or name a version such as 3.12 instead.",
        )


def is_path(python: str) -> bool:
    return "/" in python or python.startswith("~")


def lines(requirements: str) -> list[str]:
    """The lines that say something."""
    stripped = (line.strip() for line in requirements.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def stamps(root: Path, packages: Iterable[str]) -> list[list[object]]:
    """Size and time of change of the packages that are files of this machine: their names stay
    where their contents change."""
    found: list[list[object]] = []
    for package in packages:
        if "/" not in package or "://" in package:
            continue
        with suppress(OSError, RuntimeError, ValueError):
            status = (root / Path(package).expanduser()).stat()
            found.append([package, status.st_size, status.st_mtime_ns])
    return found
