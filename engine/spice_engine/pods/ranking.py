"""Which of many names fits best what somebody has typed of one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spice_engine.protocol.authoring import Completion

MAX_SHOWN = 100
_PARTS = re.compile(r"[A-Za-z0-9]+")


def rank(name: str, typed: str) -> int | None:
    """How well a name fits, 0 being best; None where it does not.

    The whole name first, then its beginning, the beginning of a part of it, a stretch of it, and
    last the letters in their order.
    """
    name, typed = name.lower(), typed.lower()
    if name == typed:
        return 0
    if name.startswith(typed):
        return 1
    at = name.find(typed)
    if at > 0:
        return 2 if not name[at - 1].isalnum() else 3
    if all(part[:1] for part in typed) and _initials(name).startswith(typed):
        return 4
    return 5 if _in_order(name, typed) else None


def best(found: Iterable[Completion], typed: str) -> list[Completion]:
    """Those that fit, best first and otherwise in their order; each label once, MAX_SHOWN at most.

    Of the same label the first is kept.
    """
    ranked: dict[tuple[str, str], tuple[int, Completion]] = {}
    for one in found:
        key = (one.label, one.insert)
        place = 1 if not typed else rank(one.label, typed)
        if place is not None and key not in ranked:
            ranked[key] = (place, one)
    ordered = sorted(ranked.values(), key=lambda pair: pair[0])
    return [one for _, one in ordered[:MAX_SHOWN]]


def _initials(name: str) -> str:
    return "".join(part[0] for part in _PARTS.findall(name))


def _in_order(name: str, typed: str) -> bool:
    letters = iter(name)
    return all(letter in letters for letter in typed)
