"""A person's own keys: a TOML file that gives actions other keys, and a report of clashes.

[keys]
"table.sort" = "o"
"app.help" = ["f1", "ctrl+g"]
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from spice_engine.errors import InvalidSettings, Place
from spice_tui.actions import table


def config_home() -> Path:
    """The folder of a person's keymap and themes (XDG base directory specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "spice-tui"


def keymap_file() -> Path:
    """Where the keymap is looked for."""
    return config_home() / "keys.toml"


def load_keymap(path: Path) -> dict[str, tuple[str, ...]]:
    """The keys of actions that the file changes; empty when there is no file.

    Raises:
        InvalidSettings: it is no TOML, or names an action that there is not.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{path} cannot be read: {error}.") from error
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"{path} is no TOML: {error}.") from error
    keys: Any = data.get("keys", {})
    if not isinstance(keys, dict):
        raise InvalidSettings(f"{path}: [keys] must be a table of action = key.")
    return {name: _keys(path, text, name, value) for name, value in keys.items()}


def _keys(path: Path, text: str, name: str, value: Any) -> tuple[str, ...]:
    starts = (f'"{name}"', f"'{name}'", name)
    rows = enumerate(text.splitlines(), 1)
    line = next((i for i, row in rows if row.strip().startswith(starts)), 0)
    place = Place(str(path), line, 1 if line else 0)
    known = table()
    if isinstance(value, dict) and (inner := next(iter(cast("dict[str, Any]", value)), "")):
        # In TOML a dot outside quotation marks means a table within a table.
        raise InvalidSettings(
            f"{name} is no action.", hint=f'Write "{name}.{inner}" in quotation marks.', place=place
        )
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "docs/keys.md lists all actions."
        raise InvalidSettings(f"there is no action {name!r}.", hint=hint, place=place)
    keys = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    if not keys or not all(isinstance(key, str) and key for key in keys):
        raise InvalidSettings(f"{name!r}: a key or a list of keys is wanted.", place=place)
    return keys


def keys_of(changed: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The keys of every action, as changed."""
    return {name: changed.get(name, action.keys) for name, action in table().items()}


def clashes(keys: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Sentences about keys that two actions of one place have; those of `app` are everywhere."""
    users: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, held in keys.items():
        for key in held:
            users[name.partition(".")[0], key].append(name)
    return [
        f"{key} is the key of {_and(names)}: the first wins."
        for (_, key), names in sorted(users.items())
        if len(names) > 1
    ]


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"
