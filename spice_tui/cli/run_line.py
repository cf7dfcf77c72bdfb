"""How `run` reads its command line: options end at the command, but may follow a quoted line.

`run python train.py --epochs 3` passes `--epochs 3` on. `run "python train.py" --name try`, a
form from Spell's days, means the run's own option: a quoted line is a whole command already.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class LineCommand(TyperCommand):
    """The `run` command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        left = super().parse_args(ctx, args)
        command: list[str] = ctx.params.get("command") or []
        before = given[: len(given) - len(command)]
        if (
            len(command) > 1
            and command[1].startswith("-")
            and any(character.isspace() for character in command[0])
            and "--" not in before
        ):
            ctx.params.clear()
            return super().parse_args(ctx, [*before, *command[1:], "--", command[0]])
        return left
