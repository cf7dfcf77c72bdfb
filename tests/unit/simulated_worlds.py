"""Small simulated pods for tests, made of plain data as the engine hands them to a trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.effects import compile_effects
from spice_engine.learning.reward_program import compile_rewards
from spice_engine.learning.simulator import World
from spice_engine.learning.source import Source

STEP = 1800
PRICE = "market_btc_price"
CHANGE = (
    f'change = next_state["{PRICE}"] * next_state["my_wallet_btc"] + next_state["my_wallet_usd"]'
    f' - current_state["{PRICE}"] * current_state["my_wallet_btc"] - current_state["my_wallet_usd"]'
)


def source(text: str) -> Source:
    return Source(text, "pod.yaml", 10, 3)


def world(
    columns: Mapping[str, NDArray[np.float64]],
    local: Mapping[str, float],
    effects: Mapping[str, str | None],
    laws: Sequence[str],
    rewards: Mapping[str, str],
    init: str = "",
) -> World:
    """A world: `effects` has every action, None for one without effect.

    In effects and laws a field goes by the last part of its name.
    """
    fields = tuple(sorted([*columns, *local]))
    rows = len(next(iter(columns.values())))
    table = {**columns, **{name: np.full(rows, value) for name, value in local.items()}}
    names = {field.rsplit("_", 1)[1]: field for field in fields}
    simulation: dict[str, Any] = {
        "local": sorted(local),
        "initial": dict(local),
        "effects": {
            action: {"code": source(code).as_dict(), "names": names, "args": {}}
            for action, code in effects.items()
            if code is not None
        },
        "laws": [{"code": source(law).as_dict(), "names": names} for law in laws],
    }
    program = compile_rewards(
        tuple(effects),
        fields,
        source(init) if init else None,
        {action: source(code) for action, code in rewards.items()},
    )
    return World(
        values=np.column_stack([table[field] for field in fields]),
        times=np.arange(rows, dtype=np.int64) * STEP + 1_600_000_200,
        fields=fields,
        actions=tuple(effects),
        local=tuple(sorted(local)),
        initial=dict(local),
        effects=compile_effects(simulation, fields, tuple(effects)),
        program=program,
    )


def trader(prices: NDArray[np.float64], usd: float = 100_000.0, btc: float = 1.0) -> World:
    """Buys and sells one coin at a time; a step pays the change of all one has."""
    reward = dict.fromkeys(("buy", "hold", "sell"), "reward = change")
    return world(
        {PRICE: prices},
        {"my_wallet_usd": usd, "my_wallet_btc": btc},
        {
            "buy": "usd -= price\nbtc += 1",
            "hold": None,
            "sell": "usd += price\nbtc -= 1",
        },
        ["usd >= 0", "btc >= 0"],
        reward,
        CHANGE,
    )


def bets(prices: NDArray[np.float64], usd: float = 1e7, btc: float = 100.0) -> World:
    """Rewards that no balance changes: how the price moves, as the action would have it."""
    rise = f'rise = next_state["{PRICE}"] - current_state["{PRICE}"]'
    return world(
        {PRICE: prices},
        {"my_wallet_usd": usd, "my_wallet_btc": btc},
        {
            "small": "usd -= price\nbtc += 1",
            "large": "usd -= 10 * price\nbtc += 10",
            "sell": "usd += price\nbtc -= 1",
            "hold": None,
        },
        ["usd >= 0", "btc >= 0"],
        {
            "small": "reward = -rise",
            "large": "reward = -10 * rise",
            "sell": "reward = rise",
            "hold": "if rise > 0:\n  reward = -0.1\nelse:\n  reward = 0.1",
        },
        rise,
    )


def tank(demand: NDArray[np.float64], capacity: int = 4) -> World:
    """A tank to be filled before it is drawn from; filling costs now, drawing pays later.

    Demand is known for the current row; a step that only looks at its own reward never fills.
    """
    return world(
        {"town_water_demand": demand},
        {"town_tank_level": 0.0},
        {"wait": None, "fill": "level += 1", "draw": "level -= 1"},
        [f"level <= {capacity}", "level >= 0"],
        {
            "wait": "reward = 0",
            "fill": "reward = -1",
            "draw": 'reward = 3 * current_state["town_water_demand"]',
        },
    )
