"""Places that were made for mounts in the app folder itself: noted in the folder of the run that
has them, and removed when no run needs them. Everything blocks.

A place must not go while another run has a mount there: with it that run's mount would go.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

NOTE = "made.json"
"""In the folder of a run."""


def make(folder: Path, place: Path, *, is_folder: bool) -> None:
    """Make a place, with the folders on the way to it; `folder` is the run's.

    Raises:
        OSError: it cannot be made.
    """
    way = [place]
    while not os.path.lexists(way[-1].parent):
        way.append(way[-1].parent)
    _write(folder, {*_read(folder), *map(str, way)})
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir() if is_folder else place.touch()


def some(folder: Path) -> bool:
    """Whether places are left that were made for a run with this folder."""
    return (folder / NOTE).exists()


def clear(folder: Path, heirs: Mapping[str, Path]) -> None:
    """Remove what was made for a run with this folder, where it is empty. `heirs` are the folders
    of runs that go on, by the places of their mounts: these see to theirs."""
    left: dict[Path, set[str]] = {}
    for name in sorted(_read(folder), key=len, reverse=True):
        heir = next((heirs[place] for place in heirs if f"{place}/".startswith(f"{name}/")), None)
        if heir is not None:
            left.setdefault(heir, set()).add(name)
            continue
        with suppress(OSError):  # something was put into it, or it has gone
            place = Path(name)
            if place.is_dir():
                place.rmdir()
            elif not place.stat().st_size:
                place.unlink()
    with suppress(OSError):  # on a full disk they stay
        for heir, names in left.items():
            _write(heir, {*_read(heir), *names})
        (folder / NOTE).unlink(missing_ok=True)


def _read(folder: Path) -> list[str]:
    with suppress(OSError, ValueError):
        return [str(name) for name in json.loads((folder / NOTE).read_text(encoding="utf-8"))]
    return []


def _write(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{NOTE}.part"
    part.write_text(json.dumps(sorted(names)), encoding="utf-8")
    part.rename(folder / NOTE)
