"""What `.ci/soak` runs: the engine's figures and the kill storm; they go to docs/benchmarks.

python bench/soak.py [--rounds 100] [--quick]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="kills of the storm")
    parser.add_argument("--quick", action="store_true", help="ten kills, to try the script itself")
    options = parser.parse_args()
    rounds = 10 if options.quick else options.rounds
    results = HERE.parent / "docs" / "benchmarks"
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch) / "engine.json"
        bench = [sys.executable, str(HERE / "engine.py"), "--json", str(figures)]
        subprocess.run(bench, check=True)
        answer = json.loads(figures.read_text())
    storm = subprocess.run(
        [sys.executable, str(HERE / "kill_storm.py"), "--rounds", str(rounds)],
        capture_output=True,
        text=True,
        check=False,
    )
    print(storm.stdout)
    print(storm.stderr, file=sys.stderr)
    answer["kill_storm"] = json.loads(storm.stdout[storm.stdout.index("{") :])
    (results / "engine.json").write_text(json.dumps(answer, indent=2) + "\n")
    return storm.returncode


if __name__ == "__main__":
    sys.exit(main())
