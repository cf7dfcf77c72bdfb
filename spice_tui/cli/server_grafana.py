"""`server grafana`: the dashboard of model servers that comes with the product, as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from spice_engine.errors import InvalidRequest, StorageError
from spice_tui.cli import output
from spice_tui.cli.session import expand

NAME = "spice-tui-servers.json"


def grafana(
    *,
    dest: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; -: standard output.")
    ] = NAME,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the file.")] = False,
) -> None:
    """Write a Grafana dashboard of all model servers, to be imported there.

    It reads what Prometheus collects from /metrics of the engine.
    """
    text = dashboard().read_text(encoding="utf-8")
    if dest == "-":
        sys.stdout.write(text)
        return
    path = expand(dest)
    if path.is_dir():
        path /= NAME
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidRequest(
            f"{path} exists.", hint="Replace it with -f, or name another: -o FILE."
        ) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from None
    output.line(f"Written to {output.safe(str(path))}.")
    output.line("Import it in Grafana: Dashboards, New, Import.")


def dashboard() -> Path:
    """Inside the installed package, or in the checkout of a development install."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_grafana"
    return (inside if inside.is_dir() else package.parent / "docs" / "grafana") / NAME
