"""Who makes models and projects: the user whose engine it is."""

from __future__ import annotations

import getpass
import os


def creator() -> str:
    """The user's name; their number where they have no name, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
