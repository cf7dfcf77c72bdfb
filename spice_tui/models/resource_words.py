"""What stands beside the tree of resources about the chosen one, and what is copied of it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from spice_engine.units import format_size
from spice_tui.models import details
from spice_tui.models.moments import moment

if TYPE_CHECKING:
    from spice_engine.protocol.resources import ResourceInfo, ResourceSize, ResourceText

SHOWN_LINES = 200
ROOTS = {
    "runs": "What each run left, by its number.",
    "uploads": "What U or spice-tui upload took in.",
    "models": "The versions of models.",
    "public": "Folders of this machine that runs may see: public in spice.config.yaml.",
}


def about(one: ResourceInfo, begins: ResourceText | None, size: ResourceSize | None) -> str:
    """Everything about an entry of the tree; what a file begins with, and a folder's size, where
    they are known."""
    holds = ""
    if size is not None:
        holds = f"{size.files:,} file{'' if size.files == 1 else 's'}, {format_size(size.bytes)}"
    text = details.lines(
        (
            ("path", one.path),
            ("kind", one.kind),
            ("size", format_size(one.size) if one.size is not None else ""),
            ("holds", holds),
            ("changed", moment(one.modified) if one.modified else ""),
            ("link to", one.link_target),
            ("", one.info or ROOTS.get(one.path)),
        )
    )
    if "/" in one.path:
        text += f"\n\n{mount_option(one.path)}\n:create-model NAME {one.path}"
    if begins is not None:
        text += f"\n\n{_beginning(begins)}"
    return text


def _beginning(seen: ResourceText) -> str:
    if seen.binary:
        return "It is no text."
    lines = seen.text.splitlines()
    shown = "\n".join(lines[:SHOWN_LINES])
    more = len(lines) > SHOWN_LINES or seen.size > len(seen.text.encode())
    return f"{shown}\n…" if more else shown


def mount_option(path: str) -> str:
    """The option of `run` that shows a resource to a run."""
    return f"-m {shlex.quote(path.rstrip('/'))}"
