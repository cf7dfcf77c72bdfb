"""What activating a conda environment sets: variables of its packages, and what their scripts set.

Found once, when the environment is made; who runs in it gets the variables, and no script runs.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

VARIABLES, SCRIPT = "activation.json", "activation.sh"
_OF_THE_SHELL = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "BASH_FUNC_conda%%"})
_PRINT = "\nprintf '\\0'; env -0"
"""What a script itself prints stands before the first zero byte."""


def note(folder: Path, prefix: Path) -> None:
    """Find what activating `prefix` sets, and write it into `folder`: as JSON, and for a shell.

    A script that fails sets what it had set by then, as it does with conda.

    Raises:
        OSError: it cannot be written.
    """
    before = {
        **os.environ,
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": str(prefix),
        "PATH": os.pathsep.join([str(prefix / "bin"), os.environ.get("PATH", os.defpath)]),
    }
    found = _of_packages(prefix)
    if scripts := sorted((prefix / "etc" / "conda" / "activate.d").glob("*.sh")):
        found |= _of_scripts(scripts, before | found)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
    lines = [f"{line}:$PATH" if line.startswith("export PATH=") else line for line in lines]
    (folder / SCRIPT).write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / VARIABLES).write_text(json.dumps(found), encoding="utf-8")


def read(folder: Path) -> dict[str, str]:
    """What was found; empty where nothing was. `PATH` is what goes before that. Blocks."""
    with suppress(FileNotFoundError):
        return cast("dict[str, str]", json.loads((folder / VARIABLES).read_bytes()))
    return {}


def activated(variables: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Variables with what `read` found; its `PATH` goes before theirs."""
    if more := found.get("PATH"):
        found = {**found, "PATH": os.pathsep.join([more, variables.get("PATH", os.defpath)])}
    return {**variables, **found}


def _of_packages(prefix: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted((prefix / "etc" / "conda" / "env_vars.d").glob("*.json")):
        with suppress(ValueError):
            data: Any = json.loads(file.read_bytes())
            found |= {str(name): str(value) for name, value in dict(data).items()}
    return {name: value for name, value in found.items() if name.isidentifier()}


def _of_scripts(scripts: list[Path], before: Mapping[str, str]) -> dict[str, str]:
    # Most are written for bash, though any shell is meant.
    shell = shutil.which("bash") or "/bin/sh"
    text = "".join(f". {shlex.quote(str(script))}\n" for script in scripts)
    done = subprocess.run(
        [shell, "-c", text + _PRINT],
        env=dict(before),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    said, _, rest = done.stdout.partition(b"\0")
    print(said.decode("utf-8", "replace"), end="", flush=True)  # noqa: T201 - into the log
    pairs = (os.fsdecode(item).partition("=") for item in rest.split(b"\0"))
    after = {name: value for name, _, value in pairs if name.isidentifier()}
    path, old = after.pop("PATH", ""), f"{os.pathsep}{before['PATH']}"
    if path.endswith(old):
        after["PATH"] = path.removesuffix(old)
    return {
        name: value
        for name, value in after.items()
        if name not in _OF_THE_SHELL and before.get(name) != value
    }
