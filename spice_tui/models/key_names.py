"""How keys are written for people: `ctrl+p` as `^p`, `question_mark` as `?`."""

from __future__ import annotations

_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "minus": "-",
    "full_stop": ".",
    "comma": ",",
    "apostrophe": "'",
    "greater_than_sign": ">",
    "less_than_sign": "<",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "plus": "+",
    "equals_sign": "=",
    "underscore": "_",
    "dollar_sign": "$",
    "circumflex_accent": "^",
    "percent_sign": "%",
    "number_sign": "#",
    "asterisk": "*",
    "exclamation_mark": "!",
    "vertical_line": "|",
    "tilde": "~",
    "ampersand": "&",
    "at": "@",
    "semicolon": ";",
    "escape": "esc",
    "space": "space",
    "pageup": "pgup",
    "pagedown": "pgdn",
}


def key_name(key: str) -> str:
    """One of Textual's names of keys as people write it."""
    *modifiers, last = key.split("+")
    text = _NAMES.get(last, last)
    if len(text) > 1 and text[0] == "f" and text[1:].isdecimal():
        text = text.upper()
    prefix = "".join("^" if name == "ctrl" else f"{name}+" for name in modifiers)
    return prefix + text


def is_order(key: str) -> bool:
    """Whether a key is an order everywhere: pressed with ctrl or alt, or a function key."""
    first = key.partition("+")[0]
    return first in ("ctrl", "alt") or (key[:1] == "f" and key[1:].isdecimal())
