"""What each Python of a run does at its start: `sitecustomize` beside `spell` leads here.

There is one such module for a Python, so the one that its environment has is run as if ours were
not there. Then Keras is waited for, whose epochs become metrics. Programs that start a thousand
times a run pay for all that is imported here.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

NAME = "sitecustomize"
KERAS = frozenset(
    {
        "keras.src.callbacks.callback_list",
        "keras.src.callbacks",
        "keras.callbacks",
        "tf_keras.src.callbacks",
        "tensorflow.python.keras.callbacks",
    }
)
"""Where Keras has its list of callbacks: 3, 2.13 to 2.15, before, beside 3, and TensorFlow's."""


def begin(ours: str) -> None:
    """Run the environment's own `sitecustomize`, and wait for Keras; `ours` is the file of the
    one that calls."""
    _run_theirs(ours.rpartition(os.sep)[0])
    sys.meta_path.insert(0, _Waiting())


def _run_theirs(folder: str) -> None:
    path = [place for place in sys.path if place != folder]
    spec = _find(NAME, path)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        theirs = sys.modules[NAME] = module_from_spec(spec)
        spec.loader.exec_module(theirs)


def _find(
    name: str,
    path: Sequence[str] | None,
    target: ModuleType | None = None,
    *,
    leave_out: object = None,
) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not leave_out:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


class _Waiting:
    """Finds nothing itself: it has a module of Keras's watched while it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in KERAS:
            return None
        spec = _find(name, path, target, leave_out=self)
        if spec is not None and spec.loader is not None:
            spec.loader = _Watched(spec.loader)  # pyright: ignore[reportAttributeAccessIssue]
        return spec


class _Watched:
    """A loader after which the module's list of callbacks has one more."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        from spice_runtime import keras_metrics

        keras_metrics.watch(module)
