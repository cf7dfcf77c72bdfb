"""Every tape of the repository plays as it says, and its screens are those that are stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_tui.tape.play import Options, play_file
from spice_tui.tape.screen import make_app

ROOT = Path(__file__).parent.parent.parent
TAPES = sorted((ROOT / "tapes").glob("*.tape"))
SCREENS = Options(snapshots=ROOT / "snapshots")


def test_there_are_tapes() -> None:
    assert len(TAPES) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("tape", TAPES, ids=lambda path: path.stem)
def test_a_tape_plays_and_shows_the_stored_screens(tape: Path) -> None:
    """Screens that differ on purpose: spice-tui play -u --snapshots snapshots tapes/*.tape."""
    result = play_file(tape, make_app, SCREENS)
    assert result.failed is None, f"{result.failed.message}\n{result.failed.screen}"
    differences = [
        f"{shot.name}: {shot.status}\n{shot.difference}"
        for shot in result.screenshots
        if shot.status != "same"
    ]
    assert not differences, "\n\n".join(differences)
