"""What lies in the folder of an environment, and how it goes."""

from __future__ import annotations

from pathlib import Path

from spice_engine.runs import environment_folder as folders
from spice_engine.runs.systems import LAYER
from tests.unit.test_kept_files import folder  # a fixture

__all__ = ["folder"]


def test_what_is_closed_to_its_owner_goes_too(folder: Path) -> None:
    def closed(*names: str) -> Path:
        place = folder.joinpath("0" * 16, "attempt", *names)
        (place / "in").mkdir(parents=True)
        place.chmod(0)
        return place

    failed = closed(LAYER, "root", "spare", "work")
    folders.empty(failed.parents[3])
    assert not failed.parents[2].exists()
    closed("venv", "share")
    folders.write_ready(folder / ("0" * 16), folder / ("0" * 16) / "attempt", 1.0, {})
    assert folders.prune(folder, (), 0.0) == ["0" * 16]
    assert not list(folder.iterdir())
