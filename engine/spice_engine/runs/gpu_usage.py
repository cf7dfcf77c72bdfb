"""What GPUs do, as NVIDIA's driver tells (NVML, by the extra `cuda`). Everything here blocks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from spice_engine.protocol.run_metrics import GpuStats


class Gpus:
    """The GPUs of this machine; none where there is no driver or no library for it.

    `library` is `pynvml`, or what imports it when it is first needed.
    """

    def __init__(self, library: Callable[[], Any] | None = None) -> None:
        self._find = library or (lambda: importlib.import_module("pynvml"))
        self._library: Any = None
        self._handles: list[Any] | None = None

    def read(
        self, runs: dict[int, tuple[Collection[int], Sequence[int]]]
    ) -> dict[int, list[GpuStats]]:
        """The GPUs of each run, by its processes and the numbers of the GPUs it was given: those,
        and any on which one of its processes computes."""
        handles = self._open()
        if not handles:
            return {}
        found: dict[int, list[GpuStats]] = {run: [] for run in runs}
        for number, handle in enumerate(handles):
            computing = self._computing(handle)
            users = [
                run
                for run, (pids, given) in runs.items()
                if number in given or not computing.isdisjoint(pids)
            ]
            if not users:
                continue
            stats = self._stats(number, handle)
            for run in users:
                found[run].append(stats)
        return found

    def _open(self) -> list[Any]:
        if self._handles is None:
            self._handles = []
            try:
                library = self._library = self._find()
            except ImportError:
                return self._handles
            try:
                library.nvmlInit()
                count = library.nvmlDeviceGetCount()
                self._handles = [library.nvmlDeviceGetHandleByIndex(one) for one in range(count)]
            except library.NVMLError:
                pass  # there is no driver
        return self._handles

    def _computing(self, handle: Any) -> set[int]:
        processes = self._ask(self._library.nvmlDeviceGetComputeRunningProcesses, handle)
        return {int(one.pid) for one in processes or ()}

    def _stats(self, number: int, handle: Any) -> GpuStats:
        library, ask = self._library, self._ask
        name = ask(library.nvmlDeviceGetName, handle) or ""
        memory = ask(library.nvmlDeviceGetMemoryInfo, handle)
        rates = ask(library.nvmlDeviceGetUtilizationRates, handle)
        state = ask(library.nvmlDeviceGetPerformanceState, handle)
        return GpuStats(
            number,
            name.decode() if isinstance(name, bytes) else str(name),
            _number(ask(library.nvmlDeviceGetTemperature, handle, library.NVML_TEMPERATURE_GPU)),
            _number(ask(library.nvmlDeviceGetPowerUsage, handle), 0.001),
            _number(ask(library.nvmlDeviceGetEnforcedPowerLimit, handle), 0.001),
            _number(None if rates is None else rates.gpu),
            _number(None if rates is None else rates.memory),
            0 if memory is None else int(memory.used),
            0 if memory is None else int(memory.total),
            "" if state is None else f"P{state}",
        )

    def _ask(self, question: Callable[..., Any], *about: Any) -> Any:
        """An answer of the driver; None where it has none."""
        try:
            return question(*about)
        except self._library.NVMLError:
            return None


def _number(value: Any, unit: float = 1.0) -> float | None:
    return None if value is None else float(value) * unit
