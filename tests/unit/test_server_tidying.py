"""What is removed of what servers left on disk, and what stays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spice_engine.serving import tidying
from spice_engine.store.database import Database
from spice_engine.workers.runtime_copy import runtime_copy


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


async def test_the_runtime_of_a_server_without_replicas_stays_for_its_next_one(
    tmp_path: Path,
) -> None:
    database = await Database.open(tmp_path / "engine.db", "engine")
    runtime = runtime_copy(tmp_path)
    before = time.time() - 2 * tidying.RUNTIME_SECONDS
    os.utime(runtime, (before, before))
    workshop = SimpleNamespace(state=tmp_path, folder=lambda name: tmp_path / "servers" / name)
    asleep: Any = SimpleNamespace(
        parts=SimpleNamespace(workshop=workshop, database=database),
        names=lambda: ["asleep"],
        get=lambda _: SimpleNamespace(replica_list=[]),
    )
    try:
        await tidying.tidy(asleep)
    finally:
        await database.close()
    assert (runtime / "spice_runtime" / "replica.py").is_file()
