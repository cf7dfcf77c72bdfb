"""Reads `Set NAME VALUE`, and gathers what a tape sets."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import get_args

from spice_engine.errors import Place
from spice_engine.records import record
from spice_tui.tape.commands import (
    SETTINGS,
    Command,
    Engine,
    EngineKind,
    InvalidTape,
    Set,
)
from spice_tui.tape.line import Line

WIDTH = (20, 500)
HEIGHT = (5, 200)
_KINDS: tuple[EngineKind, ...] = get_args(EngineKind)
_FROM, _UNTIL = 0.0, datetime(3000, 1, 1, tzinfo=UTC).timestamp()

NO_ENGINE = Engine("none")


@record
class TapeSettings:
    """What a tape sets before its first key."""

    width: int = 120
    height: int = 40
    theme: str = ""
    engine: Engine = NO_ENGINE
    clock: float | None = None


def gather(commands: Iterable[Command]) -> TapeSettings:
    """The settings of a tape; the last of a name counts."""
    found: dict[str, object] = {}
    names = TapeSettings.__dataclass_fields__
    for command in commands:
        if isinstance(command, Set) and command.name.lower() in names:
            found[command.name.lower()] = command.value
    return TapeSettings(**found)  # type: ignore[arg-type] - each was read as its setting's type


def read_setting(line: Line, start: Place) -> Set:
    """What stands after `Set`.

    Raises:
        InvalidTape: there is no such setting, or it cannot have this value.
    """
    name, place = line.word("a setting's name")
    value: int | float | str | Engine
    match name:
        case "Width":
            value = line.number_between(*WIDTH, "a width")
        case "Height":
            value = line.number_between(*HEIGHT, "a height")
        case "Theme":
            value = line.text_or_word("a theme's name")[0]
        case "Engine":
            value = _engine(line)
        case "Clock":
            value = _moment(*line.word("a time"))
        case "Timeout" | "TypingSpeed":
            value = line.time_of(*line.word("a time"))
        case _:
            near = get_close_matches(name.title(), SETTINGS, n=1)
            known = ", ".join(SETTINGS)
            raise InvalidTape(
                f"there is no setting {name[:40]!r}.",
                hint=f"Did you mean {near[0]}?" if near else f"There are {known}.",
                place=place,
            )
    return Set(name, value, place=start)


def _engine(line: Line) -> Engine:
    word, place = line.word("a kind of engine")
    kind: EngineKind | None = next((kind for kind in _KINDS if kind == word), None)
    if kind is None:
        near = get_close_matches(word, _KINDS, n=1)
        raise InvalidTape(
            f"there is no kind of engine {word[:40]!r}.",
            hint=f"Did you mean {near[0]}?" if near else f"It is {', '.join(_KINDS)}.",
            place=place,
        )
    if kind == "live" or kind == "none" or kind == "empty":  # noqa: PLR1714 - narrows the type
        return Engine(kind)
    return Engine(kind, line.text_or_word("a path or name")[0])


def _moment(text: str, place: Place) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = moment.timestamp() if moment is not None else math.nan
    if not _FROM <= seconds < _UNTIL:
        raise InvalidTape(
            f"{text[:40]!r} is no time since 1970.",
            hint="Write it as 2026-01-01T00:00:00Z.",
            place=place,
        )
    return seconds
