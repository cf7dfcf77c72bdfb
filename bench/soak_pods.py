"""What `.ci/soak` runs for pods: every figure of `docs/benchmarks/pods.md`, and the storm.

    python bench/soak_pods.py [--cases DIR] [--rounds 50]

Writes `docs/benchmarks/pods.json`, the figures as they came, and `pods.md`, the page made of
them. Without `--cases` (or SPICE_CASES) only the storm and the samples are run. Exits 1 when the
storm found anything wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from typing import Any

from soak import RESULTS, Row, run, storm


def rows(figures: dict[str, Any]) -> list[Row]:
    """What was measured, the bar, and the figure."""
    save, law = figures["gardener_save"], figures["trader_changed_law"]
    garden, trade = figures["quality"]["gardener"], figures["quality"]["trader30d"]
    asked, inside = figures["recommendations"], figures["inside"]
    big, posts, idle, wild = (figures[n] for n in ("large_file", "posts", "idle", "storm"))
    return [
        (
            "gardener, warm: save → first point / first policy evaluated / training ended",
            "≤ 0.25 / ≤ 0.5 s / -",
            f"{save['first_point']['median_ms']} / {save['first_policy_evaluated']['median_ms']} "
            f"/ {save['training_ended']['median_ms']} ms median",
        ),
        (
            "trader30d, a changed law: save → first point / first policy / training ended",
            "≤ 0.5 s / - / -",
            f"{law['first_point']['median_ms']} / {law['first_policy_evaluated']['median_ms']} "
            f"/ {law['training_ended']['median_ms']} ms median",
        ),
        (
            "the first training ever after an install: save → first point",
            "≤ 1 s",
            f"{figures['first_training_ever']['median_ms']} ms median, "
            f"{figures['first_training_ever']['max_ms']} max",
        ),
        (
            "gardener, last 30 % held out, `auto`: regret closed in sample / held out",
            "≥ 0.98 / ≥ 0.6",
            f"{garden.get('in_sample')} / {garden.get('held_out')}",
        ),
        (
            "trader30d (held out, nothing can be learned from it): the same",
            "-",
            f"{trade.get('in_sample')} / {trade.get('held_out')}",
        ),
        (
            "reward compilation of gardener; its whole reward matrix",
            "≤ 5 ms; -",
            f"{inside['compile_ms']} ms; {inside['matrix_ms']} ms",
        ),
        (
            "a recommendation that is in no cache, in the engine's code",
            "≤ 0.1 ms",
            f"{inside['recommend_ms']} ms",
        ),
        (
            "recommendations over HTTP, 64 clients, 10 % at random times (beside: `/health`)",
            "≥ 8,000/s, p99 ≤ 10 ms",
            f"{asked['recommendation']['per_s']:,.0f}/s, p99 "
            f"{asked['recommendation']['p99_ms']} ms (`/health` "
            f"{asked['health']['per_s']:,.0f}/s, {asked['health']['p99_ms']} ms)",
        ),
        (
            "2 M-row CSV of 3 columns: loaded; peak of engine and loader together",
            "≤ 2 s; ≤ 600 MiB",
            f"{big['loaded_s']} s; {big['peak_mib']['together']} MiB",
        ),
        (
            "posts accepted and durable, 100-row bodies",
            "≥ 50,000 rows/s",
            f"{posts['rows_per_s']:,} rows/s, p99 {posts['p99_ms']} ms, {posts['posters']} posters",
        ),
        (
            f"`kill -9` of the engine {wild['rounds']} times during posts, trainings, reloads",
            "nothing lost",
            f"{len(wild['wrong'])} findings; {wild['rows']:,} rows, "
            f"{wild['interpretations']:,} interpretations, {wild['episodes_told']:,} episodes",
        ),
        (
            "two pods and warm trainers, idle: CPU; PSS of all processes",
            "≤ 1 %; ≤ 450 MiB",
            f"{idle['cpu_percent']} %; {idle['pss_mib']} MiB in {idle['processes']} processes",
        ),
    ]


def page(figures: dict[str, Any]) -> str:
    """The page `pods.md`."""
    lines = [
        "# The pods' figures",
        "",
        "<!-- Made by bench/soak_pods.py (`.ci/soak`) from pods.json. -->",
        "",
        f"Taken {figures['taken']} on {platform.system()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}. The machine is a small virtual one: expect ratios to hold,",
        "not milliseconds.",
        "",
        "| What | Bar | Measured |",
        "|---|---|---|",
        *(f"| {what} | {bar} | {figure} |" for what, bar, figure in rows(figures)),
        "",
        "Sample pods, trained on their own data and judged on series of seeds never seen:",
        "",
        "| Pod | Regret closed, median | of seeds |",
        "|---|---|---|",
        *(
            f"| {name} | {one['median']:.3f} | {', '.join(f'{v:.3f}' for v in one['seeds'])} |"
            for name, one in figures["samples"].items()
        ),
        "",
        "Repeat one part with `python bench/pods.py --only NAME`, `bench/recommendations.py`,",
        "`bench/pod_storm.py` or `bench/samples.py`.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", default=os.environ.get("SPICE_CASES", ""))
    parser.add_argument("--rounds", type=int, default=50, help="kills of the storm")
    options = parser.parse_args()
    figures: dict[str, Any] = {"taken": time.strftime("%Y-%m-%d", time.gmtime())}
    if options.cases:
        figures |= run("pods.py", "--cases", options.cases)
        figures["recommendations"] = run("recommendations.py", "--cases", options.cases)
    figures["samples"] = run("samples.py")
    figures["storm"] = storm(options.rounds, "pod_storm.py")
    if options.cases:
        (RESULTS / "pods.json").write_text(json.dumps(figures, indent=2) + "\n")
        (RESULTS / "pods.md").write_text(page(figures), encoding="utf-8")
    return int(bool(figures["storm"]["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
