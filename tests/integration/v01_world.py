"""What the tests of the v0.1 API on real engines share: pods, and asking by HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from tests.conftest import EngineFixture

EPOCH = 1_600_000_000 - 1_600_000_000 % 600
ROWS = 240

SHOP = f"""
name: shop
params: {{epoch_time: {EPOCH}, period: 6h, interval: 5m, granularity: 1m, episodes: 3}}
dataspaces:
  - from: till
    name: sales
    identifiers: [{{name: branch}}]
    measurements: [{{name: price}}, {{name: zero}}]
    categories: [{{name: kind, values: [cash, card]}}]
    tags: {{selectors: [labels], values: [late, early]}}
    data:
      connector: {{name: file, params: {{path: data/sales.csv}}}}
      processor: {{name: csv}}
  - from: news
    name: feed
    measurements: [{{name: mood, selector: feeling}}]
    data: {{processor: {{name: json}}}}
  - from: local
    name: purse
    measurements: [{{name: coins, initializer: 5}}]
actions: [{{name: buy}}, {{name: wait}}]
training:
  algorithm: linear
  reward_init: |
    rise = next_state["till_sales_price"] - current_state["till_sales_price"]
  rewards:
    - {{reward: buy, with: "reward = rise"}}
    - {{reward: wait, with: "reward = 0"}}
"""
SLEEPER = SHOP.replace("name: shop", "name: sleeper", 1).replace("sales.csv", "few.csv")
BROKEN = "name: broken\nparams: [1, 2]\n"


def sales() -> str:
    """A row a minute; the price goes up and down."""
    lines = ["time,branch,price,zero,kind,labels"]
    for row in range(ROWS):
        kind = "cash" if row % 2 else "card"
        price = 10 + (row % 7) * (1 if row % 14 < 7 else -1)
        lines.append(f"{EPOCH + 60 * row},b{row % 2},{price},0,{kind},{'late' if row < 2 else ''}")
    return "\n".join(lines) + "\n"


def furnish(root: Path) -> None:
    """Put the three pods into an app folder: one that trains, one with two rows, a wrong one."""
    for folder in ("spicepods", "data"):
        (root / folder).mkdir(exist_ok=True)
    text = sales()
    (root / "data" / "sales.csv").write_text(text)
    (root / "data" / "few.csv").write_text("\n".join(text.splitlines()[:3]) + "\n")
    for name, text in (("shop", SHOP), ("sleeper", SLEEPER), ("broken", BROKEN)):
        (root / "spicepods" / f"{name}.yaml").write_text(text)


@dataclass(frozen=True)
class Reply:
    """What an engine answered."""

    status: int
    text: str
    headers: Message = field(repr=False)

    @property
    def kind(self) -> str:
        """The media type."""
        return self.headers.get_content_type() if "Content-Type" in self.headers else ""

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.text)


def ask(
    url: str, body: bytes | str | list[Any] | dict[str, Any] | None = None, **headers: str
) -> Reply:
    """One request, a POST where there is a body; underscores in names of headers are hyphens."""
    if isinstance(body, list | dict):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return Reply(reply.status, reply.read().decode(), reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read().decode(), error.headers)


def state(engine: EngineFixture, name: str) -> str:
    """The state of a pod."""
    return engine.call("pods.get", pod=name)["state"]


def url(engine: EngineFixture, path: str) -> str:
    """A path of the v0.1 API."""
    return f"{engine.http}/api/v0.1/{path}"
