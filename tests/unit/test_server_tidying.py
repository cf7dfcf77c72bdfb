"""What is removed of what servers left on disk, and what stays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from spice_engine.serving import tidying


def make(path: Path, *, old: bool) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_text("x")
    if old:
        before = time.time() - 2 * tidying.RUNTIME_SECONDS
        os.utime(path, (before, before))
    return path


def test_folders_that_nobody_names_go_unless_they_are_new(tmp_path: Path) -> None:
    kept, young = make(tmp_path / "1", old=True), make(tmp_path / "3", old=False)
    gone = make(tmp_path / "2", old=True)
    tidying._remove_others(tmp_path, {"1"})
    assert (kept.is_dir(), young.is_dir(), gone.exists()) == (True, True, False)
    tidying._remove_others(tmp_path / "nowhere", set())


def test_runtimes_stay_while_a_replica_runs_from_them(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    used, unused = make(runtime / "aaaa", old=True), make(runtime / "bbbb", old=True)
    new = make(runtime / "cccc", old=False)
    replica = tmp_path / "replicas" / "1"
    replica.mkdir(parents=True)
    script = str(used / "spice_runtime" / "replica.py")
    (replica / "job.json").write_text(json.dumps({"argv": ["python", "-s", script, "x"]}))
    tidying._remove_runtimes(runtime, [replica])
    assert (used.is_dir(), new.is_dir(), unused.exists()) == (True, True, False)
