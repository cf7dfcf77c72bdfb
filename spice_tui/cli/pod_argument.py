"""The argument that names a pod."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_tui.cli import completion

PodArgument = Annotated[
    str, typer.Argument(metavar="POD", help="Name of the pod.", autocompletion=completion.pods)
]
