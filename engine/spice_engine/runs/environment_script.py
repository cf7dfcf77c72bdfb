"""The shell script that makes one Python environment with uv, and why it failed, from its log."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from spice_engine.errors import SpiceError

VENV = "venv"
LOCK = "packages.txt"
REQUIREMENTS = "requirements.txt"
NO_PYTHON, NOT_INSTALLED, NO_LOCK, SETUP_FAILED = 81, 82, 83, 84
"""Exit codes of the script; of setup command `n` (from 0) it is `SETUP_FAILED + n`."""

MAX_SETUP = 40
_LAST_LINES = 12
_LAST_CHARACTERS = 1500
_COLORS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_EXACT = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w.,\s-]*\])?\s*===?\s*[\w.!+-]+$")
_NETWORK = re.compile(
    r"error sending request|dns error|\(Connect\)|connection (refused|reset|closed)|timed out|"
    r"Failed to fetch|network was disabled|certificate",
    re.IGNORECASE,
)


class EnvironmentFailed(SpiceError):
    """A Python environment cannot be made; the message holds what uv or the command said."""

    code = "environment_failed"
    http_status = 422
    exit_code = 11


def script(
    uv: str, python: str, root: Path, folder: Path, *, packages: bool, exact: bool, setup: list[str]
) -> str:
    """Makes `folder`/venv of `python` (a version or an interpreter), with what
    `folder`/requirements.txt names, and writes what is in it then to `folder`/packages.txt.

    `exact`: everything asked for has its version, so what uv has in its cache is good enough,
    and the index is asked only for what is missing. Otherwise the cache is for when the index
    cannot be reached. `root` is the folder in which setup commands and relative paths begin.
    """
    command, venv = shlex.quote(uv), shlex.quote(str(folder / VENV))
    make = f"{command} venv --quiet --no-project --python {shlex.quote(python)}"
    lines = [
        f"cd {shlex.quote(str(root))} || exit {NO_PYTHON}",
        # Setup commands like to call pip; nothing else needs it.
        *([f"{make} --seed {venv} >/dev/null 2>&1 ||"] if setup else []),
        f"{make} --clear {venv} || exit {NO_PYTHON}",
    ]
    if packages:
        wanted = shlex.quote(str(folder / REQUIREMENTS))
        install = f"{command} pip install --python {venv} --requirements {wanted}"
        offline = f"{install} --offline >/dev/null 2>&1"
        both = f"{offline} || {install}" if exact else f"{install} || {offline}"
        lines.append(f"{both} || exit {NOT_INSTALLED}")
    if setup:
        lines.append(f"VIRTUAL_ENV={venv}; PATH={venv}/bin:$PATH; export VIRTUAL_ENV PATH")
    for index, line in enumerate(setup):
        lines.append(f"printf '%s\\n' {shlex.quote('+ ' + line)}")
        lines.append(f"/bin/sh -c {shlex.quote(line)} || exit {SETUP_FAILED + index}")
    lock = shlex.quote(str(folder / LOCK))
    lines.append(f"{command} pip freeze --quiet --python {venv} > {lock} || exit {NO_LOCK}")
    return "\n".join([*lines, ""])


def all_exact(requirements: Iterable[str]) -> bool:
    """Whether each line (comments apart) names a package and one version of it."""
    plain = (line.partition(" #")[0].strip() for line in requirements)
    return all(_EXACT.match(line) for line in plain if line and not line.startswith("#"))


def failure(code: int, log: str, setup: list[str], log_file: Path) -> EnvironmentFailed:
    """What went wrong, from the script's exit code and the end of its log."""
    text = _CREDENTIALS.sub("***@", _COLORS.sub("", log)).rstrip()
    where = f"The whole log: {log_file}."
    if 0 <= (index := code - SETUP_FAILED) < len(setup):
        said = _last(text.splitlines())
        return EnvironmentFailed(
            f"the setup command {setup[index]!r} failed{': ' + said if said else '.'}", hint=where
        )
    said = _last(_reason(text.splitlines()))
    if code == NO_PYTHON and _NETWORK.search(said):
        return EnvironmentFailed(
            "this machine does not have that Python, and uv cannot download it: "
            f"{said.rpartition('cause:')[2].strip()}.",
            hint=f"Name a version that is here, or the path of an interpreter. {where}",
        )
    if code == NO_PYTHON:
        return EnvironmentFailed(
            f"there is no Python for this environment: {said}",
            hint=f"Name a version that uv can find, or the path of an interpreter. {where}",
        )
    if _NETWORK.search(said):
        return EnvironmentFailed(
            f"no package index can be reached: {said}",
            hint="Check the network, and the index that pip's or uv's configuration names. "
            f"What was installed once needs neither. {where}",
        )
    if "was not found in the" in said:
        hint = "Check the name, and which index has it."
    elif "No solution found" in said:
        hint = "Ask for versions that exist and that go together."
    elif "parse" in said:
        hint = "A package is asked for as NAME, NAME==VERSION or NAME>=VERSION."
    else:
        hint = ""
    return EnvironmentFailed(
        f"the packages cannot be installed: {said or f'uv ended with {code}.'}",
        hint=f"{hint} {where}".strip(),
    )


def _reason(lines: list[str]) -> list[str]:
    """From uv's first line of trouble on; all of it where there is none."""
    for index, line in enumerate(lines):
        if line.lstrip().startswith(("error:", "\N{MULTIPLICATION SIGN}")):
            return lines[index:]
    return lines


def _last(lines: list[str]) -> str:
    """The last lines as one paragraph, without uv's own advice."""
    kept = (line.strip().removeprefix("error:").strip() for line in lines)
    told = [line for line in kept if line and not line.startswith("hint:")]
    return " ".join(told[-_LAST_LINES:])[-_LAST_CHARACTERS:]
