"""The options of whatever starts a command: where, with what, on what, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, values
from spice_tui.cli.dependency_options import dependencies_of
from spice_tui.cli.light import option
from spice_tui.cli.session import Session, expand
from spice_tui.client import Client

Text = str | None
Texts = list[str] | None

RUN: dict[str, Any] = {
    "name": Annotated[Text, typer.Option("--name", metavar="NAME", help="A name to find it by.")],
    "cwd": Annotated[
        Text,
        typer.Option("--cwd", metavar="DIR", help="Where it runs; default: here, in the folder."),
    ],
    "env": Annotated[
        Texts,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Environment variable; repeat."),
    ],
    "label": Annotated[
        Texts, typer.Option("--label", "-l", metavar="LABEL", help="Label; repeat.")
    ],
    "project": Annotated[
        Text,
        typer.Option(
            "--project",
            "-p",
            metavar="NAME",
            help="The project it is in; asks to make one that is missing.",
            autocompletion=completion.projects,
        ),
    ],
    "force": Annotated[bool | None, typer.Option("--force", "-f", help="Do not ask: go on.")],
    "timeout": Annotated[
        Text,
        typer.Option(
            "--timeout", metavar="TIME", help="Stop it after this long: 90s, 2h; bare: minutes."
        ),
    ],
    "cpu": Annotated[float | None, typer.Option("--cpu", metavar="CORES", help="CPU limit.")],
    "memory": Annotated[
        Text, typer.Option("--memory", metavar="SIZE", help="Memory limit: 512M, 2G.")
    ],
    "machine_type": Annotated[
        Text,
        typer.Option(
            "--machine-type",
            "-t",
            metavar="NAME",
            help="What it runs on; it waits until one is free. Default: cpu.",
            autocompletion=completion.machine_types,
        ),
    ],
    "mount": Annotated[
        Texts,
        typer.Option(
            "--mount",
            "-m",
            metavar="RESOURCE[:PATH]",
            help="Show a resource, read-only, at a path in its folder or from / on; repeat.",
        ),
    ],
    "description": Annotated[
        Text, typer.Option("--description", "-d", metavar="TEXT", help="A note.")
    ],
    "distributed": Annotated[
        Text,
        typer.Option(
            "--distributed",
            metavar="N",
            help="Start it N times at once, with the variables of torchrun, each on a machine of "
            "the type; the outputs of rank 0 are kept.",
        ),
    ],
}

_AS_THEY_ARE = {
    "name": "name",
    "label": "labels",
    "cpu": "cpu",
    "mount": "mounts",
    "description": "description",
}


def options(*names: str) -> dict[str, Any]:
    """Some of the options."""
    return {name: RUN[name] for name in names}


def asked_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options and those of an environment ask for, by the fields of a request to start a
    run; those that were not given are left out.

    Raises:
        typer.BadParameter, InvalidSettings: one cannot be used.
    """
    found = {field: given[name] for name, field in _AS_THEY_ARE.items() if name in given}
    if "env" in given:
        found["env"] = dict(variable(item) for item in given["env"])
    readers = {"timeout": values.minutes, "memory": values.size, "distributed": ranks}
    for name, read in readers.items():
        if given.get(name):
            found[name] = option(given[name], read, f"--{name}")
    if needed := dependencies_of(given):
        found["dependencies"] = needed
    return found


def chosen_of(client: Client, given: Mapping[str, Any]) -> dict[str, Any]:
    """The same of what the engine has: the machine type, and the project, which is made where it is
    missing and a person says yes.

    Raises:
        typer.BadParameter: there is no such machine type.
        InvalidRequest: the project is missing, and nobody can be asked.
        typer.Abort: they said no.
    """
    found: dict[str, Any] = {}
    if given.get("machine_type"):
        from spice_tui.cli import machine_type

        found["machine_type"] = machine_type.chosen(client, given["machine_type"])
    if given.get("project"):
        from spice_tui.cli import project

        force = bool(given.get("force"))
        found["project"] = project.chosen(client, given["project"], force=force)
    return found


def ranks(text: str) -> int:
    """A number of ranks.

    Raises:
        ValueError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no number of ranks: 1 or more.")
    return int(text)


def variable(text: str) -> tuple[str, str]:
    """`KEY=VALUE`, or `KEY` for an empty value."""
    key, _, value = text.partition("=")
    if not key:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--env")
    return key, value


def working_directory(session: Session, wanted: str) -> str:
    """The directory the run starts in, as an absolute path."""
    here = Path.cwd()
    if wanted:
        path = (here / expand(wanted)).resolve()
        if not path.is_dir():
            raise typer.BadParameter(f"{wanted!r} is not a directory.", param_hint="--cwd")
        return str(path)
    root = session.location.root
    return str(here.resolve() if here.resolve().is_relative_to(root) else root)
