"""The engine's end and renewal at the seams: settings, signals, and a folder that is removed."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time

import pytest

from spice_engine.errors import InvalidSettings, SpiceError
from tests.conftest import EngineFixture, _alive, wait_for

pytestmark = pytest.mark.e2e


def test_a_restart_into_wrong_settings_is_refused_and_the_engine_goes_on(engine: EngineFixture):
    pid = engine.start()["pid"]
    config = engine.location.root / "spice.config.yaml"
    config.write_text("http_port: many\n")
    with pytest.raises(InvalidSettings, match=r"spice\.config\.yaml:1:12"):
        engine.call("engine.restart")
    assert engine.call("engine.status")["pid"] == pid
    assert engine.call("engine.status")["draining"] is False


def test_a_restart_goes_to_the_port_that_is_set_by_now(
    engine: EngineFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SPICE_TUI_HTTP_PORT", raising=False)
    from spice_tui.launch import start_engine

    start_engine(engine.location)
    before = engine.call("engine.status")
    config = engine.location.root / "spice.config.yaml"
    config.write_text("http_host: 127.0.0.2\n")
    engine.call("engine.restart")

    def renewed() -> bool:
        try:
            return engine.call("engine.status")["started"] > before["started"]
        except SpiceError:
            return False  # the old one is stopping, or has hung up

    wait_for(renewed, "the next engine")
    assert engine.call("engine.status")["http"].startswith("http://127.0.0.2:")


def test_a_signal_during_a_restart_ends_the_engine(engine: EngineFixture):
    pid = int(str(engine.start()["pid"]))
    with engine.client() as client:
        client.call("engine.restart")
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not _alive(pid), "the engine to leave")
    assert not engine.location.socket.exists()


def test_an_engine_whose_state_was_removed_leaves_and_spares_the_next_one(engine: EngineFixture):
    first = int(str(engine.start()["pid"]))
    shutil.rmtree(engine.location.state)
    second = engine.start()["pid"]
    wait_for(lambda: not _alive(first), "the first engine to leave")
    time.sleep(0.2)
    assert engine.call("engine.status")["pid"] == second
    assert engine.location.http.exists()


def test_the_state_is_open_to_its_owner_alone(engine: EngineFixture):
    engine.start()
    assert stat.S_IMODE(engine.location.state.stat().st_mode) == 0o700
