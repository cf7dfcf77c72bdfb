"""A server's end where one of its processes cannot be asked: nobody waits for that for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spice_engine.errors import ChildFailed
from spice_engine.protocol.servers import ServerDefinition
from spice_engine.serving import definitions, deployment
from spice_engine.serving.directory import Directory
from spice_engine.serving.replica_files import ReplicaSpec
from spice_engine.serving.request_log import RequestLog
from spice_engine.store.database import Database
from spice_engine.store.replicas import ReplicaRow
from spice_engine.store.servers import ServerRow, VersionRow


async def find(folder: Path) -> Any:
    raise ChildFailed(f"the shim of {folder} does not answer")


async def test_a_replica_whose_shim_does_not_answer_keeps_nobody_from_leaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "_KILL_SECONDS", 0.05)
    database = await Database.open(tmp_path / "engine.db", "engine")
    definition = ServerDefinition("echo", entrypoint="echo.py")
    spec = ReplicaSpec(
        "echo", 1, definition, (), False, tmp_path, tmp_path / "replicas", Path(), Path()
    )

    async def sketch(*_: object) -> ReplicaSpec:
        return spec

    workshop: Any = SimpleNamespace(
        database=database,
        sketch=sketch,
        request_log=lambda _: RequestLog(tmp_path / "requests.log", lambda: None),
    )
    around: Any = SimpleNamespace(
        placement=SimpleNamespace(find=find, stop=None),
        groups=None,
        ahead=SimpleNamespace(are_wanted=False),
    )
    plain = definitions.to_plain(definition)
    row = ServerRow("echo", "running", "running", "", 1, 1, 1, "token", 0.0, 0.0, 1, 0.0)
    version = VersionRow("echo", 1, plain, "", (), (), "", "good", "", 0.0)
    living = ReplicaRow("echo", 1, 1, "ready", "", 0, 0.0, 1.0, None)
    server = deployment.Deployment(
        workshop, around, Directory(), row, version, told=lambda _: None, on_wait=lambda _: None
    )
    await server.open((living,))
    await asyncio.sleep(0)
    try:
        await asyncio.wait_for(server.close(keep=False, grace=0.05), 10)
    finally:
        await database.close()
