"""Predictors that do not work: why is told, the exit code is 3, and nobody else suffers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from spice_runtime import wire
from tests.conftest import wait_for
from tests.integration.replica_fixture import Starter, start

__all__ = ["start"]

CLASS = "from spice_runtime import BasePredictor\nclass {}(BasePredictor):\n    {}\n"
PREDICT = "def predict(self, payload): return payload"


def test_no_class(start: Starter) -> None:
    failed(start, "x = 1", "No predictors found. Make sure your predictors extend BasePredictor.")


def test_two_classes(start: Starter) -> None:
    source = CLASS.format("A", PREDICT) + "class B(A): pass\n"
    failed(
        start, source, "More than one predictor found, but no classname was specified. Found (A, B)"
    )
    failed(
        start,
        source,
        "No predictor named Z was found. The predictors found were (A, B)",
        classname="Z",
    )
    replica = start(source, classname="B")
    assert replica.ready()["class"] == "B"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        (CLASS.format("P", "pass"), 'Required function "predict" is not defined'),
        (CLASS.format("P", "predict = 5"), '"predict" is defined, but is not a function'),
        (CLASS.format("P", PREDICT + "\n    def __init__(self): 1/0"), "ZeroDivisionError"),
        (
            CLASS.format(
                "P",
                PREDICT
                + "\n    def __init__(self): self.f()\n    def f(self): raise KeyError('lost')",
            ),
            "KeyError: 'lost'",
        ),
        (
            CLASS.format("P", PREDICT + "\n    def __init__(self, size): pass"),
            "missing 1 required positional argument: 'size'",
        ),
    ],
)
def test_a_module_or_class_that_does_not_work(start: Starter, source: str, reason: str) -> None:
    failed(start, source, reason)


def failed(start: Starter, source: str, reason: str, **job: Any) -> None:
    replica = start(source, **job)
    state = replica.state()
    assert state["state"] == "failed"
    assert reason in state["message"]
    assert replica.process.wait(10) == 3
    assert reason in replica.output()


def test_config_goes_to_init(start: Starter) -> None:
    source = CLASS.format(
        "P",
        "def __init__(self, a, b=2): self.sum = a + b\n"
        "    def predict(self, payload): return self.sum",
    )
    replica = start(source, config={"a": 40})
    replica.ready()
    assert replica.lane().call().text == "42"
    failed(start, source, "unexpected keyword argument 'c'", config={"a": 1, "c": 2})


@pytest.mark.parametrize(
    ("entrypoint", "reason"),
    [
        ("serve.txt", "Predictor must be in a Python file"),
        ("my-pred.py", "Invalid python path element my-pred"),
        ("spell/serve.py", 'Top-level module for predictor cannot be named "spell"'),
        ("missing.py", "there is no file missing.py"),
        ("json.py", "The module json is "),
    ],
)
def test_entrypoints_that_are_no_module(
    start: Starter, tmp_path: Path, entrypoint: str, reason: str
) -> None:
    code = tmp_path / "0" / "code"
    (code / "spell").mkdir(parents=True)
    (code / "spell/__init__.py").touch()
    for name in ("serve.txt", "my-pred.py", "spell/serve.py", "json.py"):
        (code / name).write_text(CLASS.format("P", PREDICT))
    from tests.integration.replica_client import ReplicaProcess

    replica = ReplicaProcess(tmp_path / "0", entrypoint=entrypoint)
    try:
        state = replica.state()
        assert reason in state["message"]
        assert replica.process.wait(10) == 3
    finally:
        replica.close()


def test_packages_and_siblings_are_importable(tmp_path: Path) -> None:
    from tests.integration.replica_client import ReplicaProcess

    code = tmp_path / "code"
    (code / "pkg/sub").mkdir(parents=True)
    for name in ("pkg/__init__.py", "pkg/sub/__init__.py"):
        (code / name).touch()
    (code / "top.py").write_text("HERE = 'top'")
    (code / "pkg/sub/helper.py").write_text("HERE = 'helper'")
    (code / "pkg/sub/serve.py").write_text(
        "import os\nimport top\nfrom . import helper\n"
        + CLASS.format(
            "P", "def predict(self, payload): return [__name__, top.HERE, helper.HERE, os.getcwd()]"
        )
    )
    replica = ReplicaProcess(tmp_path, entrypoint="pkg/sub/serve.py")
    try:
        replica.ready()
        assert replica.lane().call().json == ["pkg.sub.serve", "top", "helper", str(code)]
    finally:
        replica.close()


def test_an_init_that_blocks_says_loading_and_can_be_ended(start: Starter) -> None:
    source = CLASS.format(
        "P", PREDICT + "\n    def __init__(self):\n        import time; time.sleep(600)"
    )
    replica = start(source)
    assert replica.connect().hello.json["state"] == "loading"
    assert replica.ask(wire.HEALTH).status == 503
    assert replica.ask(wire.METRICS).json["values"] == []
    assert replica.drain() == 0


def test_megabytes_of_output_disturb_nothing(start: Starter) -> None:
    replica = start(
        CLASS.format(
            "P", "def predict(self, payload):\n        print('x' * 3_000_000)\n        return 1"
        )
    )
    replica.ready()
    assert replica.lane().call().text == "1"
    wait_for(lambda: len(replica.output()) > 3_000_000, "the output")


def test_os_exit_ends_the_replica_and_the_page_names_the_call(start: Starter) -> None:
    replica = start(
        CLASS.format("P", "def predict(self, payload):\n        import os; os._exit(7)")
    )
    replica.ready()
    lane = replica.lane()
    ident = lane.begin(1)
    with pytest.raises(ConnectionResetError):
        lane.read()
    assert replica.process.wait(10) == 7
    assert replica.started()[0] == ident


def test_a_predictor_may_fork_and_start_processes(start: Starter) -> None:
    source = """
import multiprocessing, os, subprocess, sys
from spice_runtime import BasePredictor
class P(BasePredictor):
    def predict(self, payload):
        pid = os.fork()
        if pid == 0:
            os._exit(5)
        code = os.waitpid(pid, 0)[1] >> 8
        out = subprocess.run([sys.executable, "-c", "print(6)"], capture_output=True).stdout
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return [code, int(out), pool.map(abs, [-7])]
"""
    replica = start(source)
    replica.ready()
    assert replica.lane().call().json == [5, 6, [7]]


def test_a_forked_child_does_not_disturb_the_lane(start: Starter) -> None:
    source = """
import os, time
from spice_runtime import BasePredictor
class P(BasePredictor):
    def predict(self, payload):
        if payload == "fork" and os.fork() == 0:
            time.sleep(0.2)
            os._exit(0)
        return payload
"""
    replica = start(source)
    replica.ready()
    lane = replica.lane()
    assert [lane.call("fork").text, lane.call("a").text] == ["fork", "a"]
    time.sleep(0.4)
    assert lane.call("b").text == "b"


def test_health_that_raises_or_hangs_does_not_stop_the_rest(start: Starter) -> None:
    source = """
import time
from spice_runtime import BasePredictor
class P(BasePredictor):
    def predict(self, payload):
        return payload
    def health(self):
        if self.__dict__.setdefault("asked", False):
            time.sleep(600)
        self.asked = True
        raise ValueError("ill")
"""
    replica = start(source)
    replica.ready()
    assert replica.ask(wire.HEALTH).status == 500
    replica.connect().send(wire.frame(wire.HEALTH, 2))
    assert replica.ask(wire.METRICS).json["busy"] == []
    assert replica.lane().call(1).text == "1"
    assert replica.drain() == 0


def test_an_unusable_description_ends_with_2(tmp_path: Path) -> None:
    import subprocess
    import sys

    from tests.integration.replica_client import REPLICA

    note = tmp_path / "replica.json"
    for text in ("{", "[]", "{}"):
        note.write_text(text)
        ended = subprocess.run(
            [sys.executable, "-s", REPLICA, note], capture_output=True, text=True, timeout=20
        )
        assert ended.returncode == 2
        assert "no usable replica.json" in ended.stderr
