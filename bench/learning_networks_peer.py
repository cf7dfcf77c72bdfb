"""The other side of `learning_networks.py`, run by a Python that has torch and stable-baselines3.

Reads requests from standard input, one JSON object a line, and answers each by a line:

    {"do": "dqn", "data": FILE.npz, "seed": 0, "wanted": 0.95, "most": 60000}
    {"do": "mlps", "members": 64, "batch": 32, "fused": true, "seconds": 1.0}
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback

HIDDEN, ACTIONS, INPUTS = (64, 64), 3, 64
EVERY = 1_000
"""Steps from one evaluation to the next."""


class Walk(gymnasium.Env):
    """An episode goes through all rows; only the taken action's reward is told."""

    def __init__(self, features: np.ndarray, rewards: np.ndarray) -> None:
        low, size = np.full(features.shape[1], -np.inf, np.float32), features.shape[1]
        self.observation_space = gymnasium.spaces.Box(low, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(rewards.shape[1])
        self.features, self.rewards, self.row = features, rewards, 0

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.row = 0
        return self.features[0], {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = float(self.rewards[self.row, int(action)])
        self.row += 1
        over = self.row == len(self.features)
        return self.features[self.row - over], reward, over, False, {}


class Judge(BaseCallback):
    """Looks at the greedy policy every EVERY steps; the time that takes does not count."""

    def __init__(self, features: np.ndarray, rewards: np.ndarray, wanted: float) -> None:
        super().__init__()
        self.features, self.given, self.wanted = features, rewards, wanted
        self.best_constant = rewards.sum(axis=0).max()
        self.oracle = rewards.max(axis=1).sum()
        self.looked, self.reached, self.closed = 0.0, 0.0, 0.0

    def _on_training_start(self) -> None:
        self.began = time.perf_counter()

    def _on_step(self) -> bool:
        if self.num_timesteps % EVERY:
            return True
        before = time.perf_counter()
        chosen, _ = self.model.predict(self.features, deterministic=True)
        score = self.given[np.arange(len(chosen)), chosen].sum()
        self.closed = float((score - self.best_constant) / (self.oracle - self.best_constant))
        if self.closed >= self.wanted:
            self.reached = before - self.began - self.looked
            return False
        self.looked += time.perf_counter() - before
        return True


def dqn(data: str, seed: int, wanted: float, most: int, **settings: Any) -> dict[str, Any]:
    """Seconds and steps until regret closed in sample is `wanted`; 0 seconds: not within `most`."""
    loaded = np.load(data)
    features, rewards = loaded["features"].astype(np.float32), loaded["rewards"]
    model = stable_baselines3.DQN(
        "MlpPolicy",
        Walk(features, rewards),
        gamma=0.0,
        learning_starts=256,
        seed=seed,
        device="cpu",
        policy_kwargs={"net_arch": list(HIDDEN)},
        **settings,
    )
    judge = Judge(features, rewards, wanted)
    model.learn(most, callback=judge)
    return {"seconds": judge.reached, "steps": int(model.num_timesteps), "closed": judge.closed}


class Member:
    """One network, its copy, its optimiser and its batch."""

    def __init__(self, batch: int, fused: bool) -> None:
        sizes = (INPUTS, *HIDDEN, ACTIONS)
        self.online, self.target = _network(sizes), _network(sizes)
        self.optimiser = torch.optim.Adam(self.online.parameters(), 1e-3, fused=fused)
        self.now, self.following = torch.randn(batch, INPUTS), torch.randn(batch, INPUTS)
        self.taken = torch.randint(0, ACTIONS, (batch, 1))
        self.rewards = torch.randn(batch)

    def step(self) -> None:
        with torch.no_grad():
            goals = self.rewards + 0.9 * self.target(self.following).max(1)[0]
        values = self.online(self.now).gather(1, self.taken)[:, 0]
        loss = torch.nn.functional.mse_loss(values, goals)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def _network(sizes: tuple[int, ...]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for rows, columns in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(rows, columns), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def mlps(members: int, batch: int, fused: bool, seconds: float) -> dict[str, Any]:
    """Samples a second of networks that learn one after another."""
    population = [Member(batch, fused) for _ in range(members)]
    for one in population:
        one.step()
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for one in population:
            one.step()
        rounds += 1
    return {"rate": rounds * members * batch / (time.perf_counter() - began)}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    versions = {"torch": torch.__version__, "stable_baselines3": stable_baselines3.__version__}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"dqn": dqn, "mlps": mlps}[request.pop("do")](**request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
