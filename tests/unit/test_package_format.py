"""The `.spicepod` file reads back whole, is stable over releases, and refuses what was changed."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from spice_engine.errors import IncompatibleVersion, InvalidData
from spice_engine.pods.kept_window import read_window, window_bytes
from spice_engine.pods.live import Table
from spice_engine.pods.package import Package, pack, read_package, write_package
from spice_engine.pods.safe_zip import InvalidPackage
from spice_engine.store.interpretations import InterpretationRow

GOLDEN = Path(__file__).parent.parent / "golden" / "package_v1.txt"
WHOLE = Package(
    pod="garden",
    manifest_file="garden.yaml",
    manifest=b"name: garden\n",
    interpretations=(InterpretationRow(60, 120, "dry", ("water",), ("hot", "dry")),),
    code=("code/rewards.py", b"def water(*args): return 1\n"),
    policy=b"policy",
    window=b'{"fields":[]}',
    alias="best",
    algorithm="linear",
    policy_version=3,
    created=1_700_000_000.5,
)


def read(data: bytes, tmp_path: Path) -> Package:
    """Read an archive; nothing of it may stay on disk."""
    staging = tmp_path / "staging"
    try:
        return read_package(io.BytesIO(data), staging, "x.spicepod")
    finally:
        assert not staging.exists()


def test_a_package_reads_back_whole_and_equal_ones_are_equal_bytes(tmp_path: Path) -> None:
    data = write_package(WHOLE)
    assert read(data, tmp_path) == WHOLE
    assert write_package(read(data, tmp_path)) == data
    bare = dataclasses.replace(WHOLE, code=None, policy=None, window=None, interpretations=())
    assert read(write_package(bare), tmp_path) == bare


def test_a_package_of_an_earlier_release_is_still_read(tmp_path: Path) -> None:
    data = base64.b64decode(GOLDEN.read_text(encoding="ascii"))
    assert read(data, tmp_path) == WHOLE
    assert write_package(WHOLE) == data


def test_every_file_must_be_listed_and_as_it_was(tmp_path: Path) -> None:
    data = write_package(WHOLE)
    for changed in (data.replace(b"return 1", b"return 2"), data[:-40]):
        with pytest.raises(InvalidPackage):
            read(changed, tmp_path)
    listing = json.dumps(
        {
            "format": "spicepod",
            "version": 1,
            "pod": "a",
            "manifest": "a.yaml",
            "code": None,
            "alias": "latest",
            "algorithm": "",
            "policy_version": 0,
            "created": 0,
            "files": {},
        }
    ).encode()
    with pytest.raises(InvalidPackage, match="does not list"):
        read(pack({"package.json": listing, "a.yaml": b"name: a"}), tmp_path)
    wrong = listing.replace(b'"files": {}', b'"files": {"a.yaml": "00"}')
    with pytest.raises(InvalidPackage, match="not what it was"):
        read(pack({"package.json": wrong, "a.yaml": b"name: a"}), tmp_path)


def test_a_newer_package_says_so(tmp_path: Path) -> None:
    listing = b'{"format": "spicepod", "version": 2}'
    with pytest.raises(IncompatibleVersion, match="version 2"):
        read(pack({"package.json": listing}), tmp_path)


@pytest.mark.parametrize("path", ["../x.py", "x.sh", "/x.py", ".git/x.py"])
def test_code_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidPackage):
        read(write_package(dataclasses.replace(WHOLE, code=(path, b"x"))), tmp_path)


@pytest.mark.parametrize("name", ["a.txt", "sub/a.yaml"])
def test_a_manifest_has_a_manifests_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidPackage, match="manifest's name"):
        read(write_package(dataclasses.replace(WHOLE, manifest_file=name)), tmp_path)


def test_the_originals_layout_gives_manifest_and_interpretations(tmp_path: Path) -> None:
    said = b'[{"Start": 1, "End": 2, "Name": "n", "Actions": null, "tags": ["t"]}]'
    files = {
        "trader.yaml": b"name: trader",
        "interpretations.json": said,
        "init.pb": b"\n\x06trader",
        "trader_train/meta.json": b"{}",
        "trader_train/model.pb/saved_model.pb": b"\x00",
    }
    found = read(pack(files), tmp_path)
    assert (found.manifest, found.policy, found.code) == (b"name: trader", None, None)
    assert found.interpretations == (InterpretationRow(1, 2, "n", (), ("t",)),)
    assert "TensorFlow" in found.notes[0]
    files = {name: data for name, data in files.items() if "_train" not in name}
    assert read(pack(files), tmp_path).notes == ()


@pytest.mark.parametrize(
    "extra", [{"evil.py": b""}, {"b.yaml": b""}, {"interpretations.json": b"[{}]"}]
)
def test_another_layout_is_no_package(tmp_path: Path, extra: dict[str, bytes]) -> None:
    with pytest.raises(InvalidPackage):
        read(pack({"a.yaml": b"", "init.pb": b"", **extra}), tmp_path)
    with pytest.raises(InvalidPackage, match=r"package\.json"):
        read(pack({"a.yaml": b""}), tmp_path)


@pytest.mark.parametrize("events", [False, True])
def test_a_window_is_kept_to_the_bit(events: bool) -> None:
    values = np.array([[1.0, 0.1], [2.0, 1e300], [3.0, -0.0], [9.0, 9.0]])
    moments = np.array([5, 7, 8, 11]) if events else None
    table = Table(values, ("a", "b"), 4_000_000_000, 10, 3, "", moments)
    data = window_bytes(table, 2)
    assert data is not None
    kept = read_window(data)
    assert kept.fields == table.fields
    row = kept.row_at(2, None)
    window, end = kept.values[row - 2 : row], kept.end_of_newest()
    row = table.row_at(2, None)
    wanted, wanted_end = table.values[row - 2 : row], table.end_of_newest()
    assert window.tobytes() == wanted.tobytes()
    assert end == wanted_end
    assert window_bytes(table, 4) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"fields":["a"],"granularity":1,"events":false,"times":[1],"values":[[NaN]]}',
        b'{"fields":["a"],"granularity":1,"events":false,"times":[1,2],"values":[[1]]}',
        b'{"fields":[],"granularity":1,"events":false,"times":[],"values":[]}',
    ],
)
def test_a_damaged_window_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData):
        read_window(data)
