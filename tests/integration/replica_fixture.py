"""Fixtures that start replicas, and end them whatever the test did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.replica_client import ReplicaProcess

Starter = Callable[..., ReplicaProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """`start(source, **job)` begins a replica."""
    started: list[ReplicaProcess] = []

    def begin(source: str = "", **job: Any) -> ReplicaProcess:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(ReplicaProcess(folder, source, **job))
        return started[-1]

    yield begin
    for each in started:
        each.close()
