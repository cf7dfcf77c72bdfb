"""The replica: hosts one predictor, and answers the router's calls.

`<python> -s <folder>/spice_runtime/replica.py replica.json`. It listens on its control socket at
once, loads the predictor, then serves lanes. Exit codes: 0 drained, 2 no usable replica.json,
3 the predictor could not be loaded. With `--check` before the path it only loads the predictor
(see `replica_check`); with `--ahead` it waits until the file is there (see `replica_ahead`).

The file holds `server`, `replica`, `server_version`, `type` (script, onnx, sklearn, torchscript),
`entrypoint` (relative to `code`, the working directory), `classname`, `config` (keyword arguments
of `__init__`), `models` ([{name, version, path}]), `model_dir` and `mounts_dir` (folders that
appear as /model and /mounts), `control_socket`, `lane_socket`, `started` (a file of 4096 bytes),
`num_processes`, `threads`, `max_concurrency`, `batching`, `debug`, `request_prefix`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

if not __package__:
    # Run by its path. Only this package becomes importable, not what lies beside it: that may be
    # the engine's own environment, for another Python.
    sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != _PACKAGE]
    if "spice_runtime" not in sys.modules:
        _spec = importlib.util.spec_from_file_location(
            "spice_runtime", _PACKAGE / "__init__.py", submodule_search_locations=[str(_PACKAGE)]
        )
        assert _spec is not None
        assert _spec.loader is not None
        _module = importlib.util.module_from_spec(_spec)
        sys.modules["spice_runtime"] = _module
        _spec.loader.exec_module(_module)
    sys.path.insert(0, str(_PACKAGE / "compat"))

from spice_runtime import (  # noqa: E402 - it is importable only now
    replica_ahead,
    replica_check,
    user_metrics,
)
from spice_runtime.replica_process import Replica  # noqa: E402


def main(path: str, *, check: bool = False, ahead: bool = False) -> int:
    """Runs the replica that the file describes, or only checks it; gives the exit code."""
    user_metrics.serve()
    try:
        if ahead:
            replica_ahead.wait_told(Path(path))
            replica_ahead.prepare(Path(path))
        job = json.loads(Path(path).read_bytes())
        if check:
            return replica_check.check(job, Path(path).parent)
        replica = Replica(job)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"no usable replica.json at {path}: {error!r}\n")
        return 2
    return replica.run()


if __name__ == "__main__":
    flags = {each for each in sys.argv[1:] if each in ("--check", "--ahead")}
    # Predictors see the same arguments, however they were started.
    sys.argv[:] = [each for each in sys.argv if each not in flags]
    if len(sys.argv) != 2:
        sys.exit("usage: python -s replica.py [--check | --ahead] replica.json")
    code = main(sys.argv[1], check="--check" in flags, ahead="--ahead" in flags)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the user's must not keep a drained replica alive.
    os._exit(code)
