"""A training cut by kill -9 goes on from where it was, and comes to the same end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.learning import checkpoints
from spice_engine.learning.checkpoints import Checkpoints, pack_array, unpack_array
from spice_engine.learning.source import Source
from spice_engine.learning.trainer import train
from spice_engine.workers.arrays import save
from spice_engine.workers.child import LocalReport

pytestmark = pytest.mark.numbers

ROWS = 600
DONE = 9
"""Episodes after which the first process is killed; two of them are a population's."""

WORKER = """
import json, sys, time
from spice_engine.learning import checkpoints
from spice_engine.learning.trainer import train
from spice_engine.workers.child import LocalReport

checkpoints.FIRST_SECONDS = checkpoints.BETWEEN_SECONDS = 0.0
checkpoints.SHARE = 0

def tell(data):
    if data["episode"] > int(sys.argv[2]):
        print("there", flush=True)
        time.sleep(600)

train(json.loads(open(sys.argv[1]).read()), LocalReport(tell))
"""


def _source(text: str) -> dict[str, Any]:
    return Source(text, "pod.yaml", 1, 1).as_dict()


def _params(folder: Path, **changes: Any) -> dict[str, Any]:
    """A tank to be filled before it is drawn from, as a trainer is asked for it."""
    rush = (np.arange(ROWS) % 6 >= 4).astype(np.float64)
    names = {"level": "town_tank_level"}
    effects = {"fill": "level += 1", "draw": "level -= 1"}
    pay = {"wait": "0", "fill": "-1", "draw": '3 * current_state["town_water_demand"]'}
    rewards = {name: _source(f"reward = {code}") for name, code in pay.items()}
    params: dict[str, Any] = {
        "values": save(folder, np.stack([np.zeros(ROWS), rush], axis=1)).as_dict(),
        "times": save(folder, 1_700_000_010 + 30 * np.arange(ROWS)).as_dict(),
        "training_rows": ROWS,
        "first_datum": 0,
        "fields": ["town_tank_level", "town_water_demand"],
        "actions": list(pay),
        "rewards": {"init": None, "actions": rewards},
        "simulation": {
            "local": ["town_tank_level"],
            "initial": {"town_tank_level": 0.0},
            "effects": {
                name: {"code": _source(code), "names": names, "args": {}}
                for name, code in effects.items()
            },
            "laws": [
                {"code": _source(law), "names": names} for law in ("level <= 4", "level >= 0")
            ],
        },
        "span": 6,
        "granularity": 30,
        "algorithm": "tabular",
        "episodes": DONE + 2,
        "holdout": 0.2,
        "seed": 0,
        "goal": "",
        "hyperparameters": {},
        "fingerprint": "f" * 64,
    }
    return params | changes


def _killed(folder: Path, params: dict[str, Any], wait: Callable[[Any], None]) -> None:
    """Has a process train, and kills it when it has done DONE episodes."""
    asked = folder / "asked.json"
    asked.write_text(json.dumps(params))
    command = [sys.executable, "-c", WORKER, str(asked), str(DONE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        wait(worker)
        worker.send_signal(signal.SIGKILL)


def test_it_goes_on_after_kill_9(tmp_path: Path) -> None:
    params = _params(tmp_path, checkpoint=str(tmp_path / "kept" / "pod"))

    def there(worker: subprocess.Popen[str]) -> None:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "there\n"

    _killed(tmp_path, params, there)
    kept = Checkpoints.of(params).load()
    assert kept is not None
    told: list[dict[str, Any]] = []
    answer = train(params, LocalReport(told.append))
    # What the first process did is told as it was, and not done again.
    assert told[:DONE] == [{"kind": "episode", **one} for one in kept["told"]]
    assert [one["episode"] for one in told] == list(range(1, DONE + 3))
    assert not list((tmp_path / "kept").iterdir())
    whole = train(_params(tmp_path), LocalReport())
    assert answer["policy"] == whole["policy"]
    assert answer["evaluation"] == whole["evaluation"]


def test_only_the_very_same_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "FIRST_SECONDS", 0.0)
    quick: dict[str, Any] = {"algorithm": "linear", "episodes": 3}
    params = _params(tmp_path, checkpoint=str(tmp_path / "kept" / "pod"), **quick)
    Checkpoints.of(params).offer(lambda: {"told": []})
    assert Checkpoints.of(params).load() == {"told": []}
    # What nobody can go on from is as if it were not there.
    assert train(params, LocalReport())["episodes"] == 3
    Checkpoints.of(params).offer(lambda: {"told": []})
    # The same data in another file are the same.
    assert (
        Checkpoints.of(_params(tmp_path, checkpoint=params["checkpoint"], **quick)).load()
        is not None
    )
    assert Checkpoints.of({**params, "seed": 1}).load() is None
    other = save(tmp_path, np.ones((ROWS, 2))).as_dict()
    assert Checkpoints.of({**params, "values": other}).load() is None
    (tmp_path / "kept" / "pod").write_bytes((tmp_path / "kept" / "pod").read_bytes()[:-1])
    assert Checkpoints.of(params).load() is None
    Checkpoints.of(params).forget()
    assert not (tmp_path / "kept" / "pod").exists()


def test_short_trainings_and_full_disks_keep_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = _params(tmp_path, checkpoint=str(tmp_path / "kept" / "pod"))
    Checkpoints.of(params).offer(lambda: {"told": []})
    assert not (tmp_path / "kept" / "pod").exists()
    monkeypatch.setattr(checkpoints, "FIRST_SECONDS", 0.0)
    (tmp_path / "file").write_text("")
    params["checkpoint"] = str(tmp_path / "file" / "pod")
    Checkpoints.of(params).offer(lambda: {"told": []})
    assert Checkpoints.of(params).load() is None


def test_arrays_are_the_same_and_can_be_changed() -> None:
    for array in (np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2**63], np.uint64)):
        back = unpack_array(pack_array(array))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)
        back[...] = 0
