"""What replicas find on disk: code without what is ignored, models, mounts, the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spice_engine.errors import StorageError
from spice_engine.serving import server_code
from spice_engine.store.objects import ObjectStore
from spice_engine.workers.runtime_copy import runtime_copy


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectStore]:
    with closing(ObjectStore(tmp_path / "objects")) as store:
        yield store


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_code_is_taken_without_what_is_ignored(tmp_path: Path, objects: ObjectStore) -> None:
    app = plant(
        tmp_path / "app",
        {
            "serve.py": "x",
            ".gitignore": "*.csv\n/build/\n!keep.csv\n",
            "data.csv": "1",
            "keep.csv": "1",
            "build/out.py": "x",
            "pkg/build/in.py": "x",
            "pkg/.gitignore": "!special.csv\nlocal.py\n",
            "pkg/special.csv": "1",
            "pkg/local.py": "x",
            "pkg/deep/local.py": "x",
            "pkg/deep/more.csv": "1",
            ".git/config": "x",
            ".spice/token": "x",
            ".venv/bin/python": "x",
            "__pycache__/serve.pyc": "x",
            "node_modules/a/b.js": "x",
        },
    )
    taken = server_code.snapshot(objects, app, "serve.py")
    objects.materialize(taken.hash, tmp_path / "code")
    assert names(tmp_path / "code") == {
        "serve.py",
        ".gitignore",
        "keep.csv",
        "pkg/.gitignore",
        "pkg/build/in.py",
        "pkg/special.csv",
    }


def test_an_ignored_entrypoint_is_told(tmp_path: Path, objects: ObjectStore) -> None:
    app = plant(tmp_path / "app", {"serve.py": "x", ".gitignore": "serve.py\n"})
    with pytest.raises(StorageError, match=r"entrypoint serve\.py is ignored"):
        server_code.snapshot(objects, app, "serve.py")


def test_files_too_large_to_be_code_are_left_out_and_named(
    tmp_path: Path, objects: ObjectStore
) -> None:
    app = plant(tmp_path / "app", {"serve.py": "x"})
    with (app / "weights.bin").open("wb") as file:
        file.truncate(server_code.LARGEST_FILE + 1)
    taken = server_code.snapshot(objects, app, "serve.py")
    assert taken.left_out == ("weights.bin",)
    assert taken.files == 1


def test_changed_files_are_named(tmp_path: Path, objects: ObjectStore) -> None:
    app = plant(tmp_path / "app", {"a.py": "1", "b.py": "1", "c/d.py": "1"})
    old = server_code.snapshot(objects, app, "a.py").hash
    plant(app, {"a.py": "2", "e.py": "1"})
    (app / "c" / "d.py").unlink()
    new = server_code.snapshot(objects, app, "a.py").hash
    assert server_code.changed_files(objects, old, new) == ["a.py", "-c/d.py", "+e.py"]
    assert server_code.changed_files(objects, old, old) == []


def test_models_lie_where_scripts_look(tmp_path: Path, objects: ObjectStore) -> None:
    one = plant(tmp_path / "one", {"w.bin": "1", "sub/x": "2"})
    two = plant(tmp_path / "two", {"w.bin": "3"})
    single, both = tmp_path / "v1", tmp_path / "v2"
    server_code.materialize(objects, single, code="", models=[("cifar", one)], mounts=[])
    assert (single / "model" / "w.bin").read_text() == "1"
    assert (single / "model" / "sub" / "x").read_text() == "2"
    assert (single / "model" / "cifar" / "w.bin").read_text() == "1"
    pair = [("cifar", one), ("mnist", two)]
    server_code.materialize(objects, both, code="", models=pair, mounts=[])
    assert (both / "model" / "cifar" / "w.bin").read_text() == "1"
    assert (both / "model" / "mnist" / "w.bin").read_text() == "3"
    assert not (both / "model" / "w.bin").exists()


def test_mounts_are_folders_and_files(tmp_path: Path, objects: ObjectStore) -> None:
    folder = objects.put_tree(plant(tmp_path / "words", {"a.txt": "A"})).hash
    file = objects.put_file(plant(tmp_path / "single", {"b.txt": "B"}) / "b.txt")
    version = tmp_path / "v1"
    mounts = [("vocab", folder), ("deep/b.txt", file)]
    server_code.materialize(objects, version, code="", models=[], mounts=mounts)
    assert (version / "mounts" / "vocab" / "a.txt").read_text() == "A"
    assert (version / "mounts" / "deep" / "b.txt").read_text() == "B"


def test_a_version_is_made_once_and_whole(tmp_path: Path, objects: ObjectStore) -> None:
    app = plant(tmp_path / "app", {"serve.py": "x"})
    code = server_code.snapshot(objects, app, "serve.py").hash
    version = tmp_path / "versions" / "1"
    version.mkdir(parents=True)
    (version / "half").touch()  # left by an engine that died
    server_code.materialize(objects, version, code=code, models=[], mounts=[])
    assert names(version) == {"code/serve.py", "done"}
    (version / "code" / "serve.py").write_text("changed")
    server_code.materialize(objects, version, code=code, models=[], mounts=[])
    assert (version / "code" / "serve.py").read_text() == "changed"
    assert list(version.parent.iterdir()) == [version]


def test_the_runtimes_copy_holds_nothing_else(tmp_path: Path) -> None:
    copy = runtime_copy(tmp_path)
    assert runtime_copy(tmp_path) == copy
    assert [path.name for path in copy.iterdir()] == ["spice_runtime"]
    code = "import spice_runtime.wire, sys; print(spice_runtime.__file__)"
    env = {"PYTHONPATH": str(copy), "PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(copy))
