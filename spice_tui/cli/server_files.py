"""Files that options of servers name: configurations, requirements, the active environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from spice_engine.errors import InvalidSettings, Place
from spice_engine.protocol.requirements import local_package
from spice_tui.cli.session import expand

_MOST_FILES = 50


def text(path: str, name: str) -> str:
    """A file's text.

    Raises:
        InvalidSettings: it cannot be read.
    """
    try:
        return expand(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(f"{name}: {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{name}: {path} is not UTF-8 text.") from None


def config(path: str) -> dict[str, Any]:
    """The map in a YAML or JSON file.

    Raises:
        InvalidSettings: it cannot be read, or holds something else.
    """
    import yaml

    read = text(path, "--config")
    try:
        found: object = json.loads(read) if path.endswith(".json") else yaml.safe_load(read)
    except json.JSONDecodeError as error:
        place = Place(path, error.lineno, error.colno)
        raise InvalidSettings(f"not JSON: {error.msg}.", place=place) from None
    except yaml.MarkedYAMLError as error:
        raise InvalidSettings(f"not YAML: {error.problem}.", place=mark_of(error, path)) from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidSettings(f"--config: {path}: {' '.join(str(error).split())}.") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InvalidSettings(
            f"--config: {path} does not hold a map of names.",
            hint="Its entries become the arguments of the predictor's __init__.",
        )
    return found


def mark_of(error: Any, path: str) -> Place:
    """Where in a file the reader of YAML stumbled."""
    mark = error.problem_mark or error.context_mark
    return Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)


def requirements(path: str) -> str:
    """The lines of a requirements file, those of files it includes (`-r`) in their places.

    Paths of constraints become absolute: the text is used elsewhere.

    Raises:
        InvalidSettings: a file cannot be read, or they include each other without end.
    """
    lines: list[str] = []
    _include(expand(path), lines, 0)
    return "\n".join([*lines, ""]) if lines else ""


def _include(path: Path, lines: list[str], depth: int) -> None:
    if depth > _MOST_FILES:
        raise InvalidSettings(f"--pip-req: {path}: files include each other without end.")
    for line in text(str(path), "--pip-req").splitlines():
        option, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if option in {"-r", "--requirement"} and rest.strip():
            _include(path.parent / rest.strip(), lines, depth + 1)
        elif option in {"-c", "--constraint"} and rest.strip() and "://" not in rest:
            lines.append(f"-c {(path.parent / rest.strip()).absolute()}")
        elif line.strip():
            lines.append(local(line.strip()))


def local(requirement: str) -> str:
    """A package that is a file or a folder by its absolute path, for the engine works elsewhere;
    others as they are."""
    option, place = local_package(requirement)
    if not place:
        return requirement
    path = os.path.abspath(expand(place))  # noqa: PTH100 - resolve() would follow a link
    return requirement.replace(f"{option}{place}", f"{option}{path}", 1)


def active_packages() -> str:
    """What the active virtual environment holds, as requirements with exact versions.

    Raises:
        InvalidSettings: none is active, or uv cannot read it.
    """
    folder = os.environ.get("VIRTUAL_ENV", "")
    if not folder:
        raise InvalidSettings(
            "Could not find an active conda environment or virtualenv.",
            hint="Activate one, or name the packages with --pip or --pip-req.",
        )
    from uv import find_uv_bin

    done = subprocess.run(
        [find_uv_bin(), "pip", "freeze", "--quiet", "--exclude-editable", "--python", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise InvalidSettings(f"--deps-from-env: {folder}: {' '.join(done.stderr.split())}")
    return done.stdout


def active_conda() -> bool:
    """Whether a conda environment is active, and no virtual environment in it."""
    return bool(os.environ.get("CONDA_PREFIX")) and not os.environ.get("VIRTUAL_ENV")


def conda_packages() -> str:
    """What was asked for in the active conda environment, as a conda file.

    Raises:
        InvalidSettings: conda is not there, or cannot tell.
    """
    conda = os.environ.get("CONDA_EXE") or "conda"
    try:
        done = subprocess.run(
            [conda, "env", "export", "--from-history"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidSettings(f"--deps-from-env: {conda}: {error}.") from None
    if done.returncode:
        raise InvalidSettings(f"--deps-from-env: {conda}: {' '.join(done.stderr.split())}")
    return done.stdout


def image(name: str) -> str:
    """A path as an absolute one, since the engine works elsewhere; an image's name as it is."""
    path = expand(name)
    if name.startswith(("/", "~", "./", "../")) or path.exists():
        return str(path.resolve())
    return name


def interpreter(name: str) -> str:
    """A version as it is; a path as an absolute one, since the engine works elsewhere."""
    if "/" not in name and not name.startswith("~"):
        return name
    # Its links stay: a virtual environment's python is one.
    return os.path.abspath(expand(name))  # noqa: PTH100 - resolve() would follow the link
