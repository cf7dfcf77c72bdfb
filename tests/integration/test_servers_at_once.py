"""The same server asked for twice at one moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spice_engine.errors import Conflict, NotFound, SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.integration.server_world import HERE, ServerWorld


@pytest.fixture(scope="module")
def world(shared_engine: EngineFixture) -> ServerWorld:
    return ServerWorld(shared_engine)


def at_once(world: ServerWorld, *asked: tuple[str, dict[str, Any]]) -> list[Any]:
    """What comes of calls that begin together: answers, or the errors that were raised."""

    def one(operation: str, params: dict[str, Any]) -> Any:
        try:
            return world.call(operation, **params)
        except SpiceError as error:
            return error

    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda each: one(*each), asked))


def test_names_that_differ_by_case_are_one_also_when_they_come_together(
    world: ServerWorld,
) -> None:
    text = "from spice_runtime import BasePredictor\n\nclass P(BasePredictor):\n"
    entrypoint = world.write("twin.py", f"{text}    def predict(self, payload): return payload\n")
    definition = {"entrypoint": entrypoint, "dependencies": HERE}
    found = at_once(
        world,
        *(
            ("servers.serve", {"definition": {"name": name, **definition}})
            for name in ("twin", "Twin", "TWIN")
        ),
    )
    names = [one["name"] for one in world.call("servers.list")["servers"]]
    for name in names:
        world.remove(name)
    assert len([one for one in found if isinstance(one, Conflict)]) == 2
    assert [name.lower() for name in names].count("twin") == 1


def test_a_server_that_is_removed_twice_is_removed_once(world: ServerWorld) -> None:
    world.serve("twice")
    request = ("servers.remove", {"server": "twice", "force": True})
    found = at_once(world, request, request)
    assert len([one for one in found if isinstance(one, NotFound)]) == 1
    world.serve("twice")
    assert world.predict("twice", 1)[0] == 200
    world.remove("twice")


def test_a_stop_by_force_waits_for_no_request(world: ServerWorld) -> None:
    text = "import time\nfrom spice_runtime import BasePredictor\n\nclass P(BasePredictor):\n"
    world.serve("stuck", f"{text}    def predict(self, payload): time.sleep(50)\n")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(world.predict, "stuck", 1)
        wait_for(lambda: world.info("stuck")["replicas"][0]["in_flight"], "the request to begin")
        stopped = world.call("servers.stop", server="stuck", force=True, wait=True)
        assert asked.result()[0] == 503
    assert (stopped["state"], stopped["message"]) == ("stopped", "")
    world.remove("stuck")
