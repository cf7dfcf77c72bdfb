"""Compiles the module of a pod, in this process or first in one of its own.

Numba holds the interpreter lock while it compiles, for seconds: a training beside it in the same
process goes on at a third of its speed. So `python -I -m spice_engine.learning.simulated_compile`
compiles into the cache on disk, and the trainer finds it there.
"""

from __future__ import annotations

import ctypes
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from spice_engine.learning.kernels import compiled
from spice_engine.learning.simulated_kernel_drivers import GREEDY
from spice_engine.learning.simulated_kernel_models import no_model
from spice_engine.learning.simulated_kernel_text import Module

MOST_FILES = 128
"""Modules and notes of what is compiled; those used long ago go first."""

SECONDS = 300.0
_NAME = "spice_engine.learning.simulated_compile"
_DRIVERS = frozenset({"expand", "masks", "roll", "learn"})

Functions = dict[str, Any]


def load(module: Module) -> Functions:
    """The functions of a module, to be compiled when they are called."""
    path = _file(module.text)
    code: CodeType = compile(module.text, str(path), "exec")
    # What numba kept of a function is only found again while its module can be imported.
    made = sys.modules.setdefault(path.stem, ModuleType(path.stem))
    namespace = vars(made)
    namespace["__file__"] = str(path)
    exec(code, namespace)
    for name in module.functions:
        # Small ones become part of their callers; numba finds those again by the module's file.
        small = name not in _DRIVERS
        namespace[name] = compiled.njit(namespace[name], inline=small, apart=not small)
    return namespace


def warm(functions: Functions, module: Module) -> None:
    """Compiles what trying states and rollouts take, or finds it on the disk.

    No code of the user's runs, so that a thread of its own may do this.
    """
    actions, local = module.actions, module.local
    rows = np.zeros(0, dtype=np.int64)
    data, fixed, states = np.zeros((1, 1)), np.zeros((actions, 1)), np.zeros((0, local))
    lawful, marks = np.zeros((0, actions), dtype=np.bool_), np.zeros(0, dtype=np.bool_)
    following, rewards = np.zeros((0, actions, local)), np.zeros((0, actions))
    functions["expand"](rows, states, data, fixed, rewards, following, lawful)
    functions["masks"](rows, states, data, lawful)
    functions["roll"](
        GREEDY, 0, 0, 0, np.zeros((1, 1), dtype=np.int64), data, fixed, np.zeros((1, local)),
        rows, np.zeros(0), marks, *no_model(actions, local).arrays,
    )  # fmt: skip


def warm_learning(functions: Functions, module: Module) -> None:
    """The same for what a population takes."""
    actions, local = module.actions, module.local
    words, few = np.ones(1, dtype=np.uint64), np.zeros(1, dtype=np.float32)
    whole, none = np.zeros(1, dtype=np.int64), np.zeros(0)
    functions["learn"](
        np.zeros((1, 1, 2 * actions), dtype=np.float32), 0, 0, 0, words,
        np.zeros((1, 3), dtype=np.int64), np.zeros((1, local)), few, few, words,
        words[0], whole, np.zeros((1, local)), 0, 0, 0, 0, 1.0, whole, none, whole, whole,
        np.zeros((1, 1)), np.zeros((actions, 1)), np.zeros(local),
    )  # fmt: skip


def compile_apart(module: Module) -> None:
    """Compiles a module in a process of its own, unless that was done; blocks until it is.

    Where that fails nothing is lost: whoever calls the functions compiles them.
    """
    path = _file(module.text)
    note = path.with_suffix(f".{_versions()}")
    if not path.is_absolute() or note.exists():
        return
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [sys.executable, "-I", "-m", _NAME],
            input=json.dumps(dataclasses.asdict(module)).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode == 0:
            note.touch()


def _versions() -> str:
    """What compiled code depends on besides its text."""
    told = [platform.python_version(), importlib.metadata.version("numba"), platform.node()]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _file(text: str) -> Path:
    """Where a module's text is kept, for numba to know it by.

    Where it can't be written nothing is kept of what is compiled either, and the path is relative.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    folder = compiled.cache_folder() / "pods"
    path = folder / f"pod_{digest}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _tidy(folder)
            # Beside it first, so that nobody ever finds half of it.
            part = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
            part.write_text(text, "utf-8")
            part.rename(path)
    except OSError:
        return Path(path.name)
    return path


def _tidy(folder: Path) -> None:
    """Leaves the newest files."""
    found = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for one in found[MOST_FILES:]:
        one.unlink(missing_ok=True)


def main() -> None:
    """Compiles the module on the standard input."""
    with suppress(OSError, AttributeError):
        # PR_SET_PDEATHSIG: nobody waits for this once the trainer is gone.
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)
    given = json.loads(sys.stdin.buffer.read())
    module = Module(
        given["text"],
        tuple(given["functions"]),
        tuple(given["columns"]),
        given["actions"],
        given["local"],
    )
    functions = load(module)
    warm(functions, module)
    warm_learning(functions, module)


if __name__ == "__main__":
    main()
