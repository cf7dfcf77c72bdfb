"""What a tape can say: its commands as frozen data, and the table that describes each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from spice_engine.errors import Place, SpiceError

VERSION = 1
"""Of the format; a tape may begin with `# spice-tui tape 1`."""

Scope = Literal["screen", "line"]
EngineKind = Literal["live", "none", "empty", "recording", "sample", "fixture"]

KEYS: dict[str, str] = {
    name: name.lower()
    for name in (
        *("Enter", "Tab", "Space", "Backspace", "Delete", "Insert", "Escape"),
        *("Up", "Down", "Left", "Right", "PageUp", "PageDown", "Home", "End"),
        *(f"F{number}" for number in range(1, 13)),
    )
}
"""Names of keys in tapes, and what the screen calls them."""

MODIFIERS = ("Alt", "Ctrl", "Shift")


class InvalidTape(SpiceError):
    """A tape that cannot be read, or says something that cannot be done."""

    code = "invalid_tape"
    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something a tape says; where it stands does not make it another command."""

    place: Place = field(default=Place(""), compare=False)


@dataclass(frozen=True, slots=True)
class Press(Command):
    """Press a key: one of `KEYS` or a single character, with `modifiers` held."""

    key: str
    modifiers: tuple[str, ...] = ()
    times: int = 1
    pause_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Type(Command):
    """Type a text, character by character."""

    text: str
    pause_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Wait(Command):
    """Wait until the pattern is on the screen, at most `timeout_ms`."""

    pattern: str
    scope: Scope = "screen"
    timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Expect(Command):
    """The pattern is on the screen now; `negated`: it is not."""

    pattern: str
    scope: Scope = "screen"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Sleep(Command):
    """Let time pass."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class Screenshot(Command):
    """Compare the screen with the snapshot of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Output(Command):
    """A file beside the snapshots: `.svg` is the last screen, `.txt` all screens."""

    path: str


@dataclass(frozen=True, slots=True)
class Engine:
    """Which engine a tape plays against; `argument` is a path or a sample's name."""

    kind: EngineKind
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Set(Command):
    """A setting of the whole tape; `value` is in the setting's own unit (see `SETTINGS`)."""

    name: str
    value: int | float | str | Engine


@dataclass(frozen=True, slots=True)
class Mask(Command):
    """In pictures taken from here on, write `replacement` over what matches."""

    pattern: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Env(Command):
    """Set an environment variable while the tape plays."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Source(Command):
    """Play another tape's commands here."""

    path: str


@dataclass(frozen=True, slots=True)
class Hide(Command):
    """Leave the screens from here on out of `Output`."""


@dataclass(frozen=True, slots=True)
class Show(Command):
    """Put screens into `Output` again."""


@dataclass(frozen=True, slots=True)
class Require(Command):
    """The tape needs this program."""

    program: str


@dataclass(frozen=True, slots=True)
class Resize(Command):
    """Give the terminal another size, in cells."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Run(Command):
    """Run a command line of spice-tui in the folder; it must end with `exit_code`."""

    line: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Tape:
    """A parsed tape."""

    commands: tuple[Command, ...]
    version: int = VERSION
    file: str = field(default="", compare=False)

    suffix: ClassVar[str] = ".tape"


@dataclass(frozen=True, slots=True)
class Form:
    """How a command is written, for messages and the reference."""

    usage: str
    help: str


FORMS: dict[str, Form] = {
    "Type": Form('Type[@PAUSE] "text"', "Types the text, character by character."),
    **{
        name: Form(f"{name}[@PAUSE] [TIMES]", "Presses the key, once or several times.")
        for name in KEYS
    },
    **{
        name: Form(f"{name}+KEY[@PAUSE] [TIMES]", "Presses a key with this one held.")
        for name in MODIFIERS
    },
    "Wait": Form(
        "Wait[+Screen|+Line][@TIMEOUT] /regex/",
        "Waits until the screen, or the line of the text cursor, matches.",
    ),
    "Expect": Form(
        "Expect[!][+Screen|+Line] /regex/",
        "Fails unless the screen matches now; with `!`, fails if it does.",
    ),
    "Sleep": Form("Sleep TIME", "Lets time pass: `500ms`, `2s`."),
    "Screenshot": Form("Screenshot NAME", "Compares the screen with a stored snapshot."),
    "Output": Form(
        "Output PATH",
        "One more file, relative to the tape: `.svg` holds the last screen, `.txt` all that "
        "were waited for or taken.",
    ),
    "Set": Form("Set NAME VALUE", "A setting; see below."),
    "Mask": Form('Mask /regex/ "text"', "Writes the text over what differs from run to run."),
    "Env": Form('Env NAME "value"', "Sets an environment variable while the tape plays."),
    "Source": Form("Source PATH", "Plays another tape's commands here; relative to this tape."),
    "Hide": Form("Hide", "Leaves the screens that follow out of `Output`."),
    "Show": Form("Show", "Puts them in again."),
    "Require": Form("Require PROGRAM", "Refuses to play where this program is missing."),
    "Resize": Form("Resize WIDTH HEIGHT", "Gives the terminal another size."),
    "Run": Form(
        'Run "spice-tui …" [EXIT CODE]',
        "Runs a command line in the folder. Before the first key it prepares the folder.",
    ),
}

SETTINGS: dict[str, Form] = {
    "Width": Form("Set Width 120", "Columns of the terminal, 20 to 500; default 120."),
    "Height": Form("Set Height 40", "Rows of the terminal, 5 to 200; default 40."),
    "Theme": Form("Set Theme NAME", "Colours of the screen."),
    "Engine": Form(
        "Set Engine live|none|empty|recording PATH|sample NAME|fixture DIR",
        "What the screen attaches to: the engine of the folder on the command line; no engine; "
        "one of a new folder that is empty, has a sample, or is a copy; a recorded stream. "
        "Default: none.",
    ),
    "Clock": Form("Set Clock 2026-01-01T00:00:00Z", "The time that the screen shows, stopped."),
    "Timeout": Form("Set Timeout 10s", "How long `Wait` waits; default 10 s."),
    "TypingSpeed": Form("Set TypingSpeed 0ms", "Pause after each typed character; default 0."),
}

ANYWHERE = frozenset({"Timeout", "TypingSpeed"})
"""Settings that may change while a tape plays; all others stand before the first key."""
