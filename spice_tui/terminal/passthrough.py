"""Orders for the outer terminal, through the multiplexer in between."""

from __future__ import annotations

from spice_tui.terminal.abilities import Abilities

_PART = 240
"""Bytes of one passed-through string; GNU screen's limit is 256 in old versions."""


def wrap(order: str, abilities: Abilities) -> str:
    """`order` as it has to be written here, so that the terminal outside gets it."""
    if abilities.tmux:  # reaches it where `allow-passthrough` is on
        return "\x1bPtmux;" + order.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if abilities.screen:
        parts = [order[at : at + _PART] for at in range(0, len(order), _PART)]
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return order
