"""Recommendations over HTTP: 64 clients, one request in ten for a random time, by wrk.

    python bench/recommendations.py --cases DIR [--seconds 8] [--rounds 3] [--json FILE]

Beside them in the same run the smallest answer the door has (`/health`), which is what the HTTP
library itself can do on this machine. Needs wrk (`apt install wrk`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pods import engine, until_ready

from spice_tui.client import Client

LUA = """\
math.randomseed({seed})
local base = "{path}"
request = function()
  if math.random() < 0.1 then
    return wrk.format("GET", base .. "?time=" .. math.random({first}, {last}))
  end
  return wrk.format("GET", base)
end
"""
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def wrk(url: str, seconds: int, script: Path | None = None) -> dict[str, float]:
    """Requests a second and the 99th percentile in milliseconds."""
    command = ["wrk", "-t1", "-c64", f"-d{seconds}", "--latency"]
    if script is not None:
        command += ["-s", str(script)]
    text = subprocess.run([*command, url], stdout=subprocess.PIPE, text=True, check=True).stdout
    if "Non-2xx" in text:
        raise SystemExit(f"answers that are no 200:\n{text}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    late = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    assert rate is not None
    assert late is not None
    return {"per_s": float(rate[1]), "p99_ms": float(late[1]) * UNITS[late[2]]}


def measure(cases: Path, seconds: int, rounds: int) -> dict[str, Any]:
    """All rounds, the two kinds taking turns."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt install wrk")
    found: dict[str, list[dict[str, float]]] = {"recommendation": [], "health": []}
    with engine(cases, "gardener") as location, tempfile.TemporaryDirectory() as scratch:
        until_ready(location, "gardener")
        with Client(location) as client:
            newest = client.call("pods.recommend", {"pod": "gardener"})["end"]
        base = location.http.read_text().strip()
        path = "/api/v0.1/pods/gardener/recommendation"
        for number in range(rounds):
            script = Path(scratch) / "mix.lua"
            script.write_text(
                LUA.format(seed=number, path=path, first=newest - 20 * 86400, last=newest)
            )
            found["recommendation"].append(wrk(base, seconds, script))
            found["health"].append(wrk(f"{base}/health", seconds))
    return {
        kind: {
            name: round(statistics.median(one[name] for one in taken), 1)
            for name in ("per_s", "p99_ms")
        }
        for kind, taken in found.items()
    } | {"clients": 64, "random_times": "10 %", "rounds": rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=Path, default=os.environ.get("SPICE_CASES"))
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.cases is None:
        raise SystemExit("--cases DIR or SPICE_CASES names the folder with the fixed manifests.")
    figures = measure(Path(options.cases), options.seconds, options.rounds)
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
