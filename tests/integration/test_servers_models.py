"""Servers with models and mounts: what scripts read, versions that move, and what they keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import SpiceError
from tests.conftest import EngineFixture
from tests.integration.server_world import ECHO, HERE, ServerWorld
from tests.integration.test_git_sources import commit, git

READER = """
from pathlib import Path
from spice_runtime import BasePredictor

class Predictor(BasePredictor):
    def __init__(self):
        self.weights = (self.model_path() / "w.txt").read_text()
        self.plain = Path("/model/w.txt").read_text()
        self.words = Path("/mounts/vocab/words.txt").read_text()

    def predict(self, payload):
        info = self.model_info
        info = info[0] if isinstance(info, list) else info
        return {"w": self.weights, "plain": self.plain, "words": self.words,
                "model": info.name, "version": info.version}
"""


@pytest.fixture(scope="module")
def world(shared_engine: EngineFixture) -> ServerWorld:
    world = ServerWorld(shared_engine)
    world.write(".gitignore", "weights/\ntexts/\n")
    for number in (1, 2):
        world.write(f"weights/{number}/w.txt", f"w{number}")
        world.call("models.create", name="cifar", resource=f"weights/{number}")
    world.write("texts/words.txt", "some words")
    folder = str(world.folder / "texts")
    world.call("resources.upload", source=folder, name="words")
    return world


def serve(world: ServerWorld, **more: Any) -> dict[str, Any]:
    return world.serve(
        "reader", READER, models=["cifar:v1"], mounts={"uploads/words": "vocab"}, **more
    )


def test_a_script_finds_its_model_and_mounts_where_spell_put_them(world: ServerWorld) -> None:
    info = serve(world)
    assert info["state"] == "running", info["message"]
    assert world.predict("reader")[1] == {
        "w": "w1",
        "plain": "w1",
        "words": "some words",
        "model": "cifar",
        "version": "v1",
    }
    assert info["replicas"][0]["model_path"] in {"namespace", "symlink", "patched"}

    world.update("reader", models=["cifar:v2"])
    assert world.predict("reader")[1]["w"] == "w2"
    back = world.call("servers.rollback", server="reader", wait=True)
    assert back["models"] == ["cifar:v1"]
    assert world.predict("reader")[1]["w"] == "w1"


def test_models_that_are_served_are_kept_and_say_by_whom(world: ServerWorld) -> None:
    versions = world.call("models.get", name="cifar")["versions"]
    served = {one["number"]: one["servers"] for one in versions}
    assert served[1] == ["reader"]
    assert served[2] == []
    with pytest.raises(SpiceError, match="reader"):
        world.call("models.remove", name="cifar", version="v1")
    with pytest.raises(SpiceError, match=r"no version|there is no"):
        world.update("reader", models=["cifar:v9"])


def test_a_stopped_server_starts_with_the_files_it_was_made_with(world: ServerWorld) -> None:
    world.write("weights/1/w.txt", "changed on disk")
    world.call("servers.stop", server="reader", wait=True)
    started = world.call("servers.start", server="reader", wait=True)
    assert started["state"] == "running", started["message"]
    assert world.predict("reader")[1]["w"] == "w1"
    world.remove("reader")
    assert world.call("models.get", name="cifar")["versions"][1]["servers"] == []


def test_a_server_of_a_commit(world: ServerWorld, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    one = commit(tmp_path, **{"echo.py": ECHO})
    commit(tmp_path, **{"echo.py": ECHO.replace("factor=2", "factor=3")})
    more: dict[str, Any] = {"entrypoint": "echo.py", "dependencies": HERE, "git": str(tmp_path)}
    definition = {"name": "committed", "git_ref": one[:9], **more}
    info = world.call("servers.serve", definition=definition, wait=True)
    assert info["state"] == "running", info["message"]
    assert world.predict("committed", 1)[1] == {"got": 1, "factor": 2}
    world.update("committed", git_ref="main")
    assert world.predict("committed", 1)[1]["factor"] == 3
    for changes, said in (
        ({"git_ref": "v9"}, "Could not resolve commit"),
        ({"entrypoint": "gone.py"}, "no file 'gone.py' in"),
    ):
        with pytest.raises(SpiceError, match=said):
            world.update("committed", **changes)
    assert world.predict("committed", 1)[1]["factor"] == 3
    world.remove("committed")
