"""Resources and models on a real engine: made, found, named, kept, and gone without a trace."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from tests.conftest import EngineFixture, wait_for


@pytest.fixture
def world(shared_engine: EngineFixture, tmp_path: Path) -> World:
    return World(shared_engine, tmp_path)


class World:
    """An engine, and a folder of this machine outside of its app folder."""

    def __init__(self, engine: EngineFixture, folder: Path) -> None:
        self.engine = engine
        self.folder = folder

    def call(self, operation: str, **params: object) -> Any:
        return self.engine.call(operation, **params)

    def data(self, **files: str) -> str:
        """A folder with these files."""
        top = self.folder / f"data{len(list(self.folder.iterdir()))}"
        for name, text in (files or {"w": "weights"}).items():
            path = top / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(top)

    def run(self, line: str) -> int:
        """A run that has ended; `$OUT` is its folder of outputs."""
        runs = self.engine.location.state / "runs"
        made = f'OUT="{runs}/$SPICE_RUN_ID/outputs"; mkdir -p "$OUT"; {line}'
        number = int(self.call("runs.start", command=made)["id"])
        wait_for(lambda: self.call("runs.get", id=number)["state"] == "complete", "the run's end")
        return number

    def names(self, path: str) -> list[str]:
        entries = self.call("resources.list", path=path)["entries"]
        return [entry["path"].rpartition("/")[2] for entry in entries]


def test_a_runs_outputs_become_a_model(world: World) -> None:
    number = world.run('echo one > "$OUT/weights.bin"; mkdir "$OUT/logs"; echo x > "$OUT/logs/t"')
    made = world.call("models.create", name="digits", resource=f"runs/{number}", description="d")
    assert (made["number"], made["run"], made["resource"]) == (1, number, f"runs/{number}")
    part = world.call(
        "models.create", name="digits", resource="@latest", version="small", files=["weights.bin:w"]
    )
    assert (part["number"], part["version"], part["files"]) == (2, "small", ["weights.bin:w"])
    assert world.names("models/digits/small") == ["w"]
    assert world.names(f"runs/{number}/logs") == ["t"]
    target = world.folder / "out"
    done = world.call("models.download", name="digits", version="v1", destination=str(target))
    assert done == {"copied": 2, "skipped": 0, "bytes": 6}
    assert (target / "weights.bin").read_text() == "one\n"
    graph = world.call("store.lineage", run=number)
    edges = {(edge["source"], edge["target"]) for edge in graph["edges"]}
    assert (f"data/runs/{number}", "model/digits/1") in edges


def test_a_run_without_outputs_shows_its_log_and_not_its_environment(world: World) -> None:
    started = world.call("runs.start", command="echo hi", env={"PASSWORD": "x"})
    number = started["id"]
    wait_for(lambda: world.call("runs.get", id=number)["state"] == "complete", "the run's end")
    assert world.names(f"runs/{number}") == ["logs.txt"]
    for hidden in ("job.json", "exit.json", "shim.log"):
        with pytest.raises(NotFound):
            world.call("resources.list", path=f"runs/{number}/{hidden}")


def test_the_best_by_a_metric(world: World) -> None:
    for accuracy, loss in ((0.5, 0.1), (0.9, 0.4), (0.7, 0.2)):
        number = world.run('echo x > "$OUT/w"')
        points = [{"name": "accuracy", "value": 0.1}, {"name": "accuracy", "value": accuracy}]
        points += [{"name": "val_loss", "value": loss}, {"name": "nan", "value": float("nan")}]
        world.call("runs.add_metrics", id=number, points=points)
        world.call("models.create", name="scored", resource=f"runs/{number}")

    def best(text: str) -> int:
        return world.call("models.version", name="scored", version=text)["number"]

    assert [best("@best:accuracy"), best("best:val_loss"), best("@best:val_loss:max")] == [2, 1, 2]
    assert best("latest") == best("@latest") == 3
    for text in ("@best:none", "@best:nan"):
        with pytest.raises(NotFound):
            best(text)
    with pytest.raises(InvalidRequest):
        best("@best")
    assert world.names("runs/@best:accuracy") == ["w"]


def test_an_upload_a_link_and_what_is_made_of_them(world: World) -> None:
    source = world.data(a="1", sub__b="22")
    made = world.call("resources.upload", source=source, name="things")
    assert (made["path"], made["size"], made["info"]) == ("uploads/things", 3, "2 files")
    with pytest.raises(Conflict):
        world.call("resources.upload", source=source, name="things")
    world.call("resources.link", alias="short", path="uploads/things/sub")
    assert world.call("resources.list", path="short")["link"] == "short → uploads/things/sub"
    with pytest.raises(Conflict):
        world.call("resources.link", alias="short", path="uploads/things")
    with pytest.raises(NotFound):
        world.call("resources.link", alias="other", path="uploads/nope")
    model = world.call("models.create", name="linked", resource="short")
    assert model["resource"] == "uploads/things/sub"
    world.call("resources.remove", path="uploads/things/")
    with pytest.raises(NotFound):
        world.call("resources.list", path="short")
    assert world.names("models/linked/v1") == ["b"]
    world.call("resources.unlink", alias="short")
    assert "short" not in [one["alias"] for one in world.call("resources.links")["links"]]


def test_links_in_a_circle_are_an_error(world: World) -> None:
    world.call("resources.upload", source=world.data(), name="round")
    world.call("resources.link", alias="first", path="uploads/round")
    world.call("resources.link", alias="second", path="first")
    world.call("resources.unlink", alias="first")
    with pytest.raises(NotFound):
        world.call("resources.list", path="second")
    with pytest.raises(NotFound):
        world.call("resources.link", alias="first", path="second")


def test_a_folder_or_file_of_this_machine(world: World) -> None:
    source = world.data(a="1", b="2")
    whole = world.call("models.create", name="local", resource=source)
    assert (whole["size"], whole["run"]) == (2, None)
    single = world.call("models.create", name="local", resource=f"{source}/a")
    assert world.names(f"models/local/v{single['number']}") == ["a"]
    inside = world.engine.location.root / "weights"
    inside.mkdir()
    (inside / "w").write_text("1")
    assert world.call("models.create", name="local", resource="weights")["size"] == 1
    with pytest.raises(InvalidRequest, match="state"):
        world.call("models.create", name="local", resource=str(world.engine.location.token))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "a..b"}, InvalidRequest),
        ({"name": "-x"}, InvalidRequest),
        ({"version": "latest"}, InvalidRequest),
        ({"version": "v7"}, Conflict),
        ({"version": "a/b"}, InvalidRequest),
        ({"resource": ""}, InvalidRequest),
        ({"resource": "runs"}, InvalidRequest),
        ({"resource": "runs/99999"}, NotFound),
        ({"resource": "nothing"}, NotFound),
        ({"resource": "uploads/../runs/1"}, InvalidRequest),
        ({"files": ["nope"]}, NotFound),
        ({"files": ["../w"]}, InvalidRequest),
        ({"files": ["w:x", "w:x"]}, InvalidRequest),
        ({"description": "x" * 20_000}, InvalidRequest),
    ],
)
def test_what_no_model_can_be_made_of(
    world: World, changes: dict[str, Any], error: type[SpiceError]
) -> None:
    with pytest.raises(error):
        world.call("models.create", **{"name": "bad", "resource": world.data(), **changes})
    with pytest.raises(NotFound):
        world.call("models.get", name="bad")


def test_a_custom_version_is_made_once_by_whoever_comes_first(world: World) -> None:
    source, made, refused = world.data(), [], []

    def create() -> None:
        try:
            made.append(world.call("models.create", name="raced", resource=source, version="x"))
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 5)
    assert world.call("models.create", name="raced", resource=source)["number"] == 2


def test_aliases_descriptions_and_removal(world: World) -> None:
    for version in ("", "demo", ""):
        world.call("models.create", name="named", resource=world.data(), version=version)
    found = world.call("models.alias", name="named", alias="@prod", version="demo")
    assert {one["number"]: one["aliases"] for one in found["versions"]}[2] == ["prod"]
    world.call("models.alias", name="named", alias="prod", version="v3")
    for text, number in (("prod", 3), ("@prod", 3), ("demo", 2), ("02", 2), ("v1", 1)):
        version = world.call("models.version", name="named", version=text)
        assert version["number"] == number, text
    with pytest.raises(Conflict):
        world.call("models.alias", name="named", alias="demo", version="v1")
    with pytest.raises(Conflict):
        world.call("models.create", name="named", resource=world.data(), version="prod")
    world.call("models.update_description", name="named", version="@prod", description="new")
    assert world.call("models.version", name="named", version="v3")["description"] == "new"
    world.call("models.remove", name="named", version="prod")
    with pytest.raises(NotFound):
        world.call("models.version", name="named", version="prod")
    with pytest.raises(NotFound):
        world.call("models.alias", name="named", alias="prod")
    assert world.call("models.create", name="named", resource=world.data())["number"] == 4
    assert world.call("models.remove", name="named")["message"] == "3 versions removed."
    assert "named" not in [one["name"] for one in world.call("models.list")["models"]]


def test_followers_see_models_resources_and_uploads(world: World) -> None:
    seen: dict[str, list[Any]] = {"models": [], "resources": [], "uploads": []}

    def follow(topic: str) -> None:
        with world.engine.client() as client:
            for event in client.follow(topic):
                seen[topic].append(event.data)
                if "del" in event.data:
                    return

    threads = [threading.Thread(target=follow, args=(topic,), daemon=True) for topic in seen]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(seen.values()), "the snapshots")
    world.call("resources.upload", source=world.data(), name="followed")
    world.call("models.create", name="followed", resource="uploads/followed")
    world.call("models.remove", name="followed")
    world.call("resources.remove", path="uploads/followed")
    for thread in threads:
        thread.join(30)
    assert seen["models"][1]["set"]["followed"]["latest"]["number"] == 1
    assert seen["models"][-1] == {"del": ["followed"]}
    assert seen["resources"][1]["set"]["uploads/followed"]["size"] == 7
    assert {"del": ["followed"]} in seen["uploads"]


def test_over_http_every_refusal_says_what_is_wrong(world: World) -> None:
    token = world.engine.location.token.read_text().strip()

    def ask(path: str, method: str = "GET") -> int:
        request = urllib.request.Request(
            f"{world.engine.http}/api/v1{path}",
            method=method,
            headers={"Authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    world.call("models.create", name="shown", resource=world.data())
    assert ask("/models") == 200
    assert ask("/models/shown") == 200
    assert ask("/models/shown/versions/@latest") == 200
    assert ask("/models/shown/versions/v9") == 404
    assert ask("/models/a%2Fb%00") == 404
    assert ask("/models/shown/versions/@best:x") == 404
    assert ask("/resources?path=models/shown/v1") == 200
    assert ask("/resources?path=models/shown/v1/..") == 400
    assert ask("/resources?path=%00") == 400
    assert ask("/resources?path=uploads/none", "DELETE") == 404
    assert ask("/models/shown?version=v1", "DELETE") == 200


def test_everything_is_there_after_a_restart_and_a_kill(
    engine: EngineFixture, tmp_path: Path
) -> None:
    engine.start()
    world = World(engine, tmp_path)
    world.call("resources.upload", source=world.data(), name="kept")
    world.call("resources.link", alias="l", path="uploads/kept")
    world.call("models.create", name="kept", resource="l", version="demo")
    engine.kill()
    big = tmp_path / "big"
    big.mkdir()
    for index in range(400):
        (big / str(index)).write_bytes(os.urandom(20_000))
    engine.start()
    assert world.names("l") == ["w"]
    assert world.call("models.version", name="kept", version="demo")["number"] == 1

    def upload() -> None:
        with engine.client() as client, pytest.raises(SpiceError):
            client.call("resources.upload", {"source": str(big), "name": "big"})

    thread = threading.Thread(target=upload)
    objects = engine.location.state / "objects"
    before = len(list(objects.glob("??/*")))
    thread.start()
    wait_for(lambda: len(list(objects.glob("??/*"))) > before + 20, "the upload to be under way")
    with pytest.raises(Conflict, match="just being uploaded"):
        world.call("resources.upload", source=str(big), name="big")
    engine.kill()
    thread.join(30)
    engine.start()
    assert world.names("uploads") == ["kept"]
    made = world.call("resources.upload", source=str(big), name="big")
    assert made["info"] == "400 files"


@pytest.mark.slow
def test_a_trained_pod_is_a_model(engine: EngineFixture, tmp_path: Path) -> None:
    engine.start()
    world = World(engine, tmp_path)
    world.call("samples.add", name="serverops")

    def policy() -> Any:
        found = world.call("models.list")["models"]
        return found[0] if found else None

    wait_for(policy, "the pod's first policy", 90)
    info = policy()
    assert (info["name"], info["kind"]) == ("serverops", "policy")
    number = info["latest"]["number"]
    version = world.call("models.version", name="serverops", version="latest")
    assert (version["number"], version["policy_version"]) == (number, number)
    assert world.names("models/serverops/@latest") == ["policy.msgpack"]
    target = tmp_path / "out"
    world.call("models.download", name="serverops", version="best", destination=str(target))
    assert (target / "policy.msgpack").stat().st_size == version["size"]
    world.call("models.alias", name="serverops", alias="good", version=f"v{number}")
    assert world.call("pods.aliases", pod="serverops")["aliases"]["good"] == number
    for refused in (
        {"operation": "models.remove", "name": "serverops"},
        {"operation": "models.create", "name": "serverops", "resource": world.data()},
    ):
        with pytest.raises(Conflict):
            world.call(**refused)
    wait_for(
        lambda: "serverops" in world.call("engine.names", noun="models")["names"],
        "completion to know it",
    )
