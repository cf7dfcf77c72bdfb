"""What each Python of a run does at its start. Keras is one of its shape: it takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import spice_runtime
from spice_engine.runs.metric_lines import parse

COMPAT = Path(spice_runtime.__file__).parent / "compat"

CALLBACKS = """
class Callback:
    def on_epoch_end(self, epoch, logs=None): pass

class CallbackList(Callback):
    def __init__(self, callbacks=None, model=None):
        self.callbacks = list(callbacks or [])
    def on_epoch_end(self, epoch, logs=None):
        for one in self.callbacks:
            one.on_epoch_end(epoch, logs)
"""
FITS = """
from {module} import CallbackList
epochs = CallbackList()
for epoch in range(2):
    epochs.on_epoch_end(epoch, {{"loss": 1 / (epoch + 1), "lr": [0.5], "odd": object(), "t": "x"}})
"""


def run(folder: Path, code: str, **variables: str) -> str:
    path = os.pathsep.join([str(folder), str(COMPAT.parent.parent), str(COMPAT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("module", ["keras.src.callbacks.callback_list", "keras.callbacks"])
def test_what_an_epoch_of_keras_logs_is_a_metric(tmp_path: Path, module: str) -> None:
    file = (tmp_path / "site").joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True)
    file.write_text(CALLBACKS)
    sent = tmp_path / "metrics"
    run(tmp_path / "site", FITS.format(module=module), SPICE_METRICS=str(sent))
    rows, bad = parse(sent.read_bytes())
    assert [(name, value, index) for name, value, index, _ in rows] == [
        ("keras/loss", 1.0, 0),
        ("keras/lr", 0.5, 0),
        ("keras/loss", 0.5, 1),
        ("keras/lr", 0.5, 1),
    ]
    assert not bad
    # Elsewhere it is as it was.
    assert run(tmp_path / "site", FITS.format(module=module), SPICE_METRICS="") == ""


def test_an_environments_own_start_happens(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; told = os.getpid()\n")
    told = "import sitecustomize, os; print(sitecustomize.told == os.getpid())"
    # Before ours on the path, and behind it.
    assert run(tmp_path, told) == "True\n"
    hook = f"import site; site.addsitedir({str(tmp_path)!r}); import sitecustomize; "
    ours = str(COMPAT / "sitecustomize.py")
    begin = f"from spice_runtime import python_start; python_start.begin({ours!r}); "
    assert run(tmp_path / "none", f"{hook}{begin}{told}") == "True\n"


def test_nothing_else_is_imported_at_the_start(tmp_path: Path) -> None:
    listed = "import sys; print(*sorted(name for name in sys.modules if 'spice' in name))"
    assert run(tmp_path, listed) == "spice_runtime spice_runtime.python_start\n"
