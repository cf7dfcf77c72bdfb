"""Metrics of Keras without a word in the script: what an epoch logs is sent as `keras/NAME`."""

# What Keras gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from spice_runtime import run_metrics

if TYPE_CHECKING:
    from types import ModuleType

PREFIX = "keras/"


def watch(module: ModuleType) -> None:
    """Have each list of callbacks of this module, which has Keras's, send what an epoch logs."""
    made: Any = getattr(module, "CallbackList", None)
    base: Any = getattr(module, "Callback", None)
    if made is None or base is None or hasattr(made, "_spice_begin"):
        return
    begin = made.__init__

    class Sender(base):
        """Sends what each epoch logs."""

        async_safe = True
        """It does not matter to it from which thread it is called."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            send_epoch(epoch, logs)

    @wraps(begin)
    def begin_watched(self: Any, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        callbacks: Any = getattr(self, "callbacks", None)
        if isinstance(callbacks, list):
            callbacks.append(Sender())

    made._spice_begin = begin
    made.__init__ = begin_watched


def send_epoch(epoch: int, logs: Any) -> None:
    """Send what an epoch logged, at its number; what is no number is left out."""
    file = run_metrics.here()
    if file is None or not isinstance(logs, dict):
        return
    for name, value in logs.items():
        if not isinstance(value, str):
            file.send(f"{PREFIX}{name}", value, epoch)
