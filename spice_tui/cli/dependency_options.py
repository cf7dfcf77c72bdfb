"""The options that say what an environment holds, for whatever gets one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidSettings
from spice_tui.cli import server_files

Text = str | None
Texts = list[str] | None
Flag = bool | None

DEPENDENCIES: dict[str, Any] = {
    "pip": Annotated[Texts, typer.Option("--pip", metavar="PKG", help="Python package; repeat.")],
    "pip_req": Annotated[
        Text,
        typer.Option(
            "--pip-req", metavar="FILE", help="Python packages, as pip's requirements file."
        ),
    ],
    "deps_from_env": Annotated[
        Flag,
        typer.Option(
            "--deps-from-env", help="The packages of the virtual environment that is active."
        ),
    ],
    "python": Annotated[
        Text,
        typer.Option(
            "--python",
            metavar="VERSION|PATH",
            help="The interpreter: a version such as 3.12, or the path of one that is used as it "
            "is.",
        ),
    ],
    "setup": Annotated[
        Texts,
        typer.Option(
            "--setup", metavar="CMD", help="Command that completes the environment, once; repeat."
        ),
    ],
    "conda_file": Annotated[
        Text, typer.Option("--conda-file", metavar="FILE", help="Not there yet.", hidden=True)
    ],
    "apt": Annotated[
        Texts, typer.Option("--apt", metavar="PKG", help="Not there yet.", hidden=True)
    ],
}


def dependencies_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options ask for, by the fields of an environment's dependencies.

    Raises:
        InvalidSettings: a file cannot be used, or two options exclude each other.
    """
    found = {name: given[name] for name in ("pip", "setup", "apt") if given.get(name)}
    if given.get("conda_file"):
        for other, flag in (("pip_req", "--pip-req"), ("deps_from_env", "--deps-from-env")):
            if given.get(other):
                raise InvalidSettings(f"--conda-file and {flag} exclude each other.")
        found["conda_file"] = server_files.text(given["conda_file"], "--conda-file")
    requirements = server_files.active_packages() if given.get("deps_from_env") else ""
    if given.get("pip_req"):
        requirements += server_files.requirements(given["pip_req"])
    if requirements:
        found["requirements"] = requirements
    if given.get("python"):
        found["python"] = server_files.interpreter(given["python"])
    return found
