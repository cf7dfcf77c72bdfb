"""Servers of model files without a script, with the real libraries where they are installed.

`SPICE_MODELS_PYTHON` names an interpreter that has onnx, onnxruntime, scikit-learn, joblib and
torch; without it, this one is looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spice_runtime import wire
from tests.integration.replica_client import ReplicaProcess
from tests.integration.replica_fixture import Starter, start

__all__ = ["start"]

PYTHON = os.environ.get("SPICE_MODELS_PYTHON") or sys.executable

ONNX = """
import onnx
from onnx import TensorProto, helper
def values(*names):
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in names]
nodes = [
    helper.make_node("Add", ["a", "b"], ["sum"]),
    helper.make_node("Mul", ["a", "b"], ["product"]),
]
graph = helper.make_graph(nodes, "g", values("a", "b"), values("sum", "product"))
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.save(model, "model.onnx")
"""
SKLEARN = """
import joblib, numpy as np
from sklearn.linear_model import LogisticRegression
rows = np.array([[0.0], [1.0], [2.0], [3.0]])
joblib.dump(LogisticRegression().fit(rows, [0, 0, 1, 1]), "model.joblib")
"""
TORCH = """
import torch
class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2
torch.jit.trace(Double(), torch.ones(2)).save("model.pt")
"""


def made(tmp_path: Path, code: str, *modules: str, **job: Any) -> ReplicaProcess:
    """A replica of the model that the code writes."""
    have = subprocess.run(
        [PYTHON, "-c", "\n".join(f"import {name}" for name in modules)], capture_output=True
    )
    if have.returncode:
        pytest.skip(f"{' and '.join(modules)} must be installed")
    folder = tmp_path / "model"
    folder.mkdir()
    subprocess.run([PYTHON, "-c", code], check=True, cwd=folder, timeout=100)
    return ReplicaProcess(
        tmp_path,
        python=PYTHON,
        entrypoint="",
        models=[{"name": "m", "version": "v1", "path": str(folder)}],
        model_dir=str(folder),
        **job,
    )


def test_an_onnx_model(tmp_path: Path) -> None:
    replica = made(tmp_path, ONNX, "onnx", "onnxruntime", type="onnx")
    try:
        replica.ready()
        lane = replica.lane()
        answer = lane.call({"a": [[1, 2]], "b": [[3, 4]]})
        assert answer.json == {"sum": [[4.0, 6.0]], "product": [[3.0, 8.0]]}
        assert lane.call([[1, 2]]).status == 422
        assert lane.call({"a": [[1, 2, 3]], "b": [[3, 4, 5]]}).status == 422
        assert lane.call({"a": [["x", 2]], "b": [[3, 4]]}).status == 422
        body = (
            b'{"inputs":[{"name":"a","datatype":"FP32","shape":[1,2],"data":[1,2]},'
            b'{"name":"b","datatype":"FP32","shape":[1,2],"data":[3,4]}]}'
        )
        head = b"POST /v2/models/m/infer HTTP/1.1\r\n\r\n"
        outputs = lane.call(raw=body, head=head, codec=wire.INFER).json["outputs"]
        assert [each["name"] for each in outputs] == ["sum", "product"]
        assert (outputs[0]["datatype"], outputs[0]["data"]) == ("FP32", [4.0, 6.0])
    finally:
        replica.close()


@pytest.mark.parametrize(
    ("config", "answer"),
    [({}, [0, 1]), ({"method": "predict_proba", "file": "model.joblib"}, None)],
)
def test_a_model_of_scikit_learn(tmp_path: Path, config: dict[str, str], answer: Any) -> None:
    replica = made(tmp_path, SKLEARN, "sklearn", "joblib", type="sklearn", config=config)
    try:
        replica.ready()
        lane = replica.lane()
        got = lane.call([[0], [3]]).json
        assert got == answer if answer else [round(sum(row)) for row in got] == [1, 1]
        refused = lane.call([[1, 2]])
        assert refused.status == 422
        assert "features" in refused.json["detail"]
        tensor = {"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [0.0, 3.0]}
        head = b"POST /v2/models/test/infer HTTP/1.1\r\n\r\n"
        inferred = lane.call({"inputs": [tensor]}, codec=wire.INFER, head=head)
        assert inferred.status == 200
    finally:
        replica.close()


def test_a_torchscript_model(tmp_path: Path) -> None:
    replica = made(tmp_path, TORCH, "torch", type="torchscript")
    try:
        replica.ready()
        lane = replica.lane()
        assert lane.call([[1, 2.5]]).json == [[2.0, 5.0]]
        assert lane.call({"x": [1]}).json == [2]
        assert lane.call("text").status == 422
    finally:
        replica.close()


@pytest.mark.parametrize(
    ("kind", "package"),
    [("onnx", "onnxruntime"), ("sklearn", "scikit-learn"), ("torchscript", "torch")],
)
def test_a_library_that_is_missing_is_named(start: Starter, kind: str, package: str) -> None:
    module = "sklearn" if kind == "sklearn" else package
    if (
        subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode
        == 0
    ):
        pytest.skip(f"{package} is installed")
    state = start(type=kind).state()
    assert state["state"] == "failed"
    assert f"add --pip {package}" in state["message"]


def test_an_unknown_type_is_refused(start: Starter) -> None:
    assert "no server of type cobol" in start(type="cobol").state()["message"]
