"""The themes: Textual's own, one for people who see colours differently, and a person's files.

A file `themes/NAME.toml` in the configuration folder holds the fields of a theme:

    primary = "#0072B2"
    background = "#101010"
    dark = true
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidSettings
from spice_tui.models.keymap import config_home

if TYPE_CHECKING:
    from textual.app import App
    from textual.theme import Theme

DEFAULT = "spice"
COLOUR_BLIND = "spice-colour-blind"
ANSI = "ansi-dark"


def themes_folder() -> Path:
    """Where a person's themes are looked for."""
    return config_home() / "themes"


def own_themes() -> list[Theme]:
    """The product's own themes. The second uses colours of Okabe and Ito only."""
    from textual.theme import Theme

    return [
        Theme(
            DEFAULT,
            primary="#D9822B",
            secondary="#4FA3A5",
            accent="#E9B44C",
            warning="#E9B44C",
            error="#D64550",
            success="#5FA55A",
            foreground="#D8D6D0",
            background="#16161A",
            surface="#16161A",
            panel="#24242B",
            dark=True,
        ),
        Theme(
            "spice-light",
            primary="#A8570B",
            secondary="#1B6F72",
            accent="#8A5A00",
            warning="#8A5A00",
            error="#B3202C",
            success="#2F6F2B",
            foreground="#202024",
            background="#FBFAF7",
            surface="#FBFAF7",
            panel="#E8E5DD",
            dark=False,
        ),
        Theme(
            COLOUR_BLIND,
            primary="#56B4E9",
            secondary="#CC79A7",
            accent="#F0E442",
            warning="#E69F00",
            error="#D55E00",
            success="#0072B2",
            foreground="#E0E0E0",
            background="#121212",
            surface="#121212",
            panel="#262626",
            dark=True,
        ),
    ]


def read_theme(path: Path) -> Theme:
    """A person's theme.

    Raises:
        InvalidSettings: the file is no TOML, or holds something that is no part of a theme.
    """
    import tomllib

    from textual.color import Color, ColorParseError
    from textual.theme import Theme

    try:
        data: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSettings(f"{path} is no theme: {error}.") from error
    known = {field.name for field in fields(Theme)} - {"name"}
    for key, value in data.items():
        if key not in known:
            raise InvalidSettings(f"{path}: a theme has no {key!r}.", hint=f"{sorted(known)}")
        if isinstance(value, str):
            try:
                Color.parse(value)
            except ColorParseError as error:
                raise InvalidSettings(f"{path}: {key}: {error}") from error
    try:
        return Theme(name=path.stem, **data)
    except TypeError as error:
        raise InvalidSettings(
            f"{path} is no theme: {error}.", hint="It needs `primary`."
        ) from error


def register_themes(app: App[Any]) -> None:
    """Make our themes known to the app."""
    for theme in own_themes():
        app.register_theme(theme)
