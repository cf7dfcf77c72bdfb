"""Clients on kept connections through restarts of a real engine: every prediction is answered."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from server_world import ECHO, ServerWorld

from spice_engine.errors import Conflict, EngineUnavailable
from tests.conftest import EngineFixture, wait_for

CLIENTS = 64
RESTARTS = 1
"""Before the two at once."""
PAUSE = 0.02
"""Seconds between an answer and the next prediction: or the clients keep a core busy."""


class Crowd:
    """Clients that post one prediction after another, each on one connection all the time."""

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)
        self.path = path
        self.answered = 0
        self.failures: list[str] = []
        self.over = False

    async def client(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        turn = 0
        try:
            while not self.over:
                turn += 1
                payload = {"client": number, "turn": turn}
                body = json.dumps(payload).encode()
                writer.write(
                    f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
                answer = json.loads(await reader.readexactly(length))
                if " 200 " not in head.partition("\r\n")[0] or answer["got"] != payload:
                    self.failures.append(f"{head[:200]} {answer}")
                self.answered += 1
                await asyncio.sleep(PAUSE)
        except (OSError, EOFError) as error:
            self.failures.append(f"client {number}, turn {turn}: {error!r}")
        finally:
            writer.close()


def started(engine: EngineFixture) -> float:
    """When the engine that answers now was started; 0 where none does."""
    try:
        return float(engine.call("engine.status")["started"])
    except (EngineUnavailable, Conflict):
        return 0.0


SLOW = "import time\n" + ECHO.replace("return {", "time.sleep(0.005)\n        return {")
"""Most calls wait in the queue: a restart takes them back, and hands them on."""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("predictor", [ECHO, SLOW], ids=["echo", "slow"])
async def test_no_prediction_on_a_kept_connection_fails_through_restarts(
    engine: EngineFixture, predictor: str
) -> None:
    engine.start()
    world = ServerWorld(engine)
    await asyncio.to_thread(world.serve, "echo", predictor)
    url = engine.call("engine.status")["http"]
    crowd = Crowd(url, "/local/echo/predict")
    clients = [asyncio.create_task(crowd.client(number)) for number in range(CLIENTS)]

    async def more() -> None:
        seen = crowd.answered
        wanted = seen + 4 * CLIENTS
        await asyncio.to_thread(
            wait_for, lambda: crowd.answered > wanted or crowd.failures, "further answers"
        )

    async def restart() -> None:
        before = started(engine)
        await asyncio.to_thread(engine.call, "engine.restart")
        await asyncio.to_thread(wait_for, lambda: started(engine) > before, "the next engine")

    await more()
    for _ in range(RESTARTS):
        await restart()
        await more()
    await restart()
    await restart()  # at once: the public door may not be open yet
    await more()
    crowd.over = True
    await asyncio.gather(*clients)
    assert crowd.failures == []
    assert engine.call("engine.status")["http"] == url
