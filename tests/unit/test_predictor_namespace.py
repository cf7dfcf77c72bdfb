"""/model where no namespace can be had: links, or Python's functions patched. In children."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import spice_runtime
from tests.integration.test_shim_bare import interpreters

ENGINE = str(Path(spice_runtime.__file__).parent.parent)

PATCHED = """
import glob, io, os, pathlib, shutil, sys
sys.path.insert(0, {engine!r})
from spice_runtime import namespace
namespace._by_namespace = namespace._by_links = lambda wanted: False
assert namespace.provide({folder!r}, None) == "patched"
assert os.environ["SPICE_MODEL_DIR"] == {folder!r}
assert open("/model/demo/f.txt").read() == "hi"
assert io.open("/model/demo/f.txt", mode="rb").read() == b"hi"
assert os.listdir("/model") == ["demo"]
assert os.path.isfile("/model/demo/f.txt") and os.path.exists("/model")
assert os.stat("/model/demo/f.txt").st_size == 2
assert [entry.name for entry in os.scandir("/model")] == ["demo"]
assert [names for _, _, names in os.walk("/model")][-1] == ["f.txt"]
path = pathlib.Path("/model/demo/f.txt")
assert path.read_text() == "hi" and path.exists() and path.is_file()
assert [each.name for each in pathlib.Path("/model").rglob("*.txt")] == ["f.txt"]
assert len(glob.glob("/model/*/*.txt")) == 1
shutil.copy("/model/demo/f.txt", {copy!r})
assert open({copy!r}).read() == "hi"
os.close(os.open("/model/demo/f.txt", os.O_RDONLY))
assert not os.path.exists("/modelled")
"""


@pytest.mark.parametrize("python", interpreters())
def test_patched_functions_find_the_model(python: str, tmp_path: Path) -> None:
    (tmp_path / "m/demo").mkdir(parents=True)
    (tmp_path / "m/demo/f.txt").write_text("hi")
    code = PATCHED.format(engine=ENGINE, folder=str(tmp_path / "m"), copy=str(tmp_path / "copy"))
    subprocess.run([python, "-I", "-S", "-c", code], check=True, timeout=60)


def test_nothing_is_done_where_there_is_nothing_to_show() -> None:
    from spice_runtime import namespace

    assert namespace.provide(None, "") == "none"


def test_links_are_made_once_and_never_over_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spice_runtime import namespace

    by_links = namespace._by_links
    model, other, place = tmp_path / "m", tmp_path / "o", str(tmp_path / "model")
    model.mkdir()
    other.mkdir()
    assert by_links({place: str(model)})
    assert by_links({place: str(model)})
    assert not by_links({place: str(other)})
    assert Path(place).resolve() == model
    model.rmdir()
    assert by_links({place: str(other)})
    Path(place).unlink()
    Path(place).mkdir()
    assert not by_links({place: str(other)})
    # One that cannot be had leaves none behind.
    free = str(tmp_path / "free")
    assert not by_links({free: str(other), place: str(other)})
    assert not Path(free).exists()
