"""The options that say what an environment holds, for whatever gets one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidSettings
from spice_tui.cli import output, server_files
from spice_tui.client import Client

Text = str | None
Texts = list[str] | None
Flag = bool | None

DEPENDENCIES: dict[str, Any] = {
    # Scripts of Spell's first years have it.
    "framework": Annotated[Text, typer.Option("--framework", hidden=True)],
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
    "conda": Annotated[
        Texts, typer.Option("--conda", metavar="PKG", help="Conda package; repeat.")
    ],
    "conda_file": Annotated[
        Text,
        typer.Option("--conda-file", metavar="FILE", help="Packages, as conda's environment.yml."),
    ],
    "conda_channel": Annotated[
        Texts,
        typer.Option(
            "--conda-channel",
            metavar="CHANNEL",
            help="Where conda's packages come from: a name or an address; repeat.",
        ),
    ],
    "apt": Annotated[
        Texts,
        typer.Option("--apt", metavar="PKG[=VER]", help="Package of the system; repeat."),
    ],
    "image": Annotated[
        Text,
        typer.Option(
            "--from",
            "--docker-image",
            "--docker_image",
            metavar="IMAGE",
            help="The system it runs in: a folder or tar file with a root file system, or an image "
            "of podman's.",
        ),
    ],
    "env_lock": Annotated[
        Text,
        typer.Option(
            "--env-lock",
            metavar="FILE",
            help="An environment as it once was, from what `env lock` wrote.",
        ),
    ],
}


ENV_OF: dict[str, Any] = {
    "env_of": Annotated[
        Text,
        typer.Option(
            "--env-of", metavar="RUN", help="The environment of that run, made again from its lock."
        ),
    ],
}


def lock_of(client: Client, given: Mapping[str, Any]) -> dict[str, Any]:
    """The dependencies of `--env-of`; empty without it.

    Raises:
        InvalidSettings: something else is asked for as well.
        NotFound: there is no such run, or it had no environment of its own.
    """
    run = given.get("env_of")
    if not run:
        return {}
    other = next((name for name in DEPENDENCIES if given.get(name)), "")
    if other:
        raise InvalidSettings(f"--env-of and {_flag(other)} exclude each other.")
    return {"dependencies": {"lock": client.call("environments.show", {"name": run})["lock"]}}


def dependencies_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options ask for, by the fields of an environment's dependencies.

    Raises:
        InvalidSettings: a file cannot be used, or two options exclude each other.
    """
    _check(given)
    if given.get("framework"):
        output.error_line(
            "--framework chose one of Spell's images; here it changes nothing. "
            "Name what it needs: --pip, --conda, or a system with --from."
        )
    found = {name: given[name] for name in ("pip", "setup", "apt", "conda") if given.get(name)}
    if "pip" in found:
        found["pip"] = [server_files.local(name) for name in found["pip"]]
    if "apt" in found:
        found["apt"] = [server_files.local(name) for name in found["apt"]]
    if given.get("conda_channel"):
        found["channels"] = given["conda_channel"]
    if given.get("conda_file"):
        found["conda_file"] = server_files.text(given["conda_file"], "--conda-file")
    requirements = ""
    if given.get("deps_from_env"):
        if server_files.active_conda():
            found["conda_file"] = server_files.conda_packages()
        else:
            requirements = server_files.active_packages()
    if given.get("pip_req"):
        requirements += server_files.requirements(given["pip_req"])
    if requirements:
        found["requirements"] = requirements
    if given.get("python"):
        found["python"] = server_files.interpreter(given["python"])
    if given.get("image"):
        found["image"] = server_files.image(given["image"])
    if given.get("env_lock"):
        found["lock"] = server_files.text(given["env_lock"], "--env-lock")
    return found


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what excludes each other, as Spell does.

    Raises:
        InvalidSettings: with both names.
    """
    conda = [name for name in ("conda_file", "conda") if given.get(name)]
    pairs = [(one, other) for one in conda for other in ("pip_req", "deps_from_env", "image")]
    if given.get("deps_from_env") and server_files.active_conda():
        pairs += [("deps_from_env", other) for other in ("pip", "pip_req", "image")]
    if given.get("env_lock"):
        pairs += [("env_lock", other) for other in DEPENDENCIES if other != "env_lock"]
    for one, other in pairs:
        if given.get(other):
            raise InvalidSettings(f"{_flag(one)} and {_flag(other)} exclude each other.")


def _flag(name: str) -> str:
    return "--from" if name == "image" else f"--{name.replace('_', '-')}"
