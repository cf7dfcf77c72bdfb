"""The Grafana dashboard asks for figures that an engine with a server really tells."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from spice_tui.cli.main import main
from tests.conftest import REPOSITORY, EngineFixture

DASHBOARD = REPOSITORY / "docs" / "grafana" / "spice-tui-servers.json"
_METRIC = re.compile(r"\bspice_[a-z0-9_]+")
_LABELS = re.compile(r"(?:by \(([^)]*)\)|\{\{(\w+)\}\}|(\w+)=~)")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text())


@pytest.fixture(scope="module")
def samples(shared_engine: EngineFixture) -> str:
    """What `/metrics` tells once a batching server has answered."""
    script = (REPOSITORY / "tapes" / "fixtures" / "doubler" / "serve.py").read_text()
    batched = "        return [{'product': one['x'] * 2} for one in payload]\n"
    script = script[: script.index("        return ")] + batched
    script = script.replace("payload: dict[str, float]) -> dict[str, float]", "payload)")
    (shared_engine.location.root / "serve.py").write_text(script)
    definition = {"name": "doubler", "entrypoint": "serve.py", "batching": {"enabled": True}}
    with shared_engine.client() as client:
        info = client.call("servers.serve", {"definition": definition, "wait": True}, timeout=60)
        assert info["state"] == "running", info["message"]
        answer = client.call("servers.predict", {"server": "doubler", "payload": {"x": 21}})
        assert json.loads(answer["body"]) == {"product": 42}
    with urllib.request.urlopen(f"{shared_engine.http}/metrics", timeout=10) as response:
        return response.read().decode()


def expressions(dashboard: dict[str, Any]) -> list[str]:
    found = [one["expr"] for panel in dashboard["panels"] for one in panel["targets"]]
    variables = dashboard["templating"]["list"]
    return [*found, *(one["definition"] for one in variables if one["type"] == "query")]


def test_each_figure_is_told_with_the_labels_that_are_asked_for(
    dashboard: dict[str, Any], samples: str
) -> None:
    lines = [line for line in samples.splitlines() if line and not line.startswith("#")]
    told: dict[str, set[str]] = {}
    for line in lines:
        name = re.split(r"[{ ]", line, maxsplit=1)[0]
        told.setdefault(name, set()).update(re.findall(r'(\w+)="', line))
    for expression in expressions(dashboard):
        names = _METRIC.findall(expression)
        assert names, expression
        for name in names:
            assert name in told, f"{name} is not told: {expression}"
            asked = {
                label.strip()
                for groups in _LABELS.findall(expression)
                for label in ",".join(groups).split(",")
                if label.strip()
            }
            assert asked <= told[name] | {"le"}, (expression, told[name])


def test_panels_do_not_lie_on_each_other(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_command_writes_the_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["server", "grafana"]) == 0
    written = tmp_path / DASHBOARD.name
    assert written.read_text() == DASHBOARD.read_text()
    assert main(["server", "grafana"]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["server", "grafana", "--force"]) == 0
    capsys.readouterr()
    assert main(["server", "grafana", "--output", "-"]) == 0
    assert capsys.readouterr().out == DASHBOARD.read_text()
