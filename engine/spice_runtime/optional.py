"""Libraries that are used where the user's environment has them, and never needed."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def have(name: str) -> Any:
    """The module, imported now if it is there; None if the environment lacks it."""
    try:
        return import_module(name)
    except ImportError:
        return None


def loaded(name: str) -> Any:
    """The module if the user's code imported it; None otherwise: nothing is loaded for it."""
    return sys.modules.get(name)
