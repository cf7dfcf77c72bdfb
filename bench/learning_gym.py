"""CartPole-v1 by `vpg` and `dql`: seconds to a policy that returns 475 over 100 fresh episodes.

    python bench/learning_gym.py [--algorithms vpg dql] [--seeds 0 1 2 3 4] [--out FILE]

Bar: five seeds, fixed before anything was tuned, two cores: the median at most 20 s, none over
60 s. The clock runs from a pod's manifest to the end of its training in a trainer that has imported
what it needs; an attempt ends when the mean return of the selection's episodes reaches GOAL, and
counts as solved only where 100 episodes that played no part return 475.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the trainer's process

from spice_engine.data.loader import load
from spice_engine.learning.environments.gym import GymEnvironment
from spice_engine.learning.environments.gym_facts import Gym
from spice_engine.learning.gym_episodes import greedy, play
from spice_engine.learning.policy import Policy
from spice_engine.learning.trainer import train, warm
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.child import LocalReport

SEEDS = (0, 1, 2, 3, 4)
GOAL, SOLVED, EPISODES = 485, 475.0, 100
FRESH_SEED = 987_654_321
"""Of episodes that neither learning nor selection has any part in."""
MEDIAN_BAR, MOST_BAR = 20.0, 60.0
MANIFEST = """
name: cartpole
params: {{episodes: 2000}}
dataspaces:
  - from: gym
    name: cartpole
    data: {{connector: {{name: gym, params: {{environment: CartPole-v1}}}}}}
    measurements:
      - name: a_position
      - name: b_velocity
      - name: c_angle
      - name: d_angular_velocity
actions: [{{name: left}}, {{name: right}}]
training: {{algorithm: {algorithm}, seed: {seed}, goal: score >= {goal}}}
"""


@dataclass(frozen=True)
class Run:
    """One training: seconds, units of learning, and what 100 fresh episodes returned."""

    algorithm: str
    seed: int
    seconds: float
    units: int
    fresh: float

    @property
    def solved(self) -> bool:
        """Whether it is good enough."""
        return self.fresh >= SOLVED


def run(algorithm: str, seed: int) -> Run:
    """Train once, and play what came of it."""
    begin = time.perf_counter()
    text = MANIFEST.format(algorithm=algorithm, seed=seed, goal=GOAL)
    manifest = load_manifest(text, "cartpole.yaml")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        loaded = load(loader_params(manifest, folder, folder, time.time()), LocalReport())
        params = trainer_params(manifest, loaded, folder, fingerprint="")
        answer = train(params, LocalReport())
    seconds = time.perf_counter() - begin
    policy = Policy.from_bytes(answer["policy"])
    environment = GymEnvironment(Gym("CartPole-v1", {}, (0, 1, 2, 3)), EPISODES)
    fresh = play(environment, greedy(policy.model), FRESH_SEED).score
    return Run(algorithm, seed, seconds, answer["episodes"] - 1, fresh)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", default=["vpg", "dql"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--out", type=Path, help="a JSON file with all figures")
    given = parser.parse_args()
    warm()
    run("vpg", 1_000)  # imports and first calls
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores", flush=True)
    good, runs = True, list[Run]()
    for algorithm in given.algorithms:
        mine = [run(algorithm, seed) for seed in given.seeds]
        runs += mine
        for one in mine:
            print(
                f"{algorithm} seed {one.seed}: {one.seconds:.2f} s, {one.units} units, "
                f"{one.fresh:.1f} over {EPISODES} fresh episodes{'' if one.solved else ': SHORT'}"
            )
        times = [one.seconds for one in mine]
        median, most = statistics.median(times), max(times)
        held = all(one.solved for one in mine) and median <= MEDIAN_BAR and most <= MOST_BAR
        good &= held
        print(
            f"{algorithm}: median {median:.2f} s (bar {MEDIAN_BAR:g}), longest {most:.2f} s (bar "
            f"{MOST_BAR:g}), solved {sum(one.solved for one in mine)} of {len(mine)}: "
            f"{'held' if held else 'NOT held'}",
            flush=True,
        )
    if given.out:
        given.out.write_text(json.dumps([asdict(one) for one in runs], indent=1))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
