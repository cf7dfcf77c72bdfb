"""Fixtures that start replicas, and end them whatever the tests did."""

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


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ReplicaProcess]]:
    """The replicas that tests of one module share; see `kept`."""
    running: dict[str, ReplicaProcess] = {}
    yield running
    for each in running.values():
        each.close()


@pytest.fixture
def kept(
    running: dict[str, ReplicaProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Starter]:
    """`kept(source, **job)` gives a replica that is ready and that other tests use too.

    For tests that only call it. What they have open on it is closed after each of them.
    """

    def find(source: str = "", **job: Any) -> ReplicaProcess:
        key = repr((source, sorted(job.items())))
        if key not in running:
            running[key] = ReplicaProcess(tmp_path_factory.mktemp("replica"), source, **job)
        running[key].ready()
        return running[key]

    yield find
    for each in running.values():
        each.disconnect()
