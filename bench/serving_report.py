"""The page of the serving bench's figures: what was measured, the bar, and whether it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
Row = tuple[str, str, str, bool]


def write(figures: Figures, folder: Path) -> None:
    """`serving.json` and `serving.md` in `folder`; parts not measured now keep their figures."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "serving.json"
    if path.exists():
        figures = {**json.loads(path.read_text()), **figures}
    path.write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "serving.md").write_text(page(figures))


def page(figures: Figures) -> str:
    """The page as Markdown."""
    there = figures["conditions"]
    lines = [
        "# Model servers: figures",
        "",
        "Made by `python bench/serving.py --peers DIR --out docs/benchmarks`, and by",
        "`python bench/soak_serving.py` for the soak. wrk on loopback, on the same cores as the",
        "servers; medians of alternated runs. The machine is shared and noisy: compare ratios.",
        "",
        f"{there['cores']} cores, Python {there['python']}, {there['date']}, {there['system']}.",
        "",
        "| What | Bar | Measured | |",
        "|---|---|---|---|",
    ]
    for what, bar, found, kept in rows(figures):
        lines.append(f"| {what} | {bar} | {found} | {'kept' if kept else '**missed**'} |")
    for part, title in (("trivial", "The trivial prediction"), ("mlp", "The perceptron, 6 kB")):
        if part in figures:
            lines += ["", f"## {title}: 64 clients, one replica", "", *_beside(figures[part])]
    return "\n".join(lines) + "\n"


def rows(figures: Figures) -> list[Row]:
    """Every bar with what was measured."""
    found: list[Row] = []
    if trivial := figures.get("trivial"):
        beside = trivial["beside"]
        ours = beside["spice-tui"]
        for name, times in (("FastAPI + uvicorn", 3), ("LitServe", 15)):
            if name in beside:
                ratio = ours["rps"] / beside[name]["rps"]
                what = f"trivial predict, 64 clients, against {name}"
                found.append((what, f"≥ {times} x", f"{ratio:.1f} x", ratio >= times))
        per_cpu, p99 = ours["per_cpu_s"], ours["p99_ms"]
        what = "the same, requests per CPU-second of engine and replica"
        found.append((what, "≥ 18,000", f"{per_cpu:,.0f}", per_cpu >= 18000))
        found.append(("the same, p99", "≤ 6 ms", f"{p99:.1f} ms", p99 <= 6))
        p50 = trivial["one_client"]["p50_ms"]
        found.append(("the same, one client, p50", "≤ 0.35 ms", f"{p50:.3f} ms", p50 <= 0.35))
    if mlp := figures.get("mlp"):
        ours = mlp["beside"]["spice-tui"]
        what = "perceptron 784-256-10, 6 kB bodies, 64 clients, batched"
        rate = f"{ours['rps']:,.0f} req/s"
        found.append((what, "≥ 12,000 req/s", rate, ours["rps"] >= 12000))
        found.append(("the same, p99", "≤ 10 ms", f"{ours['p99_ms']:.1f} ms", ours["p99_ms"] <= 10))
        ratio = mlp["one_client_batched"]["rps"] / mlp["one_client_unbatched"]["rps"]
        what = "the same, one client: batched against unbatched"
        found.append((what, "≥ 0.9 x", f"{ratio:.2f} x", ratio >= 0.9))
    if busy := figures.get("busy"):
        what = "trivial predict while a pod trains and 2 M rows load, against alone"
        found.append((what, "≥ 0.4 x", f"{busy['ratio']:.2f} x", busy["ratio"] >= 0.4))
        lag = busy["loop_lag_p99_ms"]
        found.append(("the same, loop lag p99", "≤ 10 ms", f"{lag} ms", lag <= 10))
        found.append(("the same, errors", "0", str(busy["errors"]), busy["errors"] == 0))
    if health := figures.get("health"):
        p99 = max(health["server_p99_ms"], health["engine_p99_ms"])
        what = "sync predict sleeping 20 ms, 64 clients: /health p99"
        found.append((what, "≤ 10 ms", f"{p99:.1f} ms", p99 <= 10))
    if update := figures.get("update"):
        what = f"rolling update at 2,000 req/s, {update['updates']} times: failed requests"
        told = f"{update['failed']} of {update['requests']:,}"
        found.append((what, "0", told, update["failed"] == 0))
    if kill := figures.get("kill"):
        what = f"`kill -9` of one of two replicas, {kill['kills']} times: failed requests"
        told = f"{kill['failed']} of {kill['requests']:,}"
        found.append((what, "0", told, kill["failed"] == 0))
        back = kill["full_strength_s"]
        told = f"{back['median']} s median, {back['max']} s longest"
        found.append(("the same: full strength", "≤ 1 s", told, back["max"] <= 1))
    if restart := figures.get("restart"):
        what = f"`engine restart`, {restart['restarts']} times, 64 clients: failed requests"
        told = f"{restart['failed']} of {restart['requests']:,}"
        found.append((what, "0", told, restart["failed"] == 0))
    if over := figures.get("overload"):
        bar = 3 * over["unloaded_p99_ms"]
        told = f"{over['accepted_p99_ms']:.0f} ms, unloaded {over['unloaded_p99_ms']:.0f}"
        what = "five times the capacity for 30 s: p99 of what is accepted"
        found.append((what, "≤ 3 x unloaded", told, over["accepted_p99_ms"] <= bar))
        others = sorted(set(over["statuses"]) - {"200", "429"})
        told = ", ".join(f"{n:,} x {status}" for status, n in sorted(over["statuses"].items()))
        found.append(("the same: the rest", "429 only", told, not others))
        grown = over["pss_growth_mib"]
        found.append(("the same: memory", "bounded", f"{grown:+.1f} MiB", grown < 20))
        back_s = over["recovery_s"]
        kept = back_s is not None and back_s <= 1 and not over["after_failed"]
        found.append(("the same: recovery", "≤ 1 s", f"{back_s} s", kept))
    if start := figures.get("start"):
        first = start["command_to_200_s"]
        told = f"{first['median']} s median, {first['max']} s longest"
        what = "command → first 200 of a trivial server"
        found.append((what, "≤ 0.6 s", told, first["median"] <= 0.6))
        memory = start["two_idle_numpy_replicas_pss_mib"]
        what = "PSS of two idle NumPy replicas with their shims"
        found.append((what, "≤ 90 MiB", f"{memory} MiB", memory <= 90))
    if scale := figures.get("scale"):
        what = "autoscaler, step from 0 to 4 x one replica: in balance"
        found.append((what, "≤ 5 s", f"{scale['balance_s']} s", scale["balance_s"] <= 5))
        what = "the same: changes of direction in 60 s"
        found.append((what, "≤ 2", str(scale["turns"]), scale["turns"] <= 2))
    if soak := figures.get("soak"):
        what = f"soak of {soak['minutes']} minutes at 1,000 req/s: failed requests"
        told = f"{soak['failed']} of {soak['requests']:,}"
        found.append((what, "0", told, soak["failed"] == 0))
        told = f"{soak['pss_begin_mib']} → {soak['pss_end_mib']} MiB"
        found.append(("the same: PSS of the engine", "flat", told, soak["pss_flat"]))
        told = ", ".join(soak["leaks"]) or "none"
        found.append(
            ("the same: processes, sockets, files, threads left", "none", told, not soak["leaks"])
        )
    return found


def _beside(part: Figures) -> list[str]:
    ours = part["beside"]["spice-tui"]["rps"]
    lines = [
        "| | req/s | ours is | p50, ms | p99, ms | req per CPU-second | not 2xx |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, point in part["beside"].items():
        lines.append(
            f"| {name} | {point['rps']:,.0f} | {ours / point['rps']:.1f} x | {point['p50_ms']:.1f} "
            f"| {point['p99_ms']:.1f} | {point['per_cpu_s']:,.0f} | {point['bad']:.0f} |"
        )
    return lines
