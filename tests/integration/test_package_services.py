"""Export, import, versions and trust on a real folder and store."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from package_pods import Folder, open_folder

from spice_engine.errors import Conflict, InvalidManifest, InvalidRequest, NotFound, StorageError
from spice_engine.pods.aliases import AliasNotFound
from spice_engine.pods.exporter import Exporter, NotTrainedForExport
from spice_engine.pods.importer import Importer, PodExists
from spice_engine.pods.install import Exists, Staged
from spice_engine.pods.kept_window import kept_window
from spice_engine.pods.live import Table
from spice_engine.pods.package import Package, pack, read_package, write_package
from spice_engine.pods.safe_zip import InvalidPackage
from spice_engine.pods.trusting import Trusting
from spice_engine.pods.versions import Versions
from spice_engine.protocol.packages import Exported, ExportPod, Imported, ImportPod
from spice_engine.store import interpretations, policies
from spice_engine.store.interpretations import InterpretationRow

GOLDEN = Path(__file__).parent.parent / "golden" / "policy_v1.txt"
POLICY = base64.b64decode(GOLDEN.read_text(encoding="ascii"))
MANIFEST = b"""\
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
    data:
      connector:
        name: file
        params:
          path: data/load.csv
      processor:
        name: csv
actions:
  - name: wait
  - name: work
training:
  reward_funcs: code/rewards.py
  rewards:
    - reward: wait
      with: wait
    - reward: work
      with: work
"""
CODE = b"def wait(*states): return 1\ndef work(*states): return 2\n"
SAID = InterpretationRow(1_600_000_000, 1_600_000_060, "busy", ("work",), ("hot",))


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Folder]:
    """A folder with a pod, of which there are three versions."""
    folder = await open_folder(tmp_path / "source")
    for path, content in {"spicepods/host.yaml": MANIFEST, "code/rewards.py": CODE}.items():
        (folder.root / path).parent.mkdir()
        (folder.root / path).write_bytes(content)
    await folder.pods.rescan()
    values = np.array([[1.0], [3.0], [5.0]])
    folder.pods.get("host").table = Table(values, ("host_load_cpu",), 1_600_000_000, 30, 3, "")
    yield folder
    await folder.close()


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Folder]:
    """An empty folder."""
    folder = await open_folder(tmp_path / "target")
    yield folder
    await folder.close()


async def add_version(folder: Folder, held_out: float | None = None, *names: str) -> int:
    digest = folder.objects.put_bytes(POLICY)
    row = await folder.database.write(
        lambda connection: policies.add(
            connection,
            pod="host",
            object_hash=digest,
            fingerprint="f",
            algorithm="linear",
            created=5.0,
            evaluation={"held_out": {"regret_closed": held_out}},
            training_number=7,
            aliases=("latest", *names),
        )
    )
    return row.version


async def export(folder: Folder, **changes: object) -> Exported:
    exporter = Exporter(folder.location, folder.database, folder.objects, folder.pods)
    return await exporter.export(dataclasses.replace(ExportPod("host"), **changes))


async def take(folder: Folder, data: bytes, **changes: object) -> Imported:
    importer = Importer(
        folder.location, folder.database, folder.objects, folder.pods, folder.pods, folder.trust
    )
    return await importer.import_pod(dataclasses.replace(ImportPod(data=data), **changes))


async def trained(source: Folder) -> bytes:
    """The package of a trained pod."""
    await add_version(source)
    await source.database.write(lambda connection: interpretations.add(connection, "host", [SAID]))
    exported = await export(source)
    return (source.root / exported.path).read_bytes()


# -- export


async def test_an_exported_pod_holds_all_that_it_takes(source: Folder, tmp_path: Path) -> None:
    data = await trained(source)
    package = read_package(io.BytesIO(data), tmp_path / "staging", "x")
    assert (package.pod, package.manifest, package.policy) == ("host", MANIFEST, POLICY)
    assert package.code == ("code/rewards.py", CODE)
    assert package.interpretations == (SAID,)
    assert package.window is not None
    assert b"[[3.0],[5.0]]" in package.window


async def test_only_a_trained_pod_can_be_exported(source: Folder) -> None:
    with pytest.raises(NotTrainedForExport) as caught:
        await export(source)
    assert caught.value.code == "pod_not_trained"
    assert "at least one training run" in str(caught.value)
    with pytest.raises(NotFound):
        await export(source, pod="other")
    await add_version(source)
    with pytest.raises(AliasNotFound):
        await export(source, alias="prod")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"directory": "no"}, NotFound),
        ({"directory": ".."}, InvalidRequest),
        ({"directory": "/usr"}, InvalidRequest),
        ({"directory": ".spice/objects"}, InvalidRequest),
        ({"directory": "link"}, InvalidRequest),
        ({"directory": "a\0b"}, InvalidRequest),
        ({"filename": "host.zip"}, InvalidRequest),
        ({"filename": "../host.spicepod"}, InvalidRequest),
        ({"filename": ".host.spicepod"}, InvalidRequest),
    ],
)
async def test_an_export_stays_in_the_app_folder(
    source: Folder, tmp_path: Path, changes: dict[str, str], error: type[Exception]
) -> None:
    await add_version(source)
    (source.root / "link").symlink_to(tmp_path)
    before = source.files()
    with pytest.raises(error):
        await export(source, **changes)
    assert source.files() == before


async def test_an_export_writes_over_nothing_unasked(source: Folder) -> None:
    await add_version(source)
    directory = str(source.root / "code")
    exported = await export(source, directory=directory, filename="a.spicepod")
    assert exported.path == "code/a.spicepod"
    with pytest.raises(Exists, match="specify --overwrite"):
        await export(source, directory="code", filename="a.spicepod")
    again = await export(source, directory="code", filename="a.spicepod", overwrite=True)
    assert again == exported


async def test_a_pod_that_changed_since_its_training_is_not_exported(source: Folder) -> None:
    await add_version(source)
    path = source.root / "spicepods" / "host.yaml"
    path.write_bytes(MANIFEST.replace(b"- name: cpu", b"- name: memory"))
    await source.pods.rescan()
    with pytest.raises(Conflict, match="other fields or actions"):
        await export(source)
    path.write_bytes(b"name: host\nparams: 3\n")
    source.pods.pods.clear()
    await source.pods.rescan()
    with pytest.raises((InvalidManifest, NotFound)):
        await export(source)


# -- import


async def test_an_imported_pod_serves_with_no_data(source: Folder, target: Folder) -> None:
    data = await trained(source)
    imported = await take(target, data, alias="prod")
    assert imported == Imported("host", 1, ["code/rewards.py", "spicepods/host.yaml"])
    assert target.files() == {"code/rewards.py": CODE, "spicepods/host.yaml": MANIFEST}
    assert target.pods.served == [("host", 1)]
    rows = await target.database.read(lambda c: policies.list_versions(c, "host"))
    assert [(row.aliases, row.training_number) for row in rows] == [(("latest", "prod"), None)]
    assert target.objects.read_bytes(rows[0].object) == POLICY
    assert await target.database.read(lambda c: interpretations.find(c, "host")) == [SAID]
    table = await kept_window(target.database, target.objects, "host", 1)
    assert table is not None
    row = table.row_at(2, None)
    window, end = table.values[row - 2 : row], table.end_of_newest()
    assert (window.tolist(), end) == ([[3.0], [5.0]], 1_600_000_090)
    assert await kept_window(target.database, target.objects, "host", 2) is None
    again = await export(target)  # still with the window it came with
    assert (target.root / again.path).read_bytes() == data


async def test_a_pod_of_that_name_is_replaced_only_when_asked(
    source: Folder, target: Folder
) -> None:
    data = await trained(source)
    (target.root / "spicepods").mkdir()
    mine = MANIFEST.replace(b"1h", b"2h")
    (target.root / "spicepods" / "mine.yaml").write_bytes(mine)
    await target.pods.rescan()
    with pytest.raises(PodExists):
        await take(target, data)
    assert target.files() == {"spicepods/mine.yaml": mine}
    await take(target, data, overwrite=True)
    assert target.files() == {"spicepods/mine.yaml": MANIFEST, "code/rewards.py": CODE}


async def test_another_pods_files_are_never_replaced(source: Folder, target: Folder) -> None:
    data = await trained(source)
    (target.root / "spicepods").mkdir()
    other = MANIFEST.replace(b"name: host\nparams", b"name: other\nparams")
    (target.root / "spicepods" / "host.yaml").write_bytes(other)
    await target.pods.rescan()
    with pytest.raises(PodExists, match="another pod"):
        await take(target, data, overwrite=True)
    (target.root / "spicepods" / "host.yaml").unlink()
    await target.pods.rescan()
    (target.root / "code").mkdir()
    (target.root / "code" / "rewards.py").write_bytes(b"mine")
    with pytest.raises(Exists):
        await take(target, data)
    assert target.files() == {"code/rewards.py": b"mine"}
    assert await target.database.read(lambda c: policies.list_versions(c, "host")) == ()


async def test_code_from_elsewhere_takes_trust_away(source: Folder, target: Folder) -> None:
    data = await trained(source)
    target.trust.grant(target.root)
    assert (await take(target, data)).trust_reset
    assert not target.trust.is_trusted(target.root)
    target.trust.grant(target.root)
    assert not (await take(target, data, overwrite=True)).trust_reset  # the same code
    assert target.trust.is_trusted(target.root)


async def test_a_package_that_does_not_agree_with_itself_changes_nothing(
    source: Folder, target: Folder, tmp_path: Path
) -> None:
    whole = read_package(io.BytesIO(await trained(source)), tmp_path / "s", "x")
    other_code = MANIFEST.replace(b"code/rewards.py", b"other.py")
    wrong: list[tuple[Package, type[Exception]]] = [
        (dataclasses.replace(whole, pod="other"), InvalidPackage),
        (dataclasses.replace(whole, manifest=other_code), InvalidPackage),
        (dataclasses.replace(whole, manifest=b"name: host\n"), InvalidManifest),
        (dataclasses.replace(whole, manifest=MANIFEST.replace(b"cpu", b"x")), InvalidPackage),
        (dataclasses.replace(whole, window=b"{}"), Exception),
        (dataclasses.replace(whole, policy=b"x"), Exception),
    ]
    for package, error in wrong:
        with pytest.raises(error):
            await take(target, write_package(package))
    with pytest.raises(InvalidPackage, match="not 'other'"):
        await take(target, write_package(whole), pod="other")
    with pytest.raises(InvalidRequest):
        await take(target, write_package(whole), alias="v3")
    assert target.files() == {}
    assert await target.database.read(policies.list_versions) == ()
    assert list((target.location.state / "tmp").iterdir()) == []


async def test_a_file_of_the_app_folder_is_imported_by_its_path(
    source: Folder, target: Folder, tmp_path: Path
) -> None:
    data = await trained(source)
    (tmp_path / "outside.spicepod").write_bytes(data)
    (target.root / "link.spicepod").symlink_to(tmp_path / "outside.spicepod")
    for path in ("../outside.spicepod", "link.spicepod"):
        with pytest.raises(InvalidRequest, match="outside of the app folder"):
            await take(target, b"", path=path)
    with pytest.raises(NotFound):
        await take(target, b"", path="no.spicepod")
    with pytest.raises(InvalidRequest):
        await take(target, b"")
    (target.root / "in.spicepod").write_bytes(data)
    assert (await take(target, b"", path="in.spicepod")).pod == "host"


async def test_an_original_package_comes_untrained(target: Folder) -> None:
    manifest = MANIFEST.partition(b"training:")[0]
    files = {"host.yaml": manifest, "init.pb": b"", "host_train/meta.json": b"{}"}
    imported = await take(target, pack(files))
    assert (imported.policy_version, target.pods.served) == (None, [])
    assert "comes untrained" in imported.notes[0]
    assert target.files() == {"spicepods/host.yaml": manifest}


async def test_when_the_files_cannot_be_put_the_store_is_as_before(
    source: Folder, target: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await trained(source)
    await take(target, data)

    def fails(staged: Staged) -> None:
        raise StorageError("cannot write: the disk is full.")

    monkeypatch.setattr(Staged, "commit", fails)
    changed = write_package(
        dataclasses.replace(
            read_package(io.BytesIO(data), target.location.state / "tmp" / "s", "x"),
            interpretations=(),
        )
    )
    with pytest.raises(StorageError):
        await take(target, changed, overwrite=True, alias="prod")
    assert await target.database.read(lambda c: policies.aliases(c, "host")) == {"latest": 1}
    assert await target.database.read(lambda c: interpretations.find(c, "host")) == [SAID]


# -- versions


async def test_versions_names_and_the_best(source: Folder) -> None:
    for score, names in ((0.5, ("old",)), (0.9, ()), (None, ())):
        await add_version(source, score, *names)
    versions = Versions(source.database, source.pods, source.pods)
    found = await versions.list("host")
    assert [one.version for one in found.versions] == [3, 2, 1]
    assert [one.held_out for one in found.versions] == [None, 0.9, 0.5]
    assert found.best == 2
    assert await versions.set_alias("host", "prod", "best") == {"latest": 3, "old": 1, "prod": 2}
    assert await versions.set_alias("host", "prod", "old") == {"latest": 3, "old": 1, "prod": 1}
    assert await versions.remove_alias("host", "prod") == {"latest": 3, "old": 1}
    for call in (
        versions.set_alias("host", "x", "v9"),
        versions.set_alias("host", "x", "best2"),
        versions.remove_alias("host", "prod"),
    ):
        with pytest.raises(AliasNotFound):
            await call
    for name in ("v3", "3", "", "a b", "-x"):
        with pytest.raises(InvalidRequest):
            await versions.set_alias("host", name, "1")
    with pytest.raises(InvalidRequest):
        await versions.remove_alias("host", "latest")
    assert source.pods.served == []


async def test_going_back_serves_the_earlier_version(source: Folder) -> None:
    versions = Versions(source.database, source.pods, source.pods)
    with pytest.raises(NotFound, match="Train it first"):
        await versions.rollback("host", "")
    for _ in range(3):
        await add_version(source)
    assert [one.serving for one in (await versions.rollback("host", "")).versions] == [
        False,
        True,
        False,
    ]
    await versions.rollback("host", "")
    with pytest.raises(Conflict, match="no version before v1"):
        await versions.rollback("host", "")
    await versions.set_alias("host", "latest", "v3")
    assert source.pods.served == [("host", 2), ("host", 1), ("host", 3)]
    assert await versions.aliases("host") == {"latest": 3}


# -- trust


async def test_trust_says_what_would_run(source: Folder) -> None:
    trusting = Trusting(source.location, source.pods, source.trust)
    status = await trusting.status()
    assert not status.trusted
    assert [(one.path, one.pods, one.exists) for one in status.code] == [
        ("code/rewards.py", ["host"], True)
    ]
    status = await trusting.set(trusted=True)
    assert (status.trusted, status.for_this_process) == (True, False)
    assert [one.path for one in status.folders] == [str(source.root)]
    assert not (await trusting.set(trusted=False)).trusted
    assert source.pods.trust_changes == 2
