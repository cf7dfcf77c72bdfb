"""The public door of a whole engine: TLS made by the doctor, events, and state kept elsewhere."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from spice_engine.errors import InvalidSettings
from spice_tui.launch import start_engine
from tests.conftest import EngineFixture

pytestmark = pytest.mark.e2e


def test_the_doctors_pair_serves_https(engine: EngineFixture):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    root = engine.location.root
    doctor = [sys.executable, "-I", "-m", "spice_engine.doctor", str(root), "--make-tls", "--json"]
    done = subprocess.run(doctor, capture_output=True, text=True, check=True)
    tls = next(item for item in json.loads(done.stdout)["findings"] if item["name"] == "tls")
    assert "tls-cert.pem" in tls["advice"]
    assert not list(root.glob("*.pem"))
    lines = "tls_cert: .spice/tls-cert.pem\ntls_key: .spice/tls-key.pem\n"
    (root / "spice.config.yaml").write_text(lines)
    answer = engine.start()
    assert str(answer["http"]).startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=str(engine.location.state / "tls-cert.pem"))
    with urllib.request.urlopen(f"{answer['http']}/health", context=context) as reply:
        assert reply.read() == b"ok"


def test_an_open_address_without_tls_is_refused_unless_it_is_said(engine: EngineFixture):
    with pytest.raises(InvalidSettings, match="tls_cert"):
        start_engine(engine.location, ["--http-port", "0", "--http-host", "0.0.0.0"])
    engine.start("--http-host", "0.0.0.0", "--insecure")
    assert engine.call("engine.status")["http"].startswith("http://")


async def test_events_come_over_the_websocket(engine: EngineFixture):
    base = engine.start()["http"]
    token = engine.location.token.read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.ws_connect(f"{base}/api/v1/events") as socket:
            assert (await socket.receive_json(timeout=10))["kind"] == "welcome"
            await socket.send_json({"subscribe": "runs", "id": 1})
            assert (await socket.receive_json(timeout=10))["data"] == {}
            url = f"{base}/api/v1/runs"
            async with session.post(url, json={"command": "exit 3"}) as reply:
                run = str((await reply.json())["id"])
            states: list[str] = []
            while not states or states[-1] != "complete":
                event = await socket.receive_json(timeout=10)
                assert event["kind"] == "delta"
                states.append(event["data"]["set"][run]["state"])
        async with session.ws_connect(f"{base}/api/v1/events", headers=headers) as socket:
            await socket.receive_json(timeout=10)
            await socket.send_json({"subscribe": "nonsense", "id": 1})
            assert (await socket.receive_json(timeout=10))["kind"] == "error"
    assert states[0] == "requested"
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(f"{base}/api/v1/events", origin="https://evil.example")


def test_state_can_live_elsewhere(
    engine: EngineFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SPICE_STATE_DIR", str(tmp_path / "elsewhere"))
    moved = EngineFixture(engine.location.root)
    moved.start()
    assert moved.call("engine.status")["state_folder"].startswith(str(tmp_path / "elsewhere"))
    assert not (engine.location.root / ".spice").exists()
    moved.stop()
