"""Everything that is measured of runs, one script after another, and the page of it.

`python bench/runs.py --out docs/benchmarks`, on a quiet machine; `--only NAME` repeats one part and
keeps the others' figures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from figure_pages import Figures, Line, Page, Part


def life(figures: Figures) -> list[Line]:
    """How soon a run starts and is over, how many a second, how lists answer."""
    one, many, listed = figures["one"], figures["many"], figures["listed"]
    begun, over = one["asked_to_process_ms"], one["asked_to_complete_ms"]
    lists = (listed[f"{name}_ms"]["median"] for name in ("newest", "by_state", "by_label"))
    return [
        (
            "`run true` on a copy of the folder, in the engine: asked → its process starts",
            "≤ 80 ms",
            f"median {begun['median']} ms, p99 {begun['p99']} ms",
        ),
        ("the same → complete", "≤ 250 ms", f"median {over['median']} ms, p99 {over['p99']} ms"),
        (
            f"{many['runs']:,} runs of `true` queued at once on 2 slots",
            "≥ 15 runs/s",
            f"{many['runs_per_s']} runs/s, all queued after {many['queued_s']} s",
        ),
        ("`ps` meanwhile, p99", "≤ 100 ms", f"{many['ps_ms']['p99']} ms"),
        (
            f"`ps` with {listed['runs']:,} finished runs, the whole command",
            "≤ 0.3 s",
            f"median {listed['ps_command_ms']['median']} ms; in the engine, the newest, by state, "
            f"by label: {', '.join(f'{one} ms' for one in lists)}",
        ),
    ]


def environments(figures: Figures) -> list[Line]:
    """What a run waits for its packages."""
    return [
        (
            f"environment of `{' '.join(figures['packages'])}`, cold, against `python -m venv` and "
            "pip in the same run",
            "≥ 3 times faster",
            f"{figures['times_faster_than_pip']} times: {figures['cold_s']} s, pip "
            f"{figures['venv_and_pip_s']} s",
        ),
        (
            "the same again",
            "≤ 50 ms",
            f"{figures['hit_ms']} ms; made anew with uv's cache: {figures['with_uv_cache_s']} s",
        ),
    ]


def snapshot(figures: Figures) -> list[Line]:
    """What freezing a large folder takes."""
    what = f"snapshot of a folder of {figures['megabytes']:,} MB in {figures['files']:,} files"
    return [
        (
            f"{what}, the first time",
            "-",
            f"{figures['first_snapshot_s']} s, laid out in {figures['first_lay_out_s']} s",
        ),
        (
            "the same, the second time",
            "≤ 1.5 s, no more disk",
            f"{figures['second_snapshot_s']} s, {figures['second_snapshot_mb']} MB; laid out in "
            f"{figures['second_lay_out_s']} s, {figures['second_lay_out_mb']} MB",
        ),
    ]


def metrics(figures: Figures) -> list[Line]:
    """What a run that floods does to the rest."""
    points, lines = figures["metrics"], figures["logs"]
    return [
        (
            f"{points['points']:,} metric points from one run",
            "none lost, ≥ 100 k points/s",
            f"{points['lost']} lost; sent at {points['sent_per_second']:,} a second, stored at "
            f"{points['stored_per_second']:,}",
        ),
        ("`ps` meanwhile, p99", "-", f"{points['ps_p99_ms']} ms"),
        (
            f"{lines['lines']:,} log lines from one run",
            "100 k lines/s, none lost",
            f"{lines['lost']} lost, {lines['lines_per_second']:,} a second",
        ),
        ("`ps` meanwhile, p99", "-", f"{lines['ps_p99_ms']} ms"),
    ]


def search(figures: Figures) -> list[Line]:
    """A search beside Optuna alone, and under kills."""
    points, kills, asks = figures["points"], figures["kills"], figures["asks"]
    same = points["same_points_and_values"] and points["same_best"]
    return [
        (
            f"Bayesian search of Branin's function, {points['trials']} trials one at a time, "
            "against Optuna alone with the same sampler and seed",
            "same points, same best",
            f"{'the same' if same else 'not the same'}: best {points['best']:.6f}, "
            f"{points['seconds_a_trial']} s a trial",
        ),
        (
            f"`kill -9` of the engine {kills['kills']} times during {kills['trials']} trials",
            "finishes; none lost, none twice",
            f"{kills['state']}; {kills['lost']} lost, {kills['ended_twice']} ended twice",
        ),
        ("the next point of a search by code, asked → answered", "-", f"{asks['median_ms']} ms"),
    ]


PAGE = Page(
    "runs",
    "Figures of runs",
    {
        "life": Part(life),
        "environments": Part(environments),
        "snapshot": Part(snapshot),
        "metrics": Part(metrics),
        "search": Part(search),
    },
    ".\nThe machine is a small virtual one: expect ratios to hold, not milliseconds.",
)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--only", nargs="+", choices=list(PAGE.parts), default=list(PAGE.parts))
    given = parser.parse_args()
    PAGE.measure(given.out, given.only)


if __name__ == "__main__":
    main()
