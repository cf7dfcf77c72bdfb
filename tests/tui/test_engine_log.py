"""The log view's model over the engine's own door: what it shows is what is in the file."""

from __future__ import annotations

import pytest

from spice_engine.errors import NotFound
from spice_tui.async_client import AsyncClient
from spice_tui.models.log_door import EngineLog
from spice_tui.models.log_view import LogWindow
from spice_tui.models.time_input import parse_moment
from tests.conftest import EngineFixture

HEIGHT = 20
OLD = [
    f"2026-05-01T{12 + i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}.000Z INFO old: line {i}"
    for i in range(20_000)
]


async def test_the_engines_log_through_the_engine(engine: EngineFixture) -> None:
    log = engine.location.log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"{line}\n" for line in OLD))
    engine.start()
    client = await AsyncClient.connect(engine.location)
    try:
        window = LogWindow(EngineLog(client, "engine"), HEIGHT)
        page = await window.open()
        assert page.lines, "the end is shown before any index"
        await window.index()

        page = await window.go_line(12_345)
        assert page.current is not None
        assert (page.current.text, page.number) == (OLD[12_344], 12_345)

        assert await window.find("line 1999[89]$")
        assert window.page.number == 19_999
        assert await window.find(r"LINE 77\b".lower(), backwards=True)
        assert window.page.number == 78

        assert await window.go_time(parse_moment("2026-05-01 14:00", 0))
        assert window.page.current is not None
        assert window.page.current.text == OLD[7200]

        wanted = [line for line in OLD if line.endswith("77")]
        await window.go_start()
        page = await window.set_filter("77$")
        assert [line.text for line in page.lines] == wanted[:HEIGHT]
        page = await window.move(60)
        assert page.current is not None
        assert page.current.text == wanted[60]

        with pytest.raises(NotFound):
            await LogWindow(EngineLog(client, "run/99999"), HEIGHT).open()
    finally:
        await client.close()
