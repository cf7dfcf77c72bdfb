"""Balance a pole by the pod's advice: show it the cart, ask it, push.

    python client.py [http://127.0.0.1:8000] [--episodes 3] [--seed 99]

Each step is one question: what to do in this state. Beside it somebody pushes by chance. Needs
gymnasium, as the pod itself does (pip install 'spice-tui[gym]').
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import urllib.error
import urllib.parse
import urllib.request

import gymnasium

POD = "/api/v0.1/pods/cartpole"
FIELDS = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")
ACTIONS = ("left", "right")


def ask(base: str, shown: list[float]) -> str:
    """What the pod would do in a state."""
    state = {
        f"state[gym.cartpole.{name}]": value for name, value in zip(FIELDS, shown, strict=True)
    }
    query = urllib.parse.urlencode(state)
    with urllib.request.urlopen(f"{base}{POD}/recommendation?{query}", timeout=10) as reply:
        return json.load(reply)["action"]


def balance(base: str, seed: int) -> int:
    """One episode; how many steps the pole stayed up. Without a `base` by chance."""
    environment = gymnasium.make("CartPole-v1")
    shown, _ = environment.reset(seed=seed)
    chance, steps, over = random.Random(seed), 0, False
    while not over:
        action = ask(base, shown.tolist()) if base else chance.choice(ACTIONS)
        shown, _, fallen, cut, _ = environment.step(ACTIONS.index(action))
        steps, over = steps + 1, fallen or cut
    environment.close()
    return steps


def main() -> None:
    """Read the arguments; say what is wrong in a sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=99, help="of the first episode")
    options = parser.parse_args()
    base = options.base.rstrip("/")
    try:
        for seed in range(options.seed, options.seed + options.episodes):
            pod, chance = balance(base, seed), balance("", seed)
            print(f"episode {seed}: {pod} steps by the pod, {chance} by chance", flush=True)
    except urllib.error.HTTPError as error:
        sys.exit(f"the engine refused: {error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"the engine does not answer on {base}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
