"""Packages from folders, real git repositories and a real HTTP server, found, got and published."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from package_pods import Folder, open_folder

from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.pods import lockfile
from spice_engine.pods.catalogue import Catalogue
from spice_engine.pods.install import Exists
from spice_engine.pods.lockfile import ChecksumMismatch
from spice_engine.pods.package import pack
from spice_engine.pods.registry_http import RegistryUnreachable
from spice_engine.pods.safe_zip import InvalidPackage
from spice_engine.protocol.packages import PublishPod

MANIFEST = b"""\
# Waters the garden when it is dry.
name: garden
params:
  epoch_time: 1600000000
dataspaces:
  - from: sensors
    name: bed
    measurements:
      - name: moisture
    data:
      connector:
        name: file
        params:
          path: data/bed.csv
      processor:
        name: csv
actions:
  - name: water
training:
  reward_funcs: rewards.py
  rewards:
    - reward: water
      with: water
"""
FILES = {
    "spicepods/garden.yaml": MANIFEST,
    "data/bed.csv": b"time,moisture\n1600000000,1\n",
    "rewards.py": b"def water(*states): return 1\n",
}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def git(folder: Path, *arguments: str) -> str:
    """The user's git, with a name and none of this machine's settings."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A Name")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@name")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Folder]:
    """An empty app folder."""
    folder = await open_folder(tmp_path / "app")
    yield folder
    await folder.close()


@contextlib.asynccontextmanager
async def opened(app: Folder, *registries: str) -> AsyncIterator[Catalogue]:
    catalogue = Catalogue(app.location, registries, app.pods, app.trust)
    yield catalogue
    await catalogue.close()
    assert list((app.location.state / "tmp").iterdir()) == []


@contextlib.contextmanager
def served(answers: dict[str, bytes | int | str]) -> Iterator[tuple[str, list[str]]]:
    """A server with these bodies by path (or a status, or where to go), and what was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = answers.get(self.path, 404)
            if isinstance(answer, bytes):
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                return
            self.send_response(answer if isinstance(answer, int) else 302)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


# -- built in, and folders


async def test_a_sample_is_added_under_all_its_names(app: Folder) -> None:
    async with opened(app) as catalogue:
        added = await catalogue.add("samples/serverops", force=False)
        assert added.files == ["data/metrics.csv", "spicepods/serverops.yaml"]
        assert set(app.files()) == {*added.files, "spice.lock"}
        assert app.pods.names() == ["serverops"]
        for name in ("quickstarts/serverops", "serverops", "samples/ServerOps"):
            assert (await catalogue.add(name, force=False)).changed == []
        locked = lockfile.read(app.root)["serverops"]
        assert (locked.reference, locked.sha256) == ("samples/serverops", added.sha256)
        with pytest.raises(NotFound, match="samples/serverops"):
            await catalogue.add("samples/none", force=False)
        assert "samples/serverops" in [one.name for one in (await catalogue.search("")).packages]


async def test_a_folder_is_added_with_what_its_manifest_names(app: Folder, tmp_path: Path) -> None:
    other = {"client.py": b"x", "spicepods/.hidden": b"x", "data/__pycache__/a.py": b"x"}
    write(tmp_path / "garden", {**FILES, **other})
    async with opened(app) as catalogue:
        app.trust.grant(app.root)
        added = await catalogue.add(str(tmp_path / "garden"), force=False)
        assert added.trust_reset
        assert not app.trust.is_trusted(app.root)
        assert {path: data for path, data in app.files().items() if path != "spice.lock"} == FILES
        assert app.pods.names() == ["garden"]
        (app.root / "data/bed.csv").write_bytes(b"mine")
        with pytest.raises(Exists, match=r"data/bed\.csv"):
            await catalogue.add(str(tmp_path / "garden"), force=False)
        assert app.files()["data/bed.csv"] == b"mine"
        forced = await catalogue.add(str(tmp_path / "garden"), force=True)
        assert (forced.changed, forced.trust_reset) == (["data/bed.csv"], False)


async def test_the_originals_layout_goes_to_spicepods(app: Folder, tmp_path: Path) -> None:
    write(tmp_path / "garden", {"garden.yaml": MANIFEST, "rewards.py": b"x", "sub/a.csv": b"1"})
    async with opened(app) as catalogue:
        added = await catalogue.add(str(tmp_path / "garden"), force=False)
    assert added.files == [
        "spicepods/garden.yaml",
        "spicepods/rewards.py",
        "spicepods/sub/a.csv",
    ]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"readme.md": b""}, NotFound),
        ({"spicepods/readme.md": b""}, NotFound),
        ({**FILES, "spicepods/run.sh": b""}, InvalidPackage),
        ({**FILES, "data/model.pkl": b""}, InvalidPackage),
    ],
)
async def test_what_is_no_package_is_refused_whole(
    app: Folder, tmp_path: Path, files: dict[str, bytes], error: type[Exception]
) -> None:
    write(tmp_path / "garden", files)
    async with opened(app) as catalogue:
        with pytest.raises(error):
            await catalogue.add(str(tmp_path / "garden"), force=True)
    assert app.files() == {}


async def test_a_link_in_a_folder_does_not_bring_other_files(app: Folder, tmp_path: Path) -> None:
    write(tmp_path, {"secret.csv": b"s"})
    write(tmp_path / "garden", FILES)
    (tmp_path / "garden" / "data" / "link.csv").symlink_to(tmp_path / "secret.csv")
    async with opened(app) as catalogue:
        with pytest.raises(InvalidPackage, match="leads out of the package"):
            await catalogue.add(str(tmp_path / "garden"), force=False)
    assert app.files() == {}


# -- publishing, and registries that are folders


async def publisher(tmp_path: Path) -> Folder:
    """An app folder with the garden in it."""
    folder = await open_folder(tmp_path / "publisher")
    write(folder.root, FILES)
    await folder.pods.rescan()
    return folder


async def test_what_is_published_can_be_searched_and_added(app: Folder, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    registry.mkdir()
    garden = await publisher(tmp_path)
    async with opened(garden) as catalogue:
        request = PublishPod("garden", str(registry), name="org/garden")
        first, files = await catalogue.publish(request)
        assert (first.version, first.commit, files) == ("1", "", sorted(FILES))
        assert (await catalogue.publish(request))[0] == first  # nothing changed
        (garden.root / "data/bed.csv").write_bytes(b"time,moisture\n")
        assert (await catalogue.publish(request))[0].version == "2"
        with pytest.raises(Conflict, match="never changes"):
            await catalogue.publish(PublishPod("garden", str(registry), "org/garden", "1"))
    await garden.close()
    async with opened(app, str(tmp_path / "none"), str(registry)) as catalogue:
        found = await catalogue.search("GARDEN dry")
        (offer,) = [one for one in found.packages if one.registry != "built in"]
        assert (offer.name, offer.version) == ("org/garden", "2")
        assert offer.summary == "Waters the garden when it is dry."
        assert "none" in found.failures[0]
        added = await catalogue.add("org/garden@1", force=False)
        assert {path: app.files()[path] for path in added.files} == FILES
        assert (await catalogue.add("org/garden", force=True)).version == "2"
        with pytest.raises(NotFound, match="Versions: 1, 2"):
            await catalogue.add("org/garden@3", force=False)


async def test_only_a_pod_that_is_whole_is_published(tmp_path: Path) -> None:
    garden = await publisher(tmp_path)
    (garden.root / "rewards.py").unlink()
    async with opened(garden) as catalogue:
        with pytest.raises(Conflict, match=r"rewards\.py, which is missing"):
            await catalogue.publish(PublishPod("garden", str(tmp_path)))
        write(garden.root, FILES)
        with pytest.raises(NotFound):
            await catalogue.publish(PublishPod("garden", "nowhere"))
    await garden.close()


async def test_what_is_not_what_its_index_says_is_not_taken(app: Folder, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    registry.mkdir()
    garden = await publisher(tmp_path)
    async with opened(garden) as catalogue:
        published, _ = await catalogue.publish(PublishPod("garden", str(registry)))
    await garden.close()
    (registry / published.file).write_bytes(pack({"spicepods/garden.yaml": b"name: evil"}))
    async with opened(app, str(registry)) as catalogue:
        with pytest.raises(ChecksumMismatch):
            await catalogue.add("garden", force=True)
    assert app.files() == {}


# -- git


async def test_git_repositories_by_path_branch_and_commit(app: Folder, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    # Files that no package has, links and hidden ones do not matter, and are not taken.
    write(repository, {"x.sh": b"", ".github/a.yaml": b"", "org/.keep": b""})
    write(repository / "org" / "garden", FILES)
    (repository / "link").symlink_to("/etc")
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "one")
    first = git(repository, "rev-parse", "HEAD")
    write(repository / "org" / "garden", {"data/bed.csv": b"time,moisture\n"})
    git(repository, "commit", "-qam", "two")
    git(repository, "tag", "v2")
    url = f"git+file://{repository}"
    async with opened(app, url) as catalogue:
        added = await catalogue.add(f"{url}#org/garden", force=False)
        assert (added.name, added.version) == ("garden", git(repository, "rev-parse", "HEAD"))
        assert app.files()["data/bed.csv"] == b"time,moisture\n"
        old = await catalogue.add(f"{url}#org/garden@{first}", force=True)
        assert (old.version, app.files()["data/bed.csv"]) == (first, FILES["data/bed.csv"])
        assert (await catalogue.add(f"{url}#org/garden@v2", force=True)).sha256 == added.sha256
        assert (await catalogue.add("org/garden", force=False)).sha256 == added.sha256
        assert "org/garden" in [one.name for one in (await catalogue.search("dry")).packages]
        for wrong in (f"{url}#none", f"{url}#org/garden@none", f"{url}x#"):
            with pytest.raises((NotFound, RegistryUnreachable)):
                await catalogue.add(wrong, force=False)
        for wrong in (f"{url}#org/garden@-x", f"{url}#../x", "git+ext::sh -c true", "git+-x"):
            with pytest.raises(InvalidRequest):
                await catalogue.add(wrong, force=False)


async def test_nothing_of_a_repository_runs(
    app: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, hooks = tmp_path / "repository", tmp_path / "hooks"
    write(repository, {**FILES, ".gitattributes": b"*.csv filter=evil\n"})
    git(repository, "init", "-q")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "one")
    ran = tmp_path / "ran"
    for name in ("post-checkout", "pre-commit", "post-merge", "reference-transaction"):
        write(hooks, {name: f"#!/bin/sh\ntouch {ran}\n".encode()})
        (hooks / name).chmod(0o755)
    config = tmp_path / "config-file"
    config.write_text(f'[core]\n hooksPath={hooks}\n[filter "evil"]\n smudge = touch {ran}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    async with opened(app) as catalogue:
        await catalogue.add(f"git+file://{repository}", force=False)
    assert not ran.exists()
    assert app.files()["data/bed.csv"] == FILES["data/bed.csv"]


async def test_publishing_into_a_work_tree_commits_that_alone(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    write(registry, {"mine.txt": b"1"})
    git(registry, "init", "-q")
    git(registry, "add", "-A")
    git(registry, "commit", "-qm", "mine")
    write(registry, {"mine.txt": b"2", "staged.txt": b"3"})
    git(registry, "add", "staged.txt")
    garden = await publisher(tmp_path)
    async with opened(garden) as catalogue:
        published, _ = await catalogue.publish(PublishPod("garden", str(registry)))
    await garden.close()
    assert published.commit == git(registry, "rev-parse", "HEAD")
    changed = git(registry, "show", "--name-only", "--format=%s", "HEAD").split("\n")
    assert changed == ["Publish garden 1", "", "index.json", "packages/garden-1.zip"]
    assert git(registry, "status", "--porcelain") == "M mine.txt\nA  staged.txt"


# -- HTTP


def index_of(data: bytes, file: str = "packages/g.zip") -> bytes:
    version = {"version": "7", "file": file, "sha256": hashlib.sha256(data).hexdigest()}
    packages = [{"name": "org/garden", "summary": "A garden.", "versions": [version]}]
    return json.dumps({"format": "spice-registry", "version": 1, "packages": packages}).encode()


async def test_an_address_with_an_index_is_a_registry(app: Folder) -> None:
    data = pack(FILES)
    answers: dict[str, bytes | int | str] = {
        "/r/index.json": index_of(data),
        "/r/packages/g.zip": data,
    }
    with served(answers) as (url, _):
        async with opened(app, f"{url}/r/") as catalogue:
            found = (await catalogue.search("a GARDEN")).packages
            assert [one.version for one in found if one.registry != "built in"] == ["7"]
            added = await catalogue.add("org/garden", force=False)
            assert (added.version, added.source) == ("7", f"{url}/r/")
            answers["/r/packages/g.zip"] = pack({"spicepods/garden.yaml": b"name: evil"})
            with pytest.raises(ChecksumMismatch):
                await catalogue.add("org/garden", force=True)
    assert {path: app.files()[path] for path in FILES} == FILES


async def test_the_originals_registry_and_plain_zips(app: Folder) -> None:
    data = pack({"garden.yaml": MANIFEST})
    answers: dict[str, bytes | int | str] = {
        "/v0.1/spicepods/org/garden": data,
        "/v0.1/spicepods/org/garden/2": data,
        "/g.zip": pack({f"top/{path}": content for path, content in FILES.items()}),
        "/moved": "/g.zip",
    }
    with served(answers) as (url, asked):
        async with opened(app, url) as catalogue:
            assert (await catalogue.add("org/garden", force=False)).files == [
                "spicepods/garden.yaml"
            ]
            assert (await catalogue.add("org/garden@2", force=False)).version == "2"
            assert asked[-1] == "/v0.1/spicepods/org/garden/2"
            assert (await catalogue.add(f"{url}/moved", force=False)).files == sorted(FILES)
            assert (await catalogue.add(f"{url}/v0.1/spicepods/org/garden@2", force=False)).name
            with pytest.raises(NotFound, match="no package 'org/none'"):
                await catalogue.add("org/none", force=False)
            assert "cannot be searched" in (await catalogue.search("x")).failures[0]


async def test_a_server_that_answers_badly_is_told(app: Folder) -> None:
    answers: dict[str, bytes | int | str] = {
        "/500": 500,
        "/401": 401,
        "/html": b"<html>",
        "/file": "file:///etc/passwd",
        "/loop": "/loop",
        "/evil": pack({"../evil.py": b""}),
    }
    with served(answers) as (url, _):
        async with opened(app) as catalogue:
            for path in answers:
                with pytest.raises(SpiceError) as caught:
                    await catalogue.add(f"{url}{path}", force=True)
                assert caught.value.code in {"registry_unreachable", "invalid_package"}
            secret = url.replace("//", "//me:secret@")
            with pytest.raises(NotFound) as missing:
                await catalogue.add(f"{secret}/none?token=secret", force=True)
            assert "secret" not in str(missing.value)
    async with opened(app) as catalogue:
        with pytest.raises(RegistryUnreachable):
            await catalogue.add(f"{url}/gone", force=False)
    assert app.files() == {}


# -- the lock file


async def test_the_lock_file_brings_the_same_again_or_says_so(app: Folder, tmp_path: Path) -> None:
    data = pack(FILES)
    answers: dict[str, bytes | int | str] = {"/index.json": index_of(data), "/packages/g.zip": data}
    with served(answers) as (url, _):
        async with opened(app, url) as catalogue:
            await catalogue.add("org/garden", force=False)
            await catalogue.add("samples/serverops", force=False)
            for path in (*FILES, "data/metrics.csv"):
                (app.root / path).unlink()
            again = await catalogue.add_locked(force=False)
            assert [one.name for one in again] == ["org/garden", "serverops"]
            assert {path: app.files()[path] for path in FILES} == FILES
            other = pack({**FILES, "data/bed.csv": b"other"})
            answers.update({"/index.json": index_of(other), "/packages/g.zip": other})
            (app.root / "data/bed.csv").unlink()
            for call in (
                catalogue.add_locked(force=False),
                catalogue.add("org/garden@7", force=False),
            ):
                with pytest.raises(ChecksumMismatch, match="not what it was"):
                    await call
            assert "data/bed.csv" not in app.files()
            await catalogue.add("org/garden@7", force=True)
            assert app.files()["data/bed.csv"] == b"other"
