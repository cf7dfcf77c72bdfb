"""The commands about packages, called in this process, against the real services and door."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from package_pods import Folder, FolderPods, open_folder

from spice_engine.api.door import PrivateDoor
from spice_engine.events import Bus
from spice_engine.operations import TABLE, Dispatcher, OperationTable
from spice_engine.pods.package_operations import PackageServices, package_services
from spice_engine.protocol.pods import PodInfo, PodName
from spice_engine.store import policies
from spice_tui.cli.main import main

T = TypeVar("T")
Cli = Callable[..., tuple[int, str, str]]
GOLDEN = Path(__file__).parent.parent / "golden" / "policy_v1.txt"
MANIFEST = """\
# Says when to work.
name: host
params:
  epoch_time: 1600000000
  period: 1h
  interval: 60s
  granularity: 30s
dataspaces:
  - from: host
    name: load
    measurements:
      - name: cpu
actions:
  - name: wait
  - name: work
training:
  reward_funcs: rewards.py
  rewards:
    - reward: wait
      with: wait
    - reward: work
      with: work
"""


def ready(pods: FolderPods, request: PodName) -> PodInfo:
    """Nothing is being loaded here."""
    return PodInfo(request.pod, "spicepods/host.yaml", "ready", [], [], 10, None, None, [])


class Engine:
    """The services about packages on an app folder, in a thread with a loop of its own."""

    def __init__(self, root: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.call(self._open(root))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self, root: Path) -> None:
        self.folder: Folder = await open_folder(root)
        folder = self.folder
        self.services: PackageServices = package_services(
            folder.location, [], folder.database, folder.objects, folder.pods, folder.pods,
            folder.trust,
        )  # fmt: skip
        table, kinds = OperationTable(), {type(service) for service in self.services}
        for one in TABLE:
            if one.service in kinds:
                table.register(one.name, http=f"{one.method} {one.path}")(one.handler)
        table.register("pods.get", http="GET /api/v1/pods/{pod}")(ready)
        services = [*self.services, folder.pods]
        self._door = PrivateDoor(Dispatcher(table, services), Bus(), started=1.0)
        await self._door.listen(folder.location.socket)

    def close(self) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        await self._door.close(reason="the end", grace=0)
        await self.services.catalogue.close()
        await self.folder.close()

    def trained(self) -> None:
        """One more version of the pod's policy."""
        policy = base64.b64decode(GOLDEN.read_text(encoding="ascii"))
        digest = self.folder.objects.put_bytes(policy)

        async def add() -> None:
            await self.folder.database.write(
                lambda connection: policies.add(
                    connection,
                    pod="host",
                    object_hash=digest,
                    fingerprint="f",
                    algorithm="linear",
                    created=1_600_000_000.0,
                    evaluation={"held_out": {"regret_closed": 0.5}},
                    training_number=1,
                    aliases=("latest",),
                )
            )
            await self.folder.pods.rescan()

        self.call(add())


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SPICE_STATE_DIR", raising=False)
    engine = Engine(tmp_path / "app")
    monkeypatch.chdir(tmp_path / "app")
    yield engine
    engine.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a pod that has code."""
    folder = tmp_path / "source"
    (folder / "spicepods").mkdir(parents=True)
    (folder / "spicepods" / "host.yaml").write_text(MANIFEST)
    (folder / "rewards.py").write_text("def wait(*states): return 1\ndef work(*states): return 2\n")
    return folder


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


def test_add_says_what_it_wrote_and_that_code_came(engine: Engine, cli: Cli, source: Path) -> None:
    code, out, _ = cli("add", "../source")
    assert (code, out.splitlines()) == (
        0,
        ["Added spicepods/host.yaml", "Added rewards.py"],
    )
    engine.folder.trust.grant(engine.folder.root)
    (source / "rewards.py").write_text("import os\n")
    code, _, err = cli("add", str(source))
    assert (code, "rewards.py is there already" in err) == (6, True)
    code, out, _ = cli("add", "../source", "--force")
    assert out.splitlines()[0] == "Unchanged: spicepods/host.yaml"
    assert "spice-tui trust" in out.splitlines()[-1]
    assert json.loads(cli("add", "--locked", "--json")[1])[0]["changed"] == []
    assert cli("add", "x", "--locked")[0] == 2
    assert cli("add", "org/none")[0] == 5


def test_a_pod_goes_through_a_file_to_another_folder(
    engine: Engine, cli: Cli, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("add", "../source")
    assert cli("export", "host")[0] == 6
    engine.trained()
    code, out, _ = cli("export", "host")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "Exported v1 of host to host.spicepod")
    assert "there is no window" in lines[1]
    code, _, err = cli("export", "host")
    assert (code, "specify --overwrite" in err) == (6, True)
    assert cli("export", "host", "--overwrite", "-o", "b.spicepod", "--tag", "v1")[0] == 0
    assert cli("export", "host", "-o", "..")[0] == 2
    assert cli("export", "host", "-o", "b.zip")[0] == 2
    exported = tmp_path / "app" / "b.spicepod"
    other = Engine(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "other")
    try:
        code, out, _ = cli("import", str(exported), "--tag", "prod")
        assert (code, out.splitlines()[-1]) == (0, "Imported trained model!")
        assert (tmp_path / "other" / "spicepods" / "host.yaml").read_text() == MANIFEST
        assert cli("import", "../app/b.spicepod")[0] == 6
        assert cli("import", "none.spicepod")[0] == 5
        assert cli("import", "rewards.py")[0] == 4
        code, out, _ = cli("pods", "versions", "host")
        heading, first = out.splitlines()
        assert heading.split()[:2] == ["VERSION", "ALGORITHM"]
        assert first.split()[:2] == ["*v1", "linear"]
        assert "imported" in first
        assert first.endswith("latest, prod")
    finally:
        other.close()


def test_versions_are_named_and_gone_back_to(engine: Engine, cli: Cli, source: Path) -> None:
    cli("add", "../source")
    engine.trained()
    engine.trained()
    assert cli("pods", "alias", "host", "prod", "v1")[1] == "latest is v2\nprod is v1\n"
    assert json.loads(cli("pods", "alias", "host", "prod", "--remove", "--json")[1]) == {
        "latest": 2
    }
    assert cli("pods", "alias", "host", "prod")[0] == 2
    code, out, _ = cli("pods", "rollback", "host", "--json")
    assert code == 0
    assert [one["serving"] for one in json.loads(out)["versions"]] == [False, True]
    assert cli("pods", "rollback", "host")[0] == 6
    assert cli("pods", "rollback", "host", "v9")[0] == 5


def test_trust_shows_the_code_and_asks(engine: Engine, cli: Cli, source: Path) -> None:
    cli("add", "../source")
    code, out, err = cli("trust")
    assert code == 2
    assert "rewards.py: host" in out
    assert "--yes" in err
    assert not engine.folder.trust.is_trusted(engine.folder.root)
    code, out, _ = cli("trust", "--yes")
    assert (code, out.splitlines()[-1]) == (0, f"{engine.folder.root} is trusted.")
    assert engine.folder.trust.is_trusted(engine.folder.root)
    assert str(engine.folder.root) in cli("trust", "--list")[1]
    assert cli("trust", "--revoke")[1] == f"{engine.folder.root} is not trusted.\n"
    assert json.loads(cli("trust", "--list", "--json")[1]) == []
    assert cli("trust", "--list", "--revoke")[0] == 2


def test_publish_and_search(engine: Engine, cli: Cli, source: Path, tmp_path: Path) -> None:
    cli("add", "../source")
    (tmp_path / "registry").mkdir()
    code, out, _ = cli("pods", "publish", "host", "../registry", "--name", "org/host")
    assert (code, out.splitlines()[0]) == (0, "Published org/host 1: packages/org-host-1.zip")
    assert out.splitlines()[1:] == ["  rewards.py", "  spicepods/host.yaml"]
    index = json.loads((tmp_path / "registry" / "index.json").read_text())
    assert index["packages"][0]["summary"] == "Says when to work."
    code, out, _ = cli("pods", "search", "serverops")
    assert code == 0
    assert "samples/serverops" in out
    assert cli("pods", "publish", "host", "../none")[0] == 5
