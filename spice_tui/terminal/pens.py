"""Styles as a terminal knows them: attributes, two colours and a link, with short changes between.

A Rich style holds more than a terminal shows (meta data, ids). A `Pen` holds what it shows, and
there is one object for each look, so that cells compare by identity.
"""

from __future__ import annotations

from rich.color import Color, ColorSystem
from rich.style import Style

_SGR_ON = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "21", "51", "52", "53")
"""SGR parameter of each bit of Rich's attributes."""

_SGR_OFF = {0: "22", 1: "22", 2: "23", 3: "24", 4: "25", 6: "27", 8: "29"}
"""What ends an attribute, where terminals agree; others end by a reset."""

_SEEN_ON_BLANKS = 0b1111111111000
"""Attributes that show on a space: underlines, blinking, reverse, strike and frames."""

_MAX_STYLES = 8192


class Pen:
    """One look. `blank` is the pen whose spaces look the same as this one's."""

    __slots__ = ("attributes", "background", "blank", "colour", "link")

    def __init__(self, attributes: int, colour: str, background: str, link: str) -> None:
        self.attributes = attributes
        self.colour = colour
        self.background = background
        self.link = link
        self.blank = self

    @property
    def sgr(self) -> list[str]:
        """Parameters that make this look out of the terminal's plain one."""
        codes = [code for bit, code in enumerate(_SGR_ON) if self.attributes >> bit & 1]
        return codes + [code for code in (self.colour, self.background) if code]


class Pens:
    """All pens of one colour system; None draws attributes only."""

    def __init__(self, system: ColorSystem | None) -> None:
        self._system = system
        self._pens: dict[tuple[int, str, str, str], Pen] = {}
        self._of_style: dict[int, tuple[Style, Pen]] = {}
        self._of_look: dict[tuple[int, Color | None, Color | None, str], Pen] = {}
        self._changes: dict[tuple[Pen, Pen], str] = {}
        self.plain = self._pen(0, "", "", "")

    def of(self, style: Style | None) -> Pen:
        """The pen of a Rich style."""
        if style is None:
            return self.plain
        # By identity, for a style's hash and equality are slow. The style is kept, so that no
        # other object can have its identity.
        known = self._of_style.get(id(style))
        if known is not None:
            return known[1]
        # Styles with meta data (places for the mouse) are without number, pens are not.
        if len(self._of_style) >= _MAX_STYLES:
            self._of_style.clear()
        pen = self._encode(style)
        self._of_style[id(style)] = (style, pen)
        return pen

    def change(self, before: Pen, after: Pen) -> str:
        """The shortest text that turns one look into another."""
        key = (before, after)
        text = self._changes.get(key)
        if text is None:
            if len(self._changes) >= _MAX_STYLES:
                self._changes.clear()
            text = self._changes[key] = _change(before, after)
        return text

    def _encode(self, style: Style) -> Pen:
        # Rich gives a set of attributes by name only; Textual's own strips read these as well.
        attributes = style._attributes & style._set_attributes  # pyright: ignore[reportPrivateUsage]
        # Links have ids of their own, also where they lead to the same place.
        link = f"id={style.link_id};{style.link}" if style.link else ""
        key = (attributes, style.color, style.bgcolor, link)
        pen = self._of_look.get(key)
        if pen is None:
            if len(self._of_look) >= _MAX_STYLES:
                self._of_look.clear()
            colour = self._codes(style.color, foreground=True)
            background = self._codes(style.bgcolor, foreground=False)
            pen = self._of_look[key] = self._pen(attributes, colour, background, link)
        return pen

    def _codes(self, colour: Color | None, *, foreground: bool) -> str:
        if self._system is None or colour is None or colour.is_default:
            return ""
        return ";".join(colour.downgrade(self._system).get_ansi_codes(foreground))

    def _pen(self, attributes: int, colour: str, background: str, link: str) -> Pen:
        key = (attributes, colour, background, link)
        pen = self._pens.get(key)
        if pen is None:
            pen = self._pens[key] = Pen(*key)
            if not (attributes & _SEEN_ON_BLANKS or link) and (attributes or colour):
                pen.blank = self._pen(0, "", background, "")
        return pen


def _change(before: Pen, after: Pen) -> str:
    parts: list[str] = []
    if before.link != after.link:
        parts.append(f"\x1b]8;{after.link or ';'}\x1b\\")
    fresh = after.sgr
    ways = [_csi(["0", *fresh] if fresh else [""])]
    steps = _steps(before, after)
    if steps is not None:
        ways.append(_csi(steps) if steps else "")
    return "".join(parts) + min(ways, key=len)


def _steps(before: Pen, after: Pen) -> list[str] | None:
    """Parameters that change only what differs; None where only a reset is safe."""
    codes: list[str] = []
    gone = before.attributes & ~after.attributes
    new = after.attributes & ~before.attributes
    for bit in range(gone.bit_length()):
        if gone >> bit & 1:
            if bit not in _SGR_OFF:
                return None
            if _SGR_OFF[bit] not in codes:
                codes.append(_SGR_OFF[bit])
    if gone & 0b11:  # bold and dim end together: what stays is said again
        new |= after.attributes & 0b11
    if gone & 0b1000 and after.attributes & (1 << 9):  # so do single and double underline
        new |= 1 << 9
    codes += [code for bit, code in enumerate(_SGR_ON) if new >> bit & 1]
    if before.colour != after.colour:
        codes.append(after.colour or "39")
    if before.background != after.background:
        codes.append(after.background or "49")
    return codes


def _csi(codes: list[str]) -> str:
    return f"\x1b[{';'.join(codes)}m"
