"""Loads a predictor once and tells what was found: for checks before anything is served.

`<python> -s replica.py --check replica.json` writes `check.json` beside that file. Exit codes as
of a replica: 0, or 3 where the predictor cannot be loaded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from spice_runtime import namespace
from spice_runtime.predictors.answers import tell
from spice_runtime.predictors.host import Host
from spice_runtime.predictors.load import make_predictor
from spice_runtime.replica_process import FAILED_EXIT, reason_of

RESULT = "check.json"


def check(job: dict[str, Any], folder: Path) -> int:
    """Loads it and writes what came of it; gives the exit code."""
    folder = folder.absolute()
    way = namespace.provide(job.get("model_dir"), job.get("mounts_dir"))
    found: dict[str, Any]
    try:
        os.chdir(job["code"])
        host = Host(
            make_predictor(job), batching=bool(job.get("batching")), debug=bool(job.get("debug"))
        )
        found = {"predictor": {**host.describe(), "model_path": way}, "warnings": host.warnings()}
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is why it cannot be served
        found = {"message": reason_of(error)}
        tell(str(found["message"]))
    # Whole or not at all: what the predictor started may end this process at any time.
    beside = folder / f".{RESULT}"
    beside.write_text(json.dumps(found, default=str), encoding="utf-8")
    beside.replace(folder / RESULT)
    return FAILED_EXIT if "message" in found else 0
