"""What the snapshot of a run's folder costs: time, and disk.

    python bench/runs_snapshot.py [--files N] [--megabytes N] [--json FILE]

A folder of text and data files in folders of folders, with a .gitignore, is taken once, again
unchanged, and again with ten changed files; each time it is laid out as a run's folder is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spice_engine.runs.folder_ignore import FolderIgnore
from spice_engine.runs.run_files import RunFiles
from spice_engine.store.objects import ObjectStore

MOST_BYTES = 10 * 2**30
TURNS = 3


def make_folder(root: Path, files: int, megabytes: int) -> None:
    """Files of several sizes that add up, none of them like another."""
    chance = random.Random(7)
    weights = [chance.lognormvariate(0, 1.5) for _ in range(files)]
    scale = megabytes * 2**20 / sum(weights)
    for number, weight in enumerate(weights):
        path = root / f"part{number % 40:02}" / f"group{number // 40 % 10}" / f"file{number}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(max(1, int(weight * scale))))
    (root / ".gitignore").write_text("*.log\nbuild/\n/data/raw\n")


def disk(folder: Path) -> int:
    """Bytes on disk, as `du` counts them: a file with several names once."""
    out = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, check=True, text=True)
    return int(out.stdout.split()[0])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that `work` takes, and what it gives."""
    begin = time.perf_counter()
    found = work()
    return time.perf_counter() - begin, found


def measure(root: Path, state: Path) -> dict[str, Any]:
    """All figures, of a folder that is there."""
    objects = ObjectStore(state / "objects")
    files = RunFiles(state, objects)
    files.ways()

    def take() -> str:
        return objects.put_tree(root, FolderIgnore(root, most_bytes=MOST_BYTES)).hash

    figures: dict[str, Any] = {}
    number = 0

    def turn(name: str) -> None:
        nonlocal number
        number += 1
        before = disk(state)
        seconds, code = timed(take)
        middle = disk(state)
        folder = state / "runs" / str(number)
        laid, _ = timed(lambda: files.lay_out(folder, code=code, inner="", mounts=()))
        figures[f"{name}_snapshot_s"] = round(seconds, 3)
        figures[f"{name}_snapshot_mb"] = round((middle - before) / 2**20, 1)
        figures[f"{name}_lay_out_s"] = round(laid, 3)
        figures[f"{name}_lay_out_mb"] = round((disk(state) - middle) / 2**20, 1)

    turn("first")
    time.sleep(2.1)  # what changed this lately may change again within one tick of the clock
    turn("learning")  # now the cache knows all
    best = min(timed(take)[0] for _ in range(TURNS))
    turn("second")
    figures["second_snapshot_s"] = round(min(best, figures["second_snapshot_s"]), 3)
    for path in sorted(root.rglob("*.dat"))[:10]:
        path.write_bytes(os.urandom(1000))
    turn("changed")
    objects.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--json", default="")
    given = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    try:
        (top / "app").mkdir()
        make_folder(top / "app", given.files, given.megabytes)
        (top / "state").mkdir()
        figures = {"files": given.files, "megabytes": given.megabytes}
        figures |= measure(top / "app", top / "state")
    finally:
        subprocess.run(["chmod", "-R", "u+w", top], check=False)
        shutil.rmtree(top, ignore_errors=True)
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if given.json:
        Path(given.json).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
