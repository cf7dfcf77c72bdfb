"""More observations than fit into one answer come whole, in parts."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

from tests.conftest import EngineFixture, wait_for

ROWS = 120_000
MANIFEST = f"""\
name: many
params: {{epoch_time: 1600000000, period: {ROWS}s, interval: 1h, granularity: 10m}}
dataspaces:
  - from: host
    name: cpu
    measurements: [{{name: load}}]
    data:
      connector: {{name: file, params: {{path: data/many.csv}}}}
      processor: {{name: csv}}
actions: [{{name: wait}}, {{name: work}}]
"""


def test_all_rows_come_over_http_and_the_command_line(engine: EngineFixture) -> None:
    root = engine.location.root
    (root / "data").mkdir()
    (root / "spicepods").mkdir()
    lines = [f"{1_600_000_000 + row},{row % 7}" for row in range(ROWS)]
    (root / "data" / "many.csv").write_text("time,load\n" + "\n".join(lines) + "\n")
    (root / "spicepods" / "many.yaml").write_text(MANIFEST)
    engine.start()
    with engine.client() as client:
        wait_for(lambda: client.call("pods.list")["pods"], "the pod")
        wait_for(lambda: client.call("pods.get", {"pod": "many"})["state"] == "ready", "training")
    url = f"{engine.location.http.read_text().strip()}/api/v0.1/pods/many/observations"
    with urllib.request.urlopen(url) as reply:
        table = reply.read().decode().splitlines()
    assert table[0] == "time,host.cpu.load,tags"
    assert [line.split(",")[0] for line in table[1:]] == [line.split(",")[0] for line in lines]
    asked = urllib.request.Request(url, headers={"Accept": "application/json"})
    with urllib.request.urlopen(asked) as reply:
        found = json.load(reply)
    assert [row["time"] for row in found] == [1_600_000_000 + row for row in range(ROWS)]
    command = [sys.executable, "-m", "spice_tui.cli.main", "-C", str(root), "observations", "many"]
    printed = subprocess.run([*command, "--json"], capture_output=True, check=True).stdout
    assert json.loads(printed) == found
