"""The public door that opens after its socket listens: who is early waits, failures are told."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from http_doors import TABLE, TOKEN, Health, Machine, Pods, Shelf

from spice_engine.api.http import HttpDoor
from spice_engine.api.late import LateDoor
from spice_engine.api.listen import bind
from spice_engine.errors import InvalidSettings
from spice_engine.events import Bus
from spice_engine.operations import Dispatcher
from spice_engine.settings import Settings

SETTINGS = Settings(http_port=0)


def make() -> HttpDoor:
    dispatcher = Dispatcher(TABLE, [Shelf(), Pods(), Machine()])
    return HttpDoor(dispatcher, Bus(), SETTINGS, TOKEN, Health())


async def get(url: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/health") as response:
        return response.status


async def test_who_comes_before_the_door_is_open_is_answered_when_it_is() -> None:
    door = LateDoor(bind(SETTINGS), tls=False, make=make)
    failures: list[int] = []
    early = asyncio.create_task(get(door.url))
    await asyncio.sleep(0.1)
    assert not early.done()
    assert (door.requests, door.followed) == (0, False)
    door.begin(lambda: failures.append(1))
    assert await early == 200
    assert door.requests == 1
    await door.close(1, keep_socket=False)
    assert not failures
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(door.url)


async def test_closing_waits_for_a_door_that_is_just_opening() -> None:
    door = LateDoor(bind(SETTINGS), tls=False, make=make)
    door.begin(lambda: None)
    await door.close(1, keep_socket=True)
    assert door.sock.fileno() >= 0
    door.sock.close()


async def test_why_it_could_not_open_is_told_once_and_raised_at_the_end() -> None:
    def refuse() -> HttpDoor:
        raise InvalidSettings("not so.")

    door = LateDoor(bind(SETTINGS), tls=False, make=refuse)
    failed = asyncio.Event()
    door.begin(failed.set)
    async with asyncio.timeout(10):
        await failed.wait()
    with pytest.raises(InvalidSettings, match="not so"):
        await door.close(1, keep_socket=False)
