"""Plays a tape's file from the stage to the result."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from textual.app import App

from spice_engine.protocol.location import Location
from spice_engine.records import record
from spice_tui.tape.commands import (
    Command,
    Env,
    InvalidTape,
    Output,
    Require,
    Run,
    Screenshot,
    Tape,
)
from spice_tui.tape.frame import PatternMask
from spice_tui.tape.loading import BEFORE_THE_SCREEN, load_tape
from spice_tui.tape.player import Player, StepFailed, run_before
from spice_tui.tape.results import Failure, TapeResult
from spice_tui.tape.settings_line import TapeSettings, gather
from spice_tui.tape.snapshots import Snapshots
from spice_tui.tape.stage import Stage, open_stage
from spice_tui.tape.stillness import still

MakeApp = Callable[[Stage, TapeSettings], App[Any]]
BETWEEN_SCREENS = "\n" + "─" * 40 + "\n"


@record
class Options:
    """How to play: `snapshots` is the folder of all tapes' snapshots (default: beside the tape);
    `live` the folder that `Set Engine live` means; `only` one screenshot's name."""

    update: bool = False
    snapshots: Path | None = None
    only: str = ""
    keep: bool = False
    live: Location | None = None


DEFAULT = Options()


def play_file(path: Path, make_app: MakeApp, options: Options = DEFAULT) -> TapeResult:
    """What comes of a tape.

    Raises:
        SpiceError: the tape cannot be read, or its stage cannot be prepared.
    """
    tape = load_tape(path)
    settings = gather(tape.commands)
    _check_programs(tape)
    folder = (options.snapshots or path.parent / "snapshots") / path.stem
    snapshots = Snapshots(folder, options.update, options.only)
    with (
        still(moment=settings.clock),
        open_stage(settings.engine, path.parent, live=options.live, keep=options.keep) as stage,
    ):
        return asyncio.run(_play(tape, settings, stage, snapshots, make_app, options))


def _check_programs(tape: Tape) -> None:
    for command in tape.commands:
        if isinstance(command, Require) and shutil.which(command.program) is None:
            raise InvalidTape(
                f"the tape needs {command.program!r}, which is not on this machine.",
                hint="Install it.",
                place=command.place,
            )


async def _play(
    tape: Tape,
    settings: TapeSettings,
    stage: Stage,
    snapshots: Snapshots,
    make_app: MakeApp,
    options: Options,
) -> TapeResult:
    failed: Failure | None = None
    player: Player | None = None
    try:
        commands = await _before(tape, stage)
        app = make_app(stage, settings)
        app.animation_level = "none"
        player = Player(
            app,
            snapshots,
            f"spice-tui {stage.name}",
            stage.location.root,
            _own_masks(stage),
            len(tape.commands) - len(commands),
        )
        await _on_screen(player, tape, settings, commands)
    except StepFailed as error:
        place = error.place
        failed = Failure(place.line, place.column, error.message, error.screen, place.file)
    else:
        names = [one.name for one in tape.commands if isinstance(one, Screenshot)]
        snapshots.left_over(names)
    kept = str(stage.location.root.parent) if options.keep and stage.temporary else ""
    steps = player.steps if player is not None else 0
    return TapeResult(tape.file, steps, tuple(snapshots.taken.values()), failed, kept)


def _own_masks(stage: Stage) -> list[PatternMask]:
    """Over what differs with every play: the folder's path, and moments of these days."""
    now = datetime.now(UTC)
    days = "|".join(f"{now + timedelta(days=shift):%Y-%m-%d}" for shift in (-1, 0, 1))
    root = re.escape(str(stage.location.root))
    return [
        PatternMask(re.compile(root), f"~/{stage.name}"),
        PatternMask(re.compile(f"({days})T[0-9:.]+Z?"), "2026-01-01T12:00:00.000Z"),
        PatternMask(re.compile(f"({days}) [0-9][0-9:.]+"), "2026-01-01 12:00:00"),
    ]


async def _on_screen(
    player: Player, tape: Tape, settings: TapeSettings, commands: list[Command]
) -> None:
    """Open the screen, play the commands, close it.

    Raises:
        StepFailed: a command did not come true, or the app broke.
    """
    app = player.app
    try:
        size = (settings.width, settings.height)
        async with app.run_test(size=size, notifications=True) as pilot:
            await player.play(pilot, commands)
            await _outputs(tape, player)
    except Exception as error:
        if error is not app._exception:
            raise
        broken = f"the app broke: {type(error).__name__}: {error}"
        raise StepFailed(broken, player.place, "") from error


async def _before(tape: Tape, stage: Stage) -> list[Command]:
    """Prepare the folder as the commands before the first key say; gives all others."""
    left: list[Command] = []
    opened = False
    for command in tape.commands:
        opened = opened or not isinstance(command, BEFORE_THE_SCREEN)
        if opened or not isinstance(command, Env | Run):
            left.append(command)
        elif isinstance(command, Env):
            os.environ[command.name] = command.value
        else:
            await run_before(command, stage.location.root)
    return left


async def _outputs(tape: Tape, player: Player) -> None:
    base = Path(tape.file).parent
    for command in tape.commands:
        if isinstance(command, Output) and not player.snapshots.only:
            path = base / command.path
            if path.suffix == ".svg":
                frame = await player.still_frame()
                player.snapshots.output(path, frame.svg(player.title))
            else:
                player.snapshots.output(path, BETWEEN_SCREENS.join(player.screens))
