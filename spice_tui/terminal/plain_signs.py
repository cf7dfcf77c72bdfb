"""Text for terminals that know ASCII only: each sign becomes one that is like it.

The app's own drawings have ASCII forms (`theme/symbols.py`). This is the last net, for frames and
bars of Textual and for what people write in their pods: nothing else leaves the program.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len

_SIGNS = {
    "-": "─━┄┅┈┉╌╍═╴╶╸╺⎺⎻⎼⎽\u2013—\u2212\u2010\u2011▔▁▂▃",
    "|": "│┃┆┇┊┋╎╏║╵╷╹╻▏▎▍▌▐▕▊▉",
    "+": "┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┞┟┠┡┢┣┤┥┦┧┨┩┪┫┬┭┮┯┰┱┲┳┴┵┶┷┸┹┺┻┼┽┾┿╀╁╂╃╄╅╆╇╈╉╊╋╔╗╚╝╠╣╦╩╬╭╮╯╰✓",
    "#": "█▇▆▅▄▀■▓▒◼",
    ".": "░·•…∙⋅",
    "*": "●◆★◉",
    "o": "○◇☆◎",
    ">": "▶▸►→\u203a»⏵",
    "<": "◀◂◄←\u2039«⏴",
    "^": "▲▴↑△",
    "v": "▼▾↓▽",
    "x": "✗✘✕\u00d7",
    "'": "\u2018\u2019\u2032",
    '"': "“”″",
    " ": "\u00a0\u2007\u202f\u2800",
}
_LIKE = {sign: plain for plain, signs in _SIGNS.items() for sign in signs}


def plain(text: str) -> str:
    """The text in ASCII; it takes as many cells as before."""
    return text if text.isascii() else "".join(map(_plain_sign, text))


@lru_cache(4096)
def _plain_sign(sign: str) -> str:
    if sign.isascii():
        return sign
    if sign in _LIKE:
        return _LIKE[sign]
    width = cell_len(sign)
    base = unicodedata.normalize("NFKD", sign)[0]
    if base.isascii() and base.isprintable() and width == 1:
        return base  # é is an e with something on it
    return "?" * width
