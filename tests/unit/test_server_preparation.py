"""A version that cannot be prepared is told to its server, whatever the reason."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from spice_engine.errors import SpiceError, StorageError
from spice_engine.serving.preparation import Preparations


@pytest.mark.parametrize("error", [StorageError("the disk is full"), FileNotFoundError("wire.py")])
async def test_why_a_version_is_not_prepared_is_told(error: Exception) -> None:
    async def prepare(*_: object) -> None:
        raise error

    told: asyncio.Future[SpiceError | None] = asyncio.get_running_loop().create_future()
    workshop: Any = SimpleNamespace(prepare=prepare)
    version: Any = SimpleNamespace(server="echo", number=3)
    preparations = Preparations(workshop, lambda _, why: told.set_result(why))
    preparations.begin(version, version)
    why = await asyncio.wait_for(told, 5)
    assert error.args[0] in str(why)
    assert preparations.get(3) is None
