"""What a command sees of the environment it runs in: all of it, to change for itself alone.

Others run in the same one, and its files are those of uv's and rattler's caches: who writes into
one would change it for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spice_runtime import views

_OWN = "environment"


def own_environment(
    python: Path, beside: Path, ways: Mapping[str, bool]
) -> tuple[Mapping[str, str], ...]:
    """The view of the environment that has this interpreter; what a command changes in it goes to
    `beside`. Where there are no overlays it is read-only, and as it is where there are no mounts.
    """
    folder = str(python.parent.parent)
    if ways[views.OVERLAY]:
        return (views.system(folder, [folder], str(beside / _OWN), []),)
    return (views.bind(folder, folder),) if ways[views.BIND] else ()
