"""Paper trading: show the pod each new candle and what we own, ask it, trade.

    python client.py [http://127.0.0.1:8000] [--candles 240] [--seed 1] [--pause 0]

Goes on where the pod's data end, in simulated time, with 500 USD and 5 coins. With `--seed 1` the
market is the one of the data, a month on; any other seed is another market. Standard library only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from market import CANDLE_SECONDS, Candle, trade

POD = "/api/v0.1/pods/trader"
FEE = 0.001
COINS = {"hold": 0, "buy": 1, "large_buy": 3, "sell": -2}
"""How many coins each action buys."""


@dataclass
class Portfolio:
    """What we own."""

    usd: float = 500.0
    coins: int = 5

    def worth(self, price: float) -> float:
        """In USD."""
        return self.usd + self.coins * price

    def act(self, action: str, price: float) -> bool:
        """Trade, if we can; says whether anything changed hands."""
        coins = COINS[action]
        usd = self.usd - coins * price - abs(coins) * price * FEE
        if not coins or usd < 0 or self.coins + coins < 0:
            return False
        self.usd, self.coins = usd, self.coins + coins
        return True


def post(base: str, candle: Candle, portfolio: Portfolio) -> None:
    """A candle and what we own when it ends: names are those of the pod, `from.name.field`."""
    row = {
        "time": candle.time,
        "exchange.candles.close": candle.close,
        "exchange.candles.volume": candle.volume,
        "exchange.candles.buyers": candle.buyers,
        "exchange.candles.premium": candle.premium,
        "local.portfolio.usd": portfolio.usd,
        "local.portfolio.coins": portfolio.coins,
    }
    body = f"{','.join(row)}\n{','.join(str(cell) for cell in row.values())}\n".encode()
    headers = {"Content-Type": "text/csv"}
    request = urllib.request.Request(base + POD + "/observations", data=body, headers=headers)
    urllib.request.urlopen(request, timeout=10).close()


def ask(base: str) -> dict[str, object]:
    """What the pod would do now."""
    with urllib.request.urlopen(base + POD + "/recommendation", timeout=10) as reply:
        return json.load(reply)


def play(base: str, candles: int, seed: int, pause: float) -> None:
    """The loop."""
    portfolio, holder = Portfolio(), Portfolio()
    now = int(str(ask(base)["end"]))
    market = itertools.dropwhile(lambda candle: candle.time < now, trade(seed))
    price, trades = 0.0, 0
    for number, candle in enumerate(itertools.islice(market, candles)):
        post(base, candle, portfolio)
        answer = ask(base)
        if answer["end"] != candle.time + CANDLE_SECONDS:
            sys.exit(f"the pod answers for another time than that of the last candle: {answer}")
        price, action = candle.close, str(answer["action"])
        traded = portfolio.act(action, price)
        if action != "hold" and not traded:
            print(f"cannot {action} with {portfolio.usd:.2f} USD and {portfolio.coins} coins")
        trades += traded
        if traded or number % 48 == 0:
            print(
                f"{time.strftime('%d %b %H:%M', time.gmtime(now + number * CANDLE_SECONDS))}  "
                f"{price:8.2f}  {action:9} ({answer['confidence']:.0%} sure)  "
                f"{portfolio.usd:8.2f} USD {portfolio.coins:2} coins, "
                f"worth {portfolio.worth(price):8.2f}"
            )
        time.sleep(pause)
    print(
        f"{trades} trades; worth {portfolio.worth(price):.2f} USD, "
        f"and {holder.worth(price):.2f} had we done nothing"
    )


def main() -> None:
    """Read the arguments; say what is wrong in a sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--candles", type=int, default=240, help="half hours to trade for")
    parser.add_argument("--seed", type=int, default=1, help="of the market")
    parser.add_argument("--pause", type=float, default=0, help="seconds between candles")
    options = parser.parse_args()
    try:
        play(options.base.rstrip("/"), options.candles, options.seed, options.pause)
    except urllib.error.HTTPError as error:
        sys.exit(f"the engine refused: {error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"the engine does not answer on {options.base}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
