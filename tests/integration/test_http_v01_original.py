"""The v0.1 API as the original was: `compat: strict`, and answers of its own test pods."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from v01_world import EPOCH, ROWS, Reply, ask, furnish, state, url

from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e

TRADER = """
name: trader
params: {epoch_time: 1605312000, period: 1440h, interval: 6h, granularity: 30m, episodes: 1}
dataspaces:
  - from: coinbase
    name: btcusd
    measurements: [{name: close}]
    data:
      connector: {name: file, params: {path: data/btcusd.csv}}
      processor: {name: csv}
  - from: local
    name: portfolio
    measurements: [{name: usd_balance, initializer: 1000}, {name: btc_balance, initializer: 1}]
actions: [{name: hold}, {name: sell}]
training:
  algorithm: linear
  rewards: [{reward: hold, with: reward = 1}, {reward: sell, with: reward = 0}]
"""
EVENTS = """
name: event-categories
params: {epoch_time: 1610057400, period: 24h, interval: 4000s, granularity: 400s}
dataspaces:
  - from: event
    name: stream
    measurements:
      - {name: duration, selector: length_of_time}
      - {name: guest_count, selector: num_guests}
      - {name: ticket_price}
    categories:
      - {name: event_type, values: [dinner, dance, party, football_game, concert]}
      - {name: target_audience, values: [employees, investors, cohort_a]}
    data:
      connector: {name: file, params: {path: data/csv_data_with_categories.csv}}
      processor: {name: csv}
actions: [{name: action_one}, {name: action_two}]
training:
  rewards: [{reward: action_one, with: reward = 1}, {reward: action_two, with: reward = 0}]
"""


@pytest.fixture
def strict(engine: EngineFixture) -> EngineFixture:
    """An engine that answers exactly as the original did."""
    furnish(engine.location.root)
    (engine.location.root / "spice.config.yaml").write_text("compat: strict\n")
    engine.start()
    wait_for(lambda: len(engine.call("pods.list")["pods"]) == 3, "the pods")
    wait_for(lambda: state(engine, "shop") == "ready", "the policy of shop")
    return engine


def test_strict(strict: EngineFixture) -> None:
    def post(path: str, body: str, **headers: str) -> Reply:
        return ask(url(strict, f"pods/{path}"), body, **headers)

    assert ask(url(strict, "pods/broken")).json == {
        "name": "broken",
        "manifest_path": "spicepods/broken.yaml",
    }
    assert post("shop/train", "").status == 400
    assert post("shop/train", '{"learning_algorithm": "x"}').status == 500
    assert post("sleeper/train", "{}").status == 500
    taken = post("shop/observations", f"time,till.sales.price\n{EPOCH + 60 * ROWS},1\n")
    assert taken.status == 201
    assert not {"X-Rows", "X-Bad-Rows", "X-Duplicate"} & set(taken.headers)
    as_json = post("shop/observations", "[]", Content_Type="application/json")
    assert as_json.status == 400
    assert as_json.text.startswith("error processing csv: ")
    failed = post("shop/dataspaces/till/sales/data", "zeit\n1\n")
    assert (failed.status, failed.text) == (500, "")
    item = [{"Start": EPOCH, "End": EPOCH + 1, "Extra": 1}]
    assert post("shop/interpretations", json.dumps(item)).status == 201
    reply = ask(url(strict, "pods/shop/models/v1/recommendation"))
    assert reply.status in {200, 400}
    reply = ask(url(strict, "pods/shop/models/nothing/recommendation"))
    assert reply.json["response"]["result"] == "tag_not_yet_supported"
    run = ask(url(strict, "pods/shop/training_runs/1")).json
    assert all("error" not in episode for episode in run["episodes"])


# -- the original's own fixtures


@pytest.fixture(scope="module")
def originals(shared_engine: EngineFixture, cases: Path) -> EngineFixture:
    """An engine with two of the original's test pods."""
    root = shared_engine.location.root
    for folder in ("spicepods", "data"):
        (root / folder).mkdir(exist_ok=True)
    for name in ("btcusd.csv", "csv_data_with_categories.csv"):
        (root / "data" / name).write_bytes((cases / "data" / name).read_bytes())
    (root / "spicepods" / "trader.yaml").write_text(TRADER)
    (root / "spicepods" / "event-categories.yaml").write_text(EVENTS)
    names = {"trader", "event-categories"}
    wait_for(
        lambda: names <= {pod["name"] for pod in shared_engine.call("pods.list")["pods"]},
        "the pods",
    )
    wait_for(lambda: state(shared_engine, "trader") == "ready", "the trader's policy")
    return shared_engine


def test_the_traders_observations_are_the_originals(originals: EngineFixture, cases: Path) -> None:
    fixtures = cases / "api_fixtures"
    address = url(originals, "pods/trader/observations")
    expected = (fixtures / "GET_observations_trader.csv").read_text().split()
    assert ask(address).text.split() == expected
    as_json = json.loads((fixtures / "GET_observations_trader.json").read_text())
    assert ask(address, Accept="application/json").json == as_json

    additional = (fixtures / "e2e_additional_observations.csv").read_text()
    reply = ask(address, additional)
    assert (reply.status, reply.text) == (201, "")
    pairs = [line.split(",") for line in additional.split()[1:]]
    added = [f"{moment},{float(price):g},,," for moment, price in pairs]
    assert ask(address).text.split() == expected + added
    answer = ask(url(originals, "pods/trader/recommendation")).json
    last = int(additional.split()[-1].split(",")[0])
    assert answer["end"] == last + 1800
    assert answer["start"] == answer["end"] - 6 * 3600

    said = json.loads((fixtures / "e2e_additional_interpretations.json").read_text())
    assert ask(url(originals, "pods/trader/interpretations"), said).status == 201
    assert ask(url(originals, "pods/trader/interpretations")).json == said


def test_categories_have_the_originals_columns_and_the_data_it_left_out(
    originals: EngineFixture, cases: Path
) -> None:
    fixture = (cases / "api_fixtures" / "GET_observations_event-categories.csv").read_text()
    expected = list(csv.DictReader(io.StringIO(fixture)))
    served = ask(url(originals, "pods/event-categories/observations")).text
    found = list(csv.DictReader(io.StringIO(served)))
    assert served.splitlines()[0] == fixture.splitlines()[0]
    assert [row["time"] for row in found] == [row["time"] for row in expected]
    # The original's are empty: its answer held the times only.
    assert found[0]["event.stream.duration"] == "10"
    assert found[0]["event_stream_event_type-dinner"] == "1"
    assert found[0]["event_stream_event_type-dance"] == "0"
    assert found[0]["tags"] == ""
