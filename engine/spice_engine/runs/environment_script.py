"""The shell script that makes one environment with uv and rattler."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from spice_engine.errors import SpiceError
from spice_engine.records import record
from spice_engine.runs import conda_activation

VENV = "venv"
LOCK = "packages.txt"
PYTHON = "python.txt"
REQUIREMENTS = "requirements.txt"
LOCKED = "locked.txt"
CONDA = "conda.json"
CONDA_LOCK = "conda-lock.json"
NO_APT, NO_IMAGE, NO_CONDA, NO_PYTHON, NOT_INSTALLED, NO_LOCK, SETUP_FAILED = range(78, 85)
"""Exit codes of the scripts; of setup command `n` (from 0) it is `SETUP_FAILED + n`."""

MAX_SETUP = 40
_EXACT = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w.,\s-]*\])?\s*===?\s*[\w.!+-]+$")


class EnvironmentFailed(SpiceError):
    """A Python environment cannot be made; the message holds what uv or the command said."""

    code = "environment_failed"
    http_status = 422
    exit_code = 11


@record
class Plan:
    """What a script makes `folder`/venv of: `python` (a version or an interpreter; none if empty),
    or, with `conda`, what `folder`/conda.json asks for.

    `locked`: the packages that `folder`/locked.txt names, and nothing they need, for that is named
    as well. `packages`: those of `folder`/requirements.txt. `exact`: everything asked for has its
    version, so what uv has in its cache is good enough, and the index is asked only for what is
    missing. Otherwise the cache is for when the index cannot be reached. `fresh`: options for those
    that uv must not take from its cache. `root` is the folder in
    which setup commands and relative paths begin.
    """

    uv: str
    root: Path
    folder: Path
    python: str = ""
    conda: bool = False
    locked: bool = False
    packages: bool = False
    exact: bool = False
    fresh: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()


def script(plan: Plan) -> str:
    """The script of a plan; what is in the environment then it writes to `folder`/packages.txt."""
    uv, folder = shlex.quote(plan.uv), plan.folder
    venv = shlex.quote(str(folder / VENV))
    lines = [
        leaving_nothing(folder / VENV),
        f"cd {shlex.quote(str(plan.root))} || exit {NO_PYTHON}",
        *_environment(plan, uv, venv),
    ]
    if plan.locked:
        install = _install(uv, venv, folder / LOCKED, exact=True, more=" --no-deps")
        lines.append(f"{install} || exit {NOT_INSTALLED}")
    if plan.packages:
        more = "".join(f" {shlex.quote(option)}" for option in plan.fresh)
        install = _install(uv, venv, folder / REQUIREMENTS, exact=plan.exact, more=more)
        lines.append(f"{install} || exit {NOT_INSTALLED}")
    if plan.setup:
        name = "CONDA_PREFIX" if plan.conda else "VIRTUAL_ENV"
        lines.append(f"{name}={venv}; PATH={venv}/bin:$PATH; export {name} PATH")
        if plan.conda:
            lines.append(f". {shlex.quote(str(folder / conda_activation.SCRIPT))}")
    for index, line in enumerate(plan.setup):
        lines.append(f"printf '%s\\n' {shlex.quote('+ ' + line)}")
        lines.append(f"/bin/sh -c {shlex.quote(line)} || exit {SETUP_FAILED + index}")
    lock, version = (shlex.quote(str(folder / name)) for name in (LOCK, PYTHON))
    # Isolated: what setup commands left in the folder must not be found by it.
    ask = "import platform; print(platform.python_version())"
    lines += [
        f": > {lock}; : > {version}",
        f"if [ -e {venv}/bin/python ]; then",
        f"{uv} pip freeze --quiet --python {venv} > {lock} || exit {NO_LOCK}",
        f"{venv}/bin/python -I -S -c '{ask}' > {version} || exit {NO_LOCK}",
        "fi",
    ]
    return "\n".join([*lines, ""])


def leaving_nothing(made: Path, code: str = "$code") -> str:
    """The line of a script that has it remove what it made when it fails: on a full disk not even
    its end could be noted otherwise. It ends with `code` then."""
    # A function, for a path in quotes does not go into the quotes of a trap.
    gone = f"rm -rf {shlex.quote(str(made))}; exit {code}"
    return f"leave() {{ code=$?; [ $code = 0 ] || {{ {gone}; }}; }}; trap leave EXIT"


def _environment(plan: Plan, uv: str, venv: str) -> list[str]:
    if plan.conda:
        words = [sys.executable, "-I", "-m", "spice_engine.runs.conda_make", str(plan.folder)]
        return [f"{shlex.join(words)} || exit {NO_CONDA}"]
    if not plan.python:
        return []
    make = f"{uv} venv --quiet --no-project --clear --python {shlex.quote(plan.python)}"
    pip = f"{uv} pip install --quiet --python {venv} pip"
    return [
        f"{make} {venv} || exit {NO_PYTHON}",
        # Or `pip` would be that of the machine, and install there. Where none can be had it goes
        # without; uv's own `--seed` brings setuptools, too, which would hide that it is missing.
        f"{pip} --offline >/dev/null 2>&1 || {pip} >/dev/null 2>&1",
    ]


def _install(uv: str, venv: str, wanted: Path, *, exact: bool, more: str = "") -> str:
    file = shlex.quote(str(wanted))
    install = f"{uv} pip install{more} --python {venv} --requirements {file}"
    offline = f"{install} --offline >/dev/null 2>&1"
    return f"{{ {offline} || {install}; }}" if exact else f"{{ {install} || {offline}; }}"


def all_exact(requirements: Iterable[str]) -> bool:
    """Whether each line (comments apart) names a package and one version of it."""
    plain = (line.partition(" #")[0].strip() for line in requirements)
    return all(_EXACT.match(line) for line in plain if line and not line.startswith("#"))
