"""The sample apps as their READMEs tell: added to a folder, trained, driven by their clients."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spice_engine.pods.samples import samples_folder
from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e

NAMES = ("cartpole", "gardener", "logpruner", "serverops", "trader")
CLASSES = {"cartpole": "gym", "trader": "simulated"}


@pytest.fixture(scope="module")
def app(shared_engine: EngineFixture) -> EngineFixture:
    """One app folder with all samples in it, trained to the end."""
    for name in NAMES:
        shared_engine.call("samples.add", name=f"samples/{name}")

    def states() -> dict[str, str]:
        pods = shared_engine.call("pods.list")["pods"]
        return {pod["name"]: pod["state"] for pod in pods}

    wait_for(lambda: states() == dict.fromkeys(NAMES, "ready"), "the samples' policies", 90)
    return shared_engine


def client(app: EngineFixture, name: str, *flags: str) -> str:
    """What the client of a sample prints; it must end well."""
    command = [sys.executable, "client.py", app.http, *flags]
    done = subprocess.run(
        command,
        cwd=samples_folder() / name,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_trained_and_says_so_honestly(app: EngineFixture, name: str):
    info = app.call("pods.get", pod=name)
    assert info["evaluation"]["beats_best_constant"] is True
    assert info["evaluation"]["problem_class"] == CLASSES.get(name, "contextual")
    assert info["problems"] == []


def test_the_pole_is_balanced_question_by_question(app: EngineFixture):
    said = client(app, "cartpole", "--episodes", "1")
    pod, chance = map(int, re.findall(r"(\d+) (?:steps by|by chance)", said))
    assert pod > 350
    assert chance < 100


def test_the_gardener_keeps_the_soil_better_than_a_timer(app: EngineFixture):
    said = client(app, "gardener", "--days", "7")
    healthy = [int(share) for share in re.findall(r"healthy soil (\d+)%", said)]
    assert len(healthy) == 2
    assert healthy[0] > healthy[1]


def test_the_gardener_goes_on_where_it_stopped(app: EngineFixture):
    before = app.call("pods.recommend", pod="gardener")["end"]
    client(app, "gardener", "--days", "0.5")
    assert app.call("pods.recommend", pod="gardener")["end"] == before + 12 * 3600


def test_the_trader_trades_within_its_means(app: EngineFixture):
    said = client(app, "trader", "--candles", "100")
    assert re.search(r"\d+ trades; worth \d+\.\d+ USD", said)
    # The pod knew every time what it owned: it never advised what a law forbids.
    assert "cannot" not in said
    rows = app.call("pods.observations", pod="trader", format="csv")["text"].splitlines()
    header = rows[0].split(",")
    coins = header.index("local.portfolio.coins")
    assert all(float(row.split(",")[coins]) >= 0 for row in rows[-100:])


def test_the_log_pruner_reads_events_with_categories_and_tags(app: EngineFixture):
    said = client(app, "logpruner", "--days", "2")
    taken = re.search(r"^\{(.*)\}; the disk was (\d+) % full at most", said, re.MULTILINE)
    assert taken
    assert sum(int(count) for count in re.findall(r": (\d+)", taken[1])) == 192
    rows = app.call("pods.observations", pod="logpruner", format="csv")["text"].splitlines()
    assert "server_logs_level-error" in rows[0]
    assert rows[0].endswith("tags")


def test_a_client_without_an_engine_says_so(tmp_path: Path):
    command = [sys.executable, "client.py", "http://127.0.0.1:9"]
    for name in NAMES:
        done = subprocess.run(
            command,
            cwd=samples_folder() / name,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 1
        assert "the engine does not answer on http://127.0.0.1:9" in done.stderr
