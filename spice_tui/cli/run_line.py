"""How `run` reads its command line: options end at the command, but may follow a quoted line.

`run python train.py --epochs 3` passes `--epochs 3` on. `run "python train.py" --name try`, a
form from Spell's days, means the run's own option: a quoted line is a whole command already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand


class LineCommand(TyperCommand):
    """A command that ends in another program's command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.arranged(ctx, args))

    def arranged(self, ctx: Any, args: Sequence[str]) -> list[str]:
        """The same with options that follow a quoted line before it."""
        given = list(args)
        parser: Any = self.make_parser(ctx)
        command: Sequence[str] = parser.parse_args(args=list(given))[0].get("command") or ()
        before = given[: len(given) - len(command)]
        if (
            len(command) > 1
            and command[1].startswith("-")
            and any(character.isspace() for character in command[0])
            and "--" not in before
        ):
            return [*before, *command[1:], "--", command[0]]
        return given
