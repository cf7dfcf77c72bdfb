"""Calls for a person who looks elsewhere: the bell, and a desktop notification (OSC 9)."""

from __future__ import annotations

import re
from typing import Literal

from spice_tui.terminal.abilities import Abilities
from spice_tui.terminal.passthrough import wrap

Notices = Literal["off", "bell", "desktop"]
"""What the user wants; "desktop" rings the bell as well."""

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]+")
_LONGEST = 200


def notice(text: str, abilities: Abilities, wanted: Notices = "desktop") -> str:
    """What to write to the terminal to call the person; empty when notices are off."""
    if wanted == "off":
        return ""
    bell = "\x07"
    if wanted == "bell" or abilities.simple:
        return bell
    clean = _CONTROLS.sub(" ", text).strip()[:_LONGEST]
    # A number and a semicolon at the start are other orders of OSC 9 (progress bars).
    if re.match(r"\d+;", clean):
        clean = f"spice-tui: {clean}"
    return bell + wrap(f"\x1b]9;{clean}\x07", abilities)
