"""Which GPUs are a run's, and what the driver's answers become; the driver is played here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from spice_engine.runs.gpu_usage import Gpus


class NVMLError(Exception):
    pass


def refuse(*_: Any) -> Any:
    raise NVMLError("not supported")


def driver(**changed: Any) -> Any:
    """NVML with two GPUs; process 70 computes on the second."""
    answers = {
        "NVMLError": NVMLError,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetComputeRunningProcesses": lambda one: (
            [SimpleNamespace(pid=70)] if one == 1 else []
        ),
        "nvmlDeviceGetName": lambda one: b"H200" if one == 0 else "H201",
        "nvmlDeviceGetMemoryInfo": lambda one: SimpleNamespace(used=one + 1, total=10),
        "nvmlDeviceGetUtilizationRates": lambda one: SimpleNamespace(gpu=50 + one, memory=5),
        "nvmlDeviceGetPerformanceState": lambda one: one,
        "nvmlDeviceGetTemperature": lambda one, kind: 40 + one + kind,
        "nvmlDeviceGetPowerUsage": lambda one: 100_000 + one,
        "nvmlDeviceGetEnforcedPowerLimit": refuse,
    }
    return SimpleNamespace(**(answers | changed))


def test_a_run_has_the_gpus_it_was_given_and_those_it_computes_on() -> None:
    gpus = Gpus(driver)
    found = gpus.read({1: ({10, 11}, (0,)), 2: ({70}, ()), 3: ({99}, ())})
    assert [[one.number for one in each] for each in found.values()] == [[0], [1], []]
    first, second = found[1][0], found[2][0]
    assert (first.name, second.name) == ("H200", "H201")
    assert (second.temperature, second.power_draw, second.power_limit) == (41.0, 100.001, None)
    assert (second.utilization, second.memory_utilization) == (51.0, 5.0)
    assert (second.memory_used, second.memory_total, second.performance_state) == (2, 10, "P1")


def test_without_driver_or_library_there_are_none() -> None:
    def missing() -> Any:
        raise ImportError("pynvml")

    for library in (missing, lambda: driver(nvmlInit=refuse)):
        assert Gpus(library).read({1: ({10}, (0,))}) == {}


def test_a_driver_that_tells_little_is_no_error() -> None:
    names = [name for name in vars(driver()) if name.startswith("nvmlDeviceGet")]
    silent = dict.fromkeys(names[2:], refuse)
    (found,) = Gpus(lambda: driver(**silent)).read({1: ({10}, (1,))})[1]
    assert (found.name, found.temperature, found.memory_total) == ("", None, 0)
