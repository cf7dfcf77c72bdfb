"""Who trades best on markets never seen: `auto`, the best constant action, or deep learning?

    python bench/learning_trader.py [--peers VENV] [--seconds 60] [--seeds N …] [--json FILE]

All learn from the sample pod trader's own month of prices, then act once over each series that the
sample's generator makes of other seeds (see `samples.py`), from the purse that the pod starts with.
The best constant action is the one that turns out best on each series, known only afterwards.
VENV has Stable-Baselines3, whose DQN and PPO learn for `--seconds` each, imports not counted
(`learning_trader_peer.py`): from the same features, standardised in the same way, with the same
discount, and never taking what the laws forbid when they are judged. What they chose is paid by the
pod's own reward code. Rewards are compared step by step on all series together, by the paired
test that `spice-tui pods compare` uses.

`--json` writes {"auto": {…}, "<rival>": {"scores": [x, …], "difference": x, "p": x, …}}.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from samples import SAMPLES, Learned, assignment_of, learn

from spice_engine.data import loader
from spice_engine.learning import trainer
from spice_engine.learning.comparison import in_words, paired_test
from spice_engine.learning.features import Scaling
from spice_engine.learning.simulated_batch import make_batch, wanderings
from spice_engine.learning.simulated_choosers import chooser
from spice_engine.learning.simulated_evaluation import Part
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Simulator

HERE = Path(__file__).resolve().parent
TRADER = SAMPLES["trader"]
PEERS = ("dqn", "ppo")
TRADES = ((0.0, 0.0), (-1.001, 1.0), (-3.003, 3.0), (1.998, -2.0))
"""What the manifest's actions do: to the cash, in prices, and to the coins."""


@dataclass(frozen=True)
class Market:
    """A series as a simulated pod."""

    simulator: Simulator
    stepper: Stepper
    view: View
    part: Part
    gamma: float

    @classmethod
    def of(cls, learned: Learned, app: Path, out: Path) -> Market:
        """The series in the app folder."""
        assignment = assignment_of(learned.manifest, app, out)
        world, steps = assignment.simulated_task().world, assignment.split.every
        simulator = Simulator(world)
        stepper = Stepper(simulator)
        view = View.of(learned.policy.layout, world, steps)
        part = Part(simulator, stepper, steps, seed=0)
        return cls(simulator, stepper, view, part, assignment.hyperparameters.gamma)

    @property
    def oracle(self) -> float:
        """The best that hindsight finds."""
        return self.part.oracle(len(self.part.steps))[0]

    def always_best(self) -> Rollout:
        """The constant action that turns out best."""
        return self.part.constants[self.part.best_constant(len(self.part.steps))]

    def act(self, learned: Learned) -> Rollout:
        """The policy's episode."""
        steps = self.part.steps
        return self.stepper.act(steps, chooser(learned.policy.model, self.view, steps))

    def scaling(self) -> Scaling:
        """That of features in the states that some behaviours come to."""
        steps, actions = self.part.steps, len(self.simulator.world.actions)
        rollouts = [*wanderings(self.stepper, steps, actions, 0), *self.part.constants]
        batch = make_batch(self.simulator, steps, rollouts, 0)
        return Scaling.of(self.view.at(batch.rows, batch.local))

    def save(self, file: Path, scaling: Scaling) -> None:
        """All that a peer needs to act in it."""
        world, steps = self.simulator.world, self.part.steps
        order = [_place(world.local, "usd"), _place(world.local, "coins")]
        rows = np.arange(steps[0], steps[-1] + 2)
        np.savez(
            file,
            raw=self.view.raw,
            local=self.view.local,
            mean=scaling.mean,
            inverse=scaling.inverse,
            price=world.values[rows, world.fields.index("exchange_candles_close")],
            purse=self.simulator.initial[order],
            order=order,
            trades=np.array(TRADES),
        )


def _place(fields: tuple[str, ...], ending: str) -> int:
    return next(i for i, field in enumerate(fields) if field.endswith(ending))


def peer(venv: Path, name: str, folder: Path, gamma: float, seconds: float) -> dict[str, Any]:
    """What a peer chooses in each series, and how many steps it learned from."""
    program = [str(venv / "bin" / "python"), str(HERE / "learning_trader_peer.py"), name]
    subprocess.run([*program, str(folder), str(gamma), str(seconds)], check=True)
    return dict(np.load(folder / f"{name}.npz"))


def main() -> None:
    """Learn, act, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, help="a virtual environment")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", nargs="*", type=int, default=list(TRADER.unseen))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    loader.warm()
    trainer.warm()
    learned = learn(TRADER)
    print(f"auto: {learned.seconds:.2f} s, {learned.policy.evaluation['candidate']}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        own = Market.of(learned, TRADER.folder, folder / "own")
        scaling = own.scaling()
        own.save(folder / "own.npz", scaling)
        markets: dict[int, Market] = {}
        for seed in options.seeds:
            app = folder / str(seed)
            TRADER.make(seed, app)
            markets[seed] = Market.of(learned, app, app / "out")
            markets[seed].save(folder / f"series-{seed}.npz", scaling)
        rollouts = {
            "auto": [market.act(learned) for market in markets.values()],
            "best constant action": [market.always_best() for market in markets.values()],
        }
        for name in PEERS if options.peers else ():
            told = peer(options.peers, name, folder, own.gamma, options.seconds)
            found = [
                market.stepper.follow(market.part.steps, told[str(seed)].tolist())
                for seed, market in markets.items()
            ]
            for seed, rollout in zip(markets, found, strict=True):
                assert np.isclose(rollout.score, float(told[f"score-{seed}"])), "another market"
            print(f"{name}: {int(told['steps'])} steps in {float(told['seconds']):.1f} s")
            rollouts[f"SB3 {name.upper()}"] = found
        _tell(rollouts, markets, options.json)


def _tell(
    rollouts: dict[str, list[Rollout]], markets: dict[int, Market], file: Path | None
) -> None:
    always = [one.score for one in rollouts["best constant action"]]
    oracles = [market.oracle for market in markets.values()]
    ours = np.concatenate([one.rewards for one in rollouts["auto"]])
    figures: dict[str, Any] = {}
    for name, found in rollouts.items():
        scores = [one.score for one in found]
        closed = [
            (score - least) / (oracle - least)
            for score, least, oracle in zip(scores, always, oracles, strict=True)
        ]
        print(
            f"{name}: {', '.join(f'{score:.0f}' for score in scores)}; regret closed "
            f"{', '.join(f'{one:.3f}' for one in closed)}, mean {np.mean(closed):.3f}"
        )
        figures[name] = {"scores": scores, "regret_closed": closed}
        if name != "auto":
            theirs = np.concatenate([one.rewards for one in found])
            test = paired_test(ours, theirs)
            print(f"  {in_words(test, 'auto', name, unseen=True)}")
            figures[name] |= {
                "difference": test.difference,
                "low": test.low,
                "high": test.high,
                "p": test.p,
                "steps": test.steps,
                "auto_is_better": test.better == 1,
            }
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
