"""Files of resources, in the object store and on disk: found, copied out, chosen for a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError, StorageError
from spice_engine.runs import resource_files as files
from spice_engine.runs.resource_copy import copy_out
from spice_engine.runs.resource_files import Resource
from spice_engine.runs.resource_progress import Counter
from spice_engine.serving.model_files import gather
from spice_engine.serving.model_folders import ModelFolders
from spice_engine.serving.model_names import file_specs
from spice_engine.store.objects import ObjectStore

SECRET = b"nobody may read this"


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path / "objects")
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files, folders, and links inside and out."""
    (tmp_path / "secret").write_bytes(SECRET)
    top = tmp_path / "top"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "a.txt").write_text("hello")
    (top / "sub" / "b.bin").write_bytes(b"x" * 1000)
    (top / "sub" / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (top / "sub" / "deep" / "run.sh").chmod(0o755)
    (top / "in").symlink_to("sub/b.bin")
    (top / "sub" / "up").symlink_to("../a.txt")
    (top / "out").symlink_to("../secret")
    (top / "far").symlink_to(tmp_path / "secret")
    (top / "around").symlink_to("around")
    return top


@pytest.fixture(params=["stored", "disk"])
def resource(request: pytest.FixtureRequest, objects: ObjectStore, folder: Path) -> Resource:
    if request.param == "disk":
        return Resource("runs/1", "folder", place=folder, top=folder)
    return Resource("uploads/x", "folder", object=objects.put_tree(folder).hash)


def content(objects: ObjectStore, found: Resource) -> bytes:
    assert found.kind == "file"
    return found.place.read_bytes() if found.place else objects.read_bytes(found.object)


@pytest.mark.parametrize(
    ("path", "data"),
    [("a.txt", b"hello"), ("in", b"x" * 1000), ("sub/up", b"hello"), ("sub/b.bin", b"x" * 1000)],
)
def test_files_and_links_inside_are_found(
    objects: ObjectStore, resource: Resource, path: str, data: bytes
) -> None:
    assert content(objects, files.descend(objects, resource, tuple(path.split("/")))) == data


@pytest.mark.parametrize("path", ["out", "far"])
def test_links_that_lead_out_are_refused(
    objects: ObjectStore, resource: Resource, path: str
) -> None:
    with pytest.raises(InvalidRequest, match="out of its resource"):
        files.descend(objects, resource, (path,))


@pytest.mark.parametrize("path", ["nope", "a.txt/x", "sub/nope/x", "around"])
def test_nothing_is_there(objects: ObjectStore, resource: Resource, path: str) -> None:
    with pytest.raises(SpiceError):
        files.descend(objects, resource, tuple(path.split("/")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(names=st.lists(st.sampled_from(["sub", "deep", "in", "up", "out", "far", "x"]), max_size=5))
def test_no_path_reaches_what_is_outside(
    objects: ObjectStore, resource: Resource, names: list[str]
) -> None:
    try:
        found = files.descend(objects, resource, tuple(names))
    except (NotFound, InvalidRequest):
        return
    if found.kind == "file":
        assert content(objects, found) != SECRET
    elif found.place is not None:
        assert found.place.is_relative_to(resource.place or "")


def test_a_copy_is_the_folder(
    objects: ObjectStore, resource: Resource, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copy"
    done = copy_out(objects, resource, target, "refuse")
    assert (done.copied, done.skipped, done.size) == (8, 0, 1015)
    assert (target / "sub" / "b.bin").read_bytes() == b"x" * 1000
    assert os.access(target / "sub" / "deep" / "run.sh", os.X_OK)
    assert (target / "out").readlink() == Path("../secret")
    (target / "a.txt").write_text("changed")
    assert (folder / "a.txt").read_text() == "hello"


def test_files_that_are_there(objects: ObjectStore, resource: Resource, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    (target / "a.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"a\.txt"):
        copy_out(objects, resource, target, "refuse")
    assert sorted(path.name for path in target.iterdir()) == ["a.txt"]
    assert copy_out(objects, resource, target, "skip").skipped == 1
    assert (target / "a.txt").read_text() == "mine"
    assert copy_out(objects, resource, target, "overwrite").copied == 8
    assert (target / "a.txt").read_text() == "hello"


def test_a_copy_needs_a_folder(objects: ObjectStore, resource: Resource, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for place in ("taken", "taken/deep"):
        with pytest.raises(Conflict, match="taken is no folder"):
            copy_out(objects, resource, tmp_path / place, "overwrite")


def test_a_copy_that_is_cut_off_ends_within_its_file(objects: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "big").write_bytes(b"x" * (2**21 + 1))
    stored = Resource("uploads/x", "folder", object=objects.put_tree(tmp_path / "in").hash)
    for resource in (stored, Resource("runs/1", "folder", place=tmp_path / "in")):
        counter = Counter(lambda _: None)
        counter.stop()
        with pytest.raises(Conflict, match="cut off"):
            copy_out(objects, resource, tmp_path / "out", "refuse", counter.add)
        assert not list((tmp_path / "out").iterdir())


def test_a_copy_writes_through_no_link(
    objects: ObjectStore, resource: Resource, tmp_path: Path
) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "copy"
    elsewhere.mkdir()
    target.mkdir()
    (target / "sub").symlink_to(elsewhere)
    with pytest.raises(Conflict):
        copy_out(objects, resource, target, "overwrite")
    assert list(elsewhere.iterdir()) == []
    (target / "sub").unlink()
    (target / "a.txt").symlink_to(tmp_path / "secret")
    copy_out(objects, resource, target, "overwrite")
    assert (tmp_path / "secret").read_bytes() == SECRET
    assert (target / "a.txt").read_text() == "hello"


def test_a_damaged_object_is_not_copied(objects: ObjectStore, folder: Path, tmp_path: Path) -> None:
    taken = Resource("uploads/x", "folder", object=objects.put_tree(folder).hash)
    path = objects.path_of(files.descend(objects, taken, ("a.txt",)).object)
    path.chmod(0o644)
    path.write_text("HELLO")
    with pytest.raises(StorageError, match="not what was stored"):
        copy_out(objects, taken, tmp_path / "copy", "refuse")
    assert not (tmp_path / "copy" / "a.txt").exists()


def test_a_single_file_is_in_a_folder_of_its_own(objects: ObjectStore, resource: Resource) -> None:
    taken = gather(objects, files.descend(objects, resource, ("sub", "b.bin")), [])
    assert [entry.name for entry in objects.list_tree(taken.object)] == ["b.bin"]
    assert (taken.files, taken.size) == (1, 1000)


def test_files_are_chosen_and_put_elsewhere(
    objects: ObjectStore, resource: Resource, tmp_path: Path
) -> None:
    specs = file_specs(["a.txt:w/one.txt", "sub/deep:w/d", "in"])
    taken = gather(objects, resource, specs)
    objects.materialize(taken.object, tmp_path / "made")
    made = {str(p.relative_to(tmp_path / "made")) for p in (tmp_path / "made").rglob("*.*")}
    assert made == {"w/one.txt", "w/d/run.sh"}
    assert (tmp_path / "made" / "in").read_bytes() == b"x" * 1000
    assert taken.files == 3


def test_missing_files_are_named(objects: ObjectStore, resource: Resource) -> None:
    with pytest.raises(NotFound, match=r"does not hold nope, sub/no\."):
        gather(objects, resource, file_specs(["nope", "a.txt", "sub/no"]))


def test_a_model_of_nothing_is_refused(objects: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match="no file"):
        gather(objects, Resource("runs/1", "folder", place=tmp_path / "empty"), [])


def test_the_engines_state_is_no_resource(objects: ObjectStore, tmp_path: Path) -> None:
    state = tmp_path / "app" / ".spice"
    state.mkdir(parents=True)
    (state / "token").write_text("secret")
    (tmp_path / "app" / "code.py").write_text("1")
    with pytest.raises(InvalidRequest, match="state"):
        files.machine_resource(str(state / "token"), state)
    for top in (tmp_path / "app", tmp_path):
        found = files.machine_resource(str(top), state)
        with pytest.raises(NotFound):
            files.descend(objects, found, (*state.relative_to(top).parts, "token"))
    found = files.machine_resource(str(tmp_path / "app"), state)
    assert files.stored(objects, found).files == 1


def test_what_is_no_place_of_this_machine(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for text, error in (
        ("relative", InvalidRequest),
        ("/a\0b", InvalidRequest),
        (str(tmp_path / "nope"), NotFound),
        (str(tmp_path / "pipe"), InvalidRequest),
        ("/", InvalidRequest),
        ("/proc/self/environ", InvalidRequest),
    ):
        with pytest.raises(error):
            files.machine_resource(text, tmp_path / "state")


def test_folders_of_models_are_made_once_read_only_and_swept(
    objects: ObjectStore, folder: Path, tmp_path: Path
) -> None:
    folders = ModelFolders(tmp_path, objects)
    tree = objects.put_tree(folder).hash
    made = folders.ensure(tree)
    assert (made / "a.txt").read_text() == "hello"
    assert not any(path.stat().st_mode & 0o222 for path in made.rglob("*") if not path.is_symlink())
    assert folders.ensure(tree) == made
    assert folders.sweep({tree}, 0.0) == 0
    assert folders.sweep(set()) == 0  # too young
    assert folders.sweep(set(), 0.0) == 1
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_nobody_may_enter_is_in_a_model_all_the_same(
    objects: ObjectStore, tmp_path: Path
) -> None:
    closed = tmp_path / "top" / "closed"
    closed.mkdir(parents=True)
    (closed / "w").write_text("1")
    closed.chmod(0o500)
    made = ModelFolders(tmp_path, objects).ensure(objects.put_tree(tmp_path / "top").hash)
    assert (made / "closed" / "w").read_text() == "1"
    closed.chmod(0o700)
