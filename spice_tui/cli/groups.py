"""A command that has commands of its own, such as `pods`."""

from __future__ import annotations

import typer


def group(summary: str) -> typer.Typer:
    """A group of commands; `summary` is what its help begins with."""
    app = typer.Typer(
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
