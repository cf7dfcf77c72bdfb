"""Scripts written for Spell, unmodified; models and mounts at their absolute places; metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_runtime import wire
from tests.integration.replica_fixture import Starter, start

__all__ = ["start"]

SPELL = """
import spell.serving.metrics as m
from spell.metrics import send_metric as run_metric
from spell.serving import BasePredictor, metrics, send_metric, with_full_request
from starlette.responses import Response

COUNTERS = [
    m.prometheus.Histogram("scores", "Scores", labelnames=["digit"], labelvalues=[str(n)])
    for n in range(3)
]
plain = metrics.prometheus.Counter("seen", "Seen")

class PythonPredictor(BasePredictor):
    def __init__(self, greeting="hi"):
        self.greeting = greeting

    @with_full_request(name="request")
    def predict(self, payload, request):
        send_metric("confidence", 0.5, tag="cat")
        metrics.send_metric("weird name", 3)
        m.send_metric("nan", float("nan"))
        run_metric("loss", 1.25, index=3)
        COUNTERS[1].observe(0.5)
        plain.inc()
        return {"greeting": self.greeting, "ua": request.headers.get("user-agent")}
"""


def test_an_unmodified_script_runs(start: Starter) -> None:
    replica = start(SPELL)
    assert replica.ready()["class"] == "PythonPredictor"
    answer = replica.lane().call({}, head=b"POST /predict HTTP/1.1\r\nUser-Agent: me\r\n\r\n")
    assert answer.json == {"greeting": "hi", "ua": "me"}
    note = replica.ask(wire.METRICS).json
    values = {(name, tag): value for name, tag, value in note["values"]}
    assert values["confidence", "cat"] == 0.5
    assert (values["weird name", ""], values["loss", ""]) == (3.0, 1.25)
    lines = note["prometheus"].splitlines()
    assert 'spell:custom:confidence{spell_metric_name="confidence",spell_tag="cat"} 0.5' in lines
    weird = b"weird name".hex().upper()
    assert f'spell:custom:{weird}{{spell_metric_name="weird name",spell_tag=""}} 3.0' in lines
    assert 'spell:custom:nan{spell_metric_name="nan",spell_tag=""} NaN' in lines
    assert 'scores_count{digit="1"} 1.0' in lines
    assert "seen_total 1.0" in lines
    assert not any(line.startswith(("python_", "process_")) for line in lines)


def test_a_metric_that_is_no_number_is_the_predictors_error(start: Starter) -> None:
    source = """
from spice_runtime import BasePredictor, send_metric
import numpy as np
class P(BasePredictor):
    def predict(self, payload):
        send_metric("ok", np.array([2]))
        send_metric("ok2", [np.float32(1.5)])
        send_metric("bad", payload)
"""
    replica = start(source)
    replica.ready()
    lane = replica.lane()
    assert lane.call("text").status == 500
    assert lane.call([1, 2]).status == 500
    assert replica.ask(wire.METRICS).json["values"] == [["ok", "", 2.0], ["ok2", "", 1.5]]
    assert "the value of a metric must be a number, not 'text'" in replica.output()


MODELS = """
import os, pathlib, subprocess
from spice_runtime import BasePredictor
class P(BasePredictor):
    def __init__(self):
        self.text = open("/model/weights.txt").read()
    def predict(self, payload):
        info = self.model_info
        infos = info if isinstance(info, list) else [info]
        place = os.environ["SPICE_MODEL_DIR"]
        return {
            "text": self.text,
            "named": pathlib.Path("/model/demo/weights.txt").read_text(),
            "by path": (self.model_path("demo") / "weights.txt").read_text(),
            "infos": [[each.name, each.version, str(each.path())] for each in infos],
            "mount": open("/mounts/vocab/words").read(),
            "c code": subprocess.check_output(["cat", place + "/weights.txt"]).decode(),
            "cwd": os.getcwd(), "work": open("note.txt").read(),
        }
"""


def folders(tmp_path: Path) -> dict[str, object]:
    """Models and mounts as the deployment lays them out."""
    for place in ("model/demo", "mounts/vocab", "0/code"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "model/demo/weights.txt").write_text("w")
    (tmp_path / "model/weights.txt").hardlink_to(tmp_path / "model/demo/weights.txt")
    (tmp_path / "mounts/vocab/words").write_text("words")
    return {
        "models": [{"name": "demo", "version": "v2", "path": "x"}],
        "model_dir": str(tmp_path / "model"),
        "mounts_dir": str(tmp_path / "mounts"),
    }


def test_models_and_mounts_are_at_their_absolute_places(tmp_path: Path) -> None:
    from tests.integration.replica_client import ReplicaProcess

    job = folders(tmp_path)
    (tmp_path / "0/code/note.txt").write_text("here")
    replica = ReplicaProcess(tmp_path / "0", MODELS, **job)
    try:
        way = replica.ready()["model_path"]
        assert way in ("namespace", "symlink", "patched")
        answer = replica.lane().call().json
        path = "/model/demo" if way != "patched" else str(tmp_path / "model/demo")
        assert answer == {
            "text": "w",
            "named": "w",
            "by path": "w",
            "infos": [["demo", "v2", path]],
            "mount": "words",
            "c code": "w",
            "cwd": str(tmp_path / "0/code"),
            "work": "here",
        }
        if way == "namespace":
            # Nothing of it is seen outside.
            assert not Path("/model/demo").exists()
    finally:
        replica.close()


@pytest.mark.parametrize(
    ("models", "name", "answer"),
    [
        ([], None, "No model metadata found"),
        (["a"], None, "/model/a"),
        (["a"], "a", "/model/a"),
        (["a", "b"], "b", "/model/b"),
        (["a", "b"], None, "Multiple models found. Specify a model name"),
        (["a", "b"], "c", "Model c not found in server. Found a, b"),
    ],
)
def test_paths_of_models(start: Starter, models: list[str], name: str | None, answer: str) -> None:
    source = """
from spice_runtime import BasePredictor
class P(BasePredictor):
    def predict(self, payload):
        try:
            return str(self.model_path(payload))
        except ValueError as error:
            return str(error)
"""
    replica = start(source, models=[{"name": each, "version": "v1", "path": ""} for each in models])
    replica.ready()
    assert replica.lane().call(name).text == answer
