"""Everything that is measured of learning, one script after another, and the page of it.

`SPICE_CASES=DIR python bench/learning.py --peers VENV --out docs/benchmarks`, on a quiet machine;
`--only NAME` repeats one part and keeps the others' figures. VENV holds torch, stable-baselines3
and gymnasium. The GPU's row is `bench/learning_gpu.py`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from figure_pages import Figures, Line, Page, Part


def kernels(figures: Figures) -> list[Line]:
    """Q-learning in 64 lanes beside C."""
    lines = [
        (
            f"tabular, 64 lanes, one core, {name}, against C in the same run",
            "≥ 75 % of C",
            f"{one['share_of_c']:.0%}: {one['million_updates_per_second']['ours'] / 1000:.2f} G "
            f"updates/s, C {_faster(one) / 1000:.2f} G",
        )
        for name, one in figures["cases"].items()
    ]
    mean = f"{figures['geometric_mean']:.0%}"
    return [*lines, ("the same, geometric mean", "≥ 85 %", mean)]


def _faster(one: Figures) -> float:
    speed = one["million_updates_per_second"]
    return max(speed["fast"], speed["wide"])


def simulated(figures: Figures) -> list[Line]:
    """The population of a simulated pod beside C."""
    speed = figures["million_steps_per_second"]
    measured = (
        f"{figures['share_of_c']:.0%}: {speed['ours']:.0f} M environment and learning steps/s, C "
        f"{max(speed['plain'], speed['fast']):.0f} M"
    )
    what = "simulated pod with balances and laws, one core, against C in the same run"
    return [(what, "≥ 85 %", measured)]


def auto(figures: Figures) -> list[Line]:
    """Gardener, and large tables."""
    first, last = figures["gardener"]["first"], figures["gardener"]["last"]
    lines = [
        (
            "gardener, last 30 % held out, `auto`: first policy",
            "≤ 0.1 s; regret closed ≥ 0.99 in sample, ≥ 0.92 held out in ≤ 0.6 s",
            f"{first['seconds']:.3f} s; {first['in_sample']:.3f}, {first['held_out']:.3f}",
        ),
        (
            "the same: the end of the training, which finds nothing better",
            "-",
            f"{last['seconds']:.3f} s; {last['in_sample']:.3f}, {last['held_out']:.3f}",
        ),
    ]
    for rows, one in figures["rows"].items():
        lines.append(
            (
                f"`auto` on {int(rows):,} rows of 4 fields",
                "-",
                f"first candidate {one['first']:.1f} s, policy {one['policy']:.1f} s, "
                f"peak {one['peak_MiB']} MiB",
            )
        )
    return lines


def networks(figures: Figures) -> list[Line]:
    """DQL beside Stable-Baselines3, populations beside torch."""
    race = figures["dql"]
    ours = statistics.median(one["seconds"] for one in race["ours"])
    theirs = statistics.median(one["seconds"] or float("inf") for one in race["sb3"])
    lines = [
        (
            "dql without all-action replay, gardener: time to 0.95 of regret closed in sample, "
            "against Stable-Baselines3 DQN, median of 3 seeds",
            "≥ 30 times less",
            f"{race['ratio']:.0f} times: {ours:.2f} s against {theirs:.1f} s",
        )
    ]
    for batch, wanted in (("32", 4), ("256", 2)):
        one = figures["networks"][batch]
        torch = max(one["fused"], one["plain"])
        lines.append(
            (
                f"64 networks of 64-64 together against torch one by one, batch {batch}",
                f"≥ {wanted} times the samples/s",
                f"{one['ratio']:.1f} times: {one['ours'] / 1e3:.0f} k, torch {torch / 1e3:.0f} k",
            )
        )
    return lines


def trader(figures: Figures) -> list[Line]:
    """`auto` beside the best constant action and agents of Stable-Baselines3."""
    lines: list[Line] = []
    for name, one in figures.items():
        if name == "auto":
            lines.append(
                (
                    "sample trader, 5 series of unseen seeds: regret closed",
                    "-",
                    f"{statistics.fmean(one['regret_closed']):.3f}",
                )
            )
            continue
        lines.append(
            (
                f"the same, `auto` against {name}, paired",
                "better",
                f"{'better' if one['auto_is_better'] else 'not better'}: {one['difference']:.3f} "
                f"a step ({one['low']:.3f} to {one['high']:.3f}), p = {one['p']:.2g}; "
                f"its regret closed {statistics.fmean(one['regret_closed']):.3f}",
            )
        )
    return lines


def gym(figures: list[Figures]) -> list[Line]:
    """CartPole."""
    lines: list[Line] = []
    for algorithm in dict.fromkeys(one["algorithm"] for one in figures):
        mine = [one for one in figures if one["algorithm"] == algorithm]
        seconds = [one["seconds"] for one in mine]
        solved = sum(one["fresh"] >= 475 for one in mine)
        lines.append(
            (
                f"CartPole-v1, `{algorithm}`, 475 over 100 fresh episodes, {len(mine)} seeds",
                "median ≤ 20 s, none > 60 s",
                f"median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s, "
                f"{solved} of {len(mine)} there",
            )
        )
    return lines


_OWN = ", {steps} steps of 13 series; its own series alone {own:.3f} (chance {own_chance:.3f})"


def calibration(figures: Figures) -> list[Line]:
    """How true confidences are."""
    return [
        (
            f"expected calibration error of the confidence, held out: {name}",
            "≤ 0.05",
            f"{one['held_out']:.3f} (chance alone {one['chance']:.3f})"
            + (_OWN.format(**one) if "own" in one else ""),
        )
        for name, one in figures.items()
    ]


PEERS = "PEERS"
"""Stands for the peers' virtual environment."""
PAGE = Page(
    "learning",
    "Learning's figures",
    {
        "kernels": Part(kernels, "--out"),
        "simulated": Part(simulated, "--out"),
        "auto": Part(auto, arguments=("--rows", "200000", "2000000")),
        "networks": Part(networks, arguments=("--peers", PEERS)),
        "gym": Part(gym, "--out"),
        "calibration": Part(calibration),
        "trader": Part(trader, arguments=("--peers", PEERS)),
    },
    ", gcc -O3 -march=native\nfor what is compared with C. The machine is a small virtual one: "
    "expect ratios to hold, not milliseconds.",
    (
        "",
        "On a GPU: not measured yet, for want of one. `python bench/learning_gpu.py --out "
        "docs/benchmarks/learning_gpu.json`",
        "does it in one command: that CPU and GPU agree to the bit, 512 states x 16 k members "
        "(bar ≥ 100 G updates/s), a",
        "population of networks (bar ≥ 30 times two cores), and the shares of the device's roofs.",
    ),
)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True, help="a virtual environment")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--only", nargs="+", choices=list(PAGE.parts), default=list(PAGE.parts))
    given = parser.parse_args()
    PAGE.measure(given.out, given.only, {PEERS: str(given.peers)})


if __name__ == "__main__":
    main()
