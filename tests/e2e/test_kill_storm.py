"""A few rounds of the kill storm, whose hundred are `.ci/soak`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def test_nothing_acknowledged_is_lost_when_the_engine_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    monkeypatch.setattr(sys, "path", [str(REPOSITORY / "bench"), *sys.path])
    import kill_storm

    folder = tmp_path / "app"
    folder.mkdir()
    figures = await kill_storm.storm_over(folder, rounds=3, seed=3)
    assert figures["wrong"] == []
    assert figures["labels"] > 30
    assert figures["runs"] > 3
