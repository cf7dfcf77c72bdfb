"""Stable-Baselines3 in the market of the sample pod trader; started by `learning_trader.py`.

    PYTHON learning_trader_peer.py {dqn|ppo} FOLDER GAMMA SECONDS

Learns in FOLDER/own.npz for so many seconds, acts in every FOLDER/series-SEED.npz, and writes what
it chose to FOLDER/NAME.npz. Networks of 64-64 and otherwise the library's own settings. Episodes
of 128 steps start at any candle with any purse, as those of the pod's own learners do.
"""

import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback

UNLAWFUL = -5.0
LENGTH = 128


class Market(gymnasium.Env):
    """Prices, features and a purse of cash and coins."""

    def __init__(self, file, scale=1.0):
        told = np.load(file)
        self.features = ((told["raw"] - told["mean"]) * told["inverse"]).astype(np.float32)
        self.columns = told["local"][told["order"]]
        self.mean, self.inverse = told["mean"][self.columns], told["inverse"][self.columns]
        self.price, self.trades, self.first = told["price"], told["trades"], told["purse"]
        self.scale = scale
        self.steps = len(self.price) - 1
        self.observation_space = gymnasium.spaces.Box(
            -np.inf, np.inf, (self.features.shape[1],), np.float32
        )
        self.action_space = gymnasium.spaces.Discrete(len(self.trades))
        self.begin()

    def begin(self, row=0, purse=None):
        self.row, self.purse, self.left = row, self.first if purse is None else purse, self.steps

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        worth = self.first @ [1.0, self.price[0]]
        coins = self.np_random.integers(0, int(worth / self.price[0]) + 1)
        cash = max(worth - coins * self.price[0], 0.0)
        row = int(self.np_random.integers(0, self.steps))
        self.begin(row, np.array([cash, float(coins)]))
        self.left = LENGTH
        return self.observe(), {}

    def observe(self):
        seen = self.features[self.row].copy()
        seen[self.columns] = (self.purse - self.mean) * self.inverse
        return seen

    def after(self, action):
        return self.purse + self.trades[action] * [self.price[self.row], 1.0]

    def lawful(self):
        allowed = [bool((self.after(a) >= 0).all()) for a in range(len(self.trades))]
        return np.array(allowed) | (not any(allowed))

    def step(self, action):
        after, reward = self.after(action), UNLAWFUL
        if (after >= 0).all():
            now, then = self.price[self.row], self.price[self.row + 1]
            reward = after @ [1.0, then] - self.purse @ [1.0, now]
            self.purse = after
        self.row += 1
        self.left -= 1
        cut = self.left <= 0 or self.row >= self.steps
        return self.observe(), float(reward) / self.scale, False, cut, {}


class Watch(BaseCallback):
    """Ends learning when the time is over."""

    def __init__(self, seconds):
        super().__init__()
        self.end = time.monotonic() + seconds

    def _on_step(self):
        return time.monotonic() < self.end


def preferences(model, name, seen):
    """A number for each action."""
    with torch.no_grad():
        one = torch.as_tensor(seen[None])
        if name == "dqn":
            return model.q_net(one)[0].numpy()
        return model.policy.get_distribution(one).distribution.logits[0].numpy()


def main():
    name, folder, gamma, seconds = sys.argv[1], Path(sys.argv[2]), *map(float, sys.argv[3:5])
    torch.set_num_threads(1)
    own = Market(folder / "own.npz")
    own.scale = float(np.diff(own.price).std() * own.first[1])
    kind = stable_baselines3.DQN if name == "dqn" else stable_baselines3.PPO
    settings = {"learning_starts": 256} if name == "dqn" else {}
    net = {"net_arch": [64, 64]}
    model = kind("MlpPolicy", own, gamma=gamma, seed=0, device="cpu", policy_kwargs=net, **settings)
    began = time.monotonic()
    # The falling share of actions by chance goes by what is hoped for in the time.
    model.learn(int(2_000 * seconds), callback=Watch(seconds))
    while time.monotonic() - began < seconds:
        model.learn(2_048, callback=Watch(began + seconds - time.monotonic()))
    told = {"steps": model.num_timesteps, "seconds": time.monotonic() - began}
    for file in sorted(folder.glob("series-*.npz")):
        market, chosen, score = Market(file), [], 0.0
        while market.row < market.steps:
            allowed = market.lawful()
            values = np.where(allowed, preferences(model, name, market.observe()), -np.inf)
            chosen.append(int(values.argmax()))
            score += market.step(chosen[-1])[1]
        seed = file.stem.removeprefix("series-")
        told |= {seed: np.array(chosen), f"score-{seed}": score}
    np.savez(folder / f"{name}.npz", **told)


if __name__ == "__main__":
    main()
