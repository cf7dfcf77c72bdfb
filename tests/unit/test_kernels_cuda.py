"""The CUDA kernels, run by numba's simulator: equal to the CPU's, bit for bit."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spice_engine.learning.kernels.devices import Devices
from spice_engine.learning.simulated_kernel_cuda import rewritten
from spice_engine.learning.simulated_kernel_text import write_module
from spice_engine.learning.simulator import Simulator
from tests.unit import gpu_episodes, gpu_kernels, gpu_networks

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.numbers
def test_every_kernel_agrees_with_the_cpu_to_the_bit_and_networks_up_to_rounding() -> None:
    # In a process of its own: numba decides when it is imported what CUDA is.
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.gpu_kernels"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": f"{ROOT / 'engine'}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = (*gpu_kernels.CASES, "halved", "replaced", *gpu_networks.CASES, *gpu_episodes.CASES)
    assert json.loads(done.stdout) == dict.fromkeys(wanted, True)


@pytest.mark.numbers
def test_nothing_of_a_pod_is_left_to_a_gpu_that_it_would_round_otherwise() -> None:
    tree = rewritten(write_module(Simulator(gpu_episodes.pod())).text)
    nodes = [node for one in tree.body for node in ast.walk(one)]
    assert not any(isinstance(node, ast.Mult) for node in nodes)
    of_numpy = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    types = {"np.uint64", "np.int64", "np.float32", "np.bool_"}
    assert {one for one in of_numpy if one.startswith("np.")} <= {
        *types,
        "np.inf",
        "np.nan",
        "np.empty",
    }


@pytest.mark.numbers
def test_without_a_gpu_the_processor_learns_and_who_asked_is_told_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    given = gpu_kernels.course(1, 40)
    learned = []
    for accelerator in ("cuda", "auto", "cpu"):
        devices = Devices(accelerator)
        members = gpu_kernels.population(given, 3, 0.0)
        devices.learn(members, given, 2, lambda: None)
        learned.append(members.values)
        assert devices.name == "cpu"
        told = "pip install 'spice-tui[cuda]'. The processor is used."
        assert [told in note for note in devices.notes] == ([True] if accelerator == "cuda" else [])
    assert learned[0].any()
    assert all(np.array_equal(one, learned[0]) for one in learned)
