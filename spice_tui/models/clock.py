"""What time it is, for what the screens show; tapes stop it so that pictures stay the same."""

from __future__ import annotations

import time

_frozen: float | None = None


def now() -> float:
    """Unix seconds."""
    return time.time() if _frozen is None else _frozen


def freeze(moment: float | None) -> None:
    """Let it be `moment` from now on; None lets time go on."""
    global _frozen
    _frozen = moment


def is_frozen() -> bool:
    """Whether time stands still."""
    return _frozen is not None
