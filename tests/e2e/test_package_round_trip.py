"""A trained pod leaves one engine as a file and serves on another; versions are gone back to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e


def pod(engine: EngineFixture, name: str = "serverops") -> dict[str, Any]:
    with engine.client() as client:
        found: dict[str, Any] = client.call("pods.get", {"pod": name})
        return found


def test_a_pod_travels_and_goes_back(
    engine: EngineFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    engine.start()
    engine.call("packages.add", reference="samples/serverops")
    wait_for(lambda: pod(engine)["state"] == "ready", "the pod to be trained")
    engine.call("pods.train", pod="serverops", wait=True)
    assert pod(engine)["policy_version"] == 2
    engine.call("pods.rollback", pod="serverops")
    assert pod(engine)["policy_version"] == 1
    with engine.client() as client:
        answer = client.call("pods.recommend", {"pod": "serverops"})
        exported = client.call("pods.export", {"pod": "serverops"})
    assert answer["policy_version"] == exported["policy_version"] == 1

    data = (engine.location.root / exported["path"]).read_bytes()
    (tmp_path / "other").mkdir()
    other = EngineFixture(tmp_path / "other")
    other.start()
    try:
        other.call("packages.add", reference="samples/serverops")
        wait_for(lambda: pod(other)["state"] == "ready", "the other pod to be trained")
        with other.client() as client:
            imported = client.call(
                "pods.import", {"data": data, "alias": "prod", "overwrite": True}
            )
            again = client.call("pods.recommend", {"pod": "serverops", "alias": "prod"})
        assert imported["policy_version"] == 2
        assert (again["action"], again["confidence"]) == (answer["action"], answer["confidence"])
        assert pod(other)["policy_version"] == 2
    finally:
        other.stop()
