"""What `.ci/soak` runs: every figure of the engine, and the kill storm.

    python bench/soak.py [--rounds 100] [--skip-quickstart]

Writes `docs/benchmarks/engine.json`, the figures as they came, and `engine.md`, the page made of
them. Exits 1 when the storm found anything wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "benchmarks"
Row = tuple[str, str, str]


def run(script: str, *arguments: str) -> dict[str, Any]:
    """The figures a script writes with `--json`."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "figures.json"
        command = [sys.executable, str(HERE / script), *arguments, "--json", str(path)]
        subprocess.run(command, check=True)
        return json.loads(path.read_text())


def storm(rounds: int, script: str = "kill_storm.py") -> dict[str, Any]:
    """A storm's figures; what is wrong is under `wrong`."""
    command = [sys.executable, str(HERE / script), "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    return json.loads(done.stdout[done.stdout.index("{") :])


def rows(figures: dict[str, Any]) -> list[Row]:
    """What was measured, the bar, and the figure."""
    save, doors = figures["first_pod"]["save"], figures["private_door"]
    children, writes = figures["children"], figures["group_commit"]
    words, idle, wild = figures["command_line"], figures["idle"], figures["kill_storm"]
    lag = children["loop_lag_ms"]
    table = [
        (
            "save of the manifest → new policy, warm trainer",
            "≤ 500 ms",
            f"{save['new_policy_ms']['median']} ms median, {save['new_policy_ms']['max']} max",
        ),
        (
            "save of the manifest → first episode",
            "-",
            f"{save['first_episode_ms']['median']} ms median",
        ),
        (
            f"`kill -9` of the engine {wild['rounds']} times under load",
            "nothing lost, nothing left",
            f"{len(wild['wrong'])} findings; {wild['labels']} labels, {wild['metric_points']} "
            f"metric points, {wild['runs']} runs acknowledged and all there",
        ),
        (
            "the next engine after a kill answers on both doors",
            "-",
            f"{wild['restart_median_s']} s median, {wild['restart_max_s']} s max",
        ),
        (
            "loop lag while 1,000 children come and go, 10 subscribers, one stalled",
            "p99 ≤ 10 ms, max ≤ 50 ms",
            f"p99 {lag['p99']} ms, max {lag['max']} ms",
        ),
        (
            "children started and followed to their end",
            "-",
            f"{children['children_started_per_s']}/s",
        ),
        (
            "memory of the engine before and after them",
            "bounded",
            f"{children['rss_before_mib']} → {children['rss_after_mib']} MiB",
        ),
        (
            "private door, one client process",
            "≥ 20,000 requests/s",
            f"{doors['requests_per_s']['median']:,}/s; one blocking call "
            f"{doors['blocking_round_trip_us']} µs",
        ),
        (
            "acknowledged writes, 16 clients (fsync before each answer)",
            "≥ 5,000/s",
            f"{writes['writes_per_s_16_clients']['median']:,}/s; one client "
            f"{writes['writes_per_s_1_client']['median']:,}/s",
        ),
        (
            "start of the engine → 200 on `/health`",
            "≤ 0.5 s",
            f"{figures['start']['start_to_health_s']['median']} s median",
        ),
        (
            "`spice-tui version`, `ps --json`",
            "≤ 0.25 s",
            f"{words['version s']} s, {words['ps --json s']} s median",
        ),
        ("CPU of an idle engine", "≤ 1 %", f"{idle['cpu_percent']} %"),
        ("PSS of a bare engine", "≤ 70 MiB", f"{idle['engine_pss_mib']} MiB"),
    ]
    quick = figures["first_pod"].get("quickstart")
    if quick:
        first = "newcomer's command to a recommendation, nothing cached, network included"
        table.insert(0, (first, "≤ 60 s", f"{quick['seconds']} s"))
    return table


def page(figures: dict[str, Any]) -> str:
    """The page `engine.md`."""
    conditions = figures["conditions"]
    lines = [
        "# The engine's figures",
        "",
        "<!-- Made by bench/soak.py (`.ci/soak`) from engine.json. -->",
        "",
        f"Taken {figures['taken']} on {conditions['system']}, {conditions['cores']} cores, Python "
        f"{conditions['python']}, load average {conditions['load_average'][0]} at the start. The "
        "machine is a small virtual one: expect ratios to hold, not milliseconds.",
        "",
        "| What | Bar | Measured |",
        "|---|---|---|",
        *(f"| {what} | {bar} | {figure} |" for what, bar, figure in rows(figures)),
        "",
        "Repeat all of it with `.ci/soak`, one part with `python bench/engine.py --only NAME`,",
        "`python bench/first_pod.py` or `python bench/kill_storm.py`. `bench/bench_store.py`,",
        "`bench/bench_children.py` and `bench/bench_pipeline.py` measure single parts.",
        "",
        "The storm posts labels and metric points over both doors, starts runs with known exit",
        "codes, follows subscriptions and saves the manifest, while the engine is killed at random",
        "moments, also while it starts. Afterwards every acknowledged write must be there, every",
        "run must have ended with its own code, and no process, socket or temporary file may be",
        "left. The seeds are in the script.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="kills of the storm")
    parser.add_argument("--skip-quickstart", action="store_true")
    options = parser.parse_args()
    figures = run("engine.py")
    figures["taken"] = time.strftime("%Y-%m-%d", time.gmtime())
    more = ["--skip-quickstart"] if options.skip_quickstart else []
    figures["first_pod"] = run("first_pod.py", *more)
    figures["kill_storm"] = storm(options.rounds)
    (RESULTS / "engine.json").write_text(json.dumps(figures, indent=2) + "\n")
    (RESULTS / "engine.md").write_text(page(figures), encoding="utf-8")
    return int(bool(figures["kill_storm"]["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
