"""What the commands about node groups and machine types share: pools of this machine, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from spice_engine.errors import Conflict, NotFound
from spice_engine.records import record
from spice_tui.cli import output, values
from spice_tui.cli.light import option
from spice_tui.cli.session import session_of


@record
class Kind:
    """A kind of pools: how people and commands call it, its operations, and how it is shown."""

    words: str
    command: str
    operations: str
    key: str
    show: Callable[[list[dict[str, Any]]], None]
    same: Callable[[str], str] = str
    """A name as it is known: some are the same in any case of letters."""


def set_pool(
    ctx: typer.Context,
    kind: Kind,
    name: str,
    memory: str,
    sizes: dict[str, Any],
    *,
    new: bool,
    json: bool,
) -> None:
    """Make a pool, or change one that there is, and show it.

    Raises:
        Conflict: a new one is there already.
        NotFound: one that is to change is not there.
    """
    request = {
        "name": name,
        "memory": option(memory, values.size, "--memory") if memory else None,
        **sizes,
    }
    with session_of(ctx).connect(make=True) as client:
        known = {one["name"] for one in client.call(f"{kind.operations}.list")[kind.key]}
        if new and kind.same(name) in known:
            raise Conflict(
                f"there is a {kind.words} {name!r} already.",
                hint=f"Change it: spice-tui {kind.command} scale {name}.",
            )
        if not new and kind.same(name) not in known:
            raise NotFound(
                f"there is no {kind.words} {name!r}.",
                hint=f"There are: {', '.join(sorted(known))}.",
            )
        made = client.call(f"{kind.operations}.set", request)
    if json:
        output.as_json(made)
    else:
        kind.show([made])
