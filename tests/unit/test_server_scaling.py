"""What the autoscaler decides is carried out, unless the server is gone by then."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from spice_engine.errors import NotFound
from spice_engine.serving.autoscaler import Decision, Inputs
from spice_engine.serving.scaling import Scaling
from spice_engine.store.database import Database


async def test_a_server_that_was_removed_meanwhile_does_not_end_the_autoscaler(
    tmp_path: Path,
) -> None:
    database = await Database.open(tmp_path / "engine.db", "engine")
    try:
        servers: Any = SimpleNamespace(parts=SimpleNamespace(database=database))
        gone = SimpleNamespace(row=SimpleNamespace(name="gone", pods=1), decision=None)
        with pytest.raises(NotFound):
            await Scaling(servers)._carry_out(
                cast("Any", gone), Decision(2, "calls wait"), Inputs(0.0, 1, 1)
            )
        assert gone.decision is None
    finally:
        await database.close()
