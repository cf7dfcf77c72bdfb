"""A command that has commands of its own, such as `pods`."""

from __future__ import annotations

import typer

from spice_tui.cli.lazy import Entry, TableGroup


def group(
    summary: str,
    table: dict[str, Entry] | None = None,
    *,
    kind: type[TableGroup] | None = None,
) -> typer.Typer:
    """A group of commands; `summary` is what its help begins with.

    With a `table` its commands are imported when they are used; `kind` is a group that has one.
    """
    if table is not None:
        kind = type("Group", (TableGroup,), {"table": table})
    app = typer.Typer(
        cls=kind,
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # Without a callback, typer would take a group's only command for the group itself.
    app.callback()(_nothing)
    return app


def _nothing() -> None:
    pass
