"""Runs on commits of git repositories, with the real git."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

import pytest

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.runs import ListRuns, StartRun
from spice_engine.runs import git_sources
from spice_engine.runs.git_sources import GitFailed, GitSources
from spice_engine.runs.listing import rows_of
from spice_engine.runs.service import Runs
from spice_engine.store.objects import ObjectStore
from tests.integration.run_services import runs_of
from tests.integration.test_run_files import log_of, outputs, run

NAME = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> str:
    command = ["git", *NAME, *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "more")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "app" / "inner").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "app" / "inner" / "more").write_text("more")
    (folder / "app" / "link").symlink_to("code")
    (folder / ".gitattributes").write_text("*.txt export-ignore text eol=crlf\n")
    (folder / "app" / "run.sh").write_text("cat code\n")
    (folder / "app" / "run.sh").chmod(0o755)
    (folder / "app" / "note.txt").write_text("line\n")
    (folder / "app" / "code").write_text("one")
    commit(folder, top="top")
    git(folder, "tag", "v1")
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> GitSources:
    return GitSources(tmp_path / "state", ObjectStore(tmp_path / "objects"))


def texts(sources: GitSources, tree: str, at: str = "") -> dict[str, str]:
    """What is in a stored folder: contents of files, targets of links."""
    found: dict[str, str] = {}
    for entry in sources._objects.list_tree(tree):
        name = f"{at}{entry.name}"
        if entry.kind == "folder":
            found |= texts(sources, entry.content, f"{name}/")
        elif entry.kind == "link":
            found[name] = f"-> {entry.content}"
        else:
            found[name] = sources._objects.read_bytes(entry.content).decode()
    return found


IN_APP = {
    "code": "one",
    "inner/more": "more",
    "link": "-> code",
    "note.txt": "line\n",
    "run.sh": "cat code\n",
}


async def test_a_folder_of_a_repository_here_as_it_was(
    repository: Path, sources: GitSources
) -> None:
    first = git(repository, "rev-parse", "HEAD")
    commit(repository / "app", code="two")
    (repository / "app" / "code").write_text("not committed")
    (repository / "app" / "fresh").write_text("not known to git")
    before = _state(repository)
    for ref in ("v1", "HEAD~1", first[:8], first):
        got = await sources.take(str(repository / "app"), ref)
        assert (got.commit, got.folder, got.files) == (first, "app", 4)
        assert texts(sources, got.tree) == IN_APP
    entries = {entry.name: entry for entry in sources._objects.list_tree(got.tree)}
    assert (entries["run.sh"].mode, entries["code"].mode) == (0o755, 0o644)
    newest = await sources.take(str(repository / "app"))
    assert texts(sources, newest.tree)["code"] == "two"
    assert newest.source == f"{repository / 'app'}@{newest.commit}"
    assert _state(repository) == before
    whole = await sources.take(str(repository))
    assert "top" in texts(sources, whole.tree)


def _state(repository: Path) -> dict[str, tuple[int, int]]:
    """Every file of it, git's own too."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in repository.rglob("*")
        if path.is_file()
    }


async def test_a_repository_by_its_address(repository: Path, sources: GitSources) -> None:
    address = f"file://{repository}"
    first = git(repository, "rev-parse", "HEAD")
    got = await sources.take(address, "main", "app")
    assert texts(sources, got.tree) == IN_APP
    assert got.source == f"{address}@{first}"
    git(repository, "checkout", "--quiet", "-b", "other")
    second = commit(repository / "app", code="two")
    third = commit(repository / "app", code="three")
    # What moved since is fetched anew; a short hash and a commit before need all of it.
    for ref, wanted in (
        ("other", third),
        ("v1", first),
        (second[:9], second),
        ("other~1", second),
        ("", third),
        (second, second),
    ):
        assert (await sources.take(address, ref)).commit == wanted, ref


async def test_a_commit_that_is_here_needs_nobody(repository: Path, sources: GitSources) -> None:
    address = f"file://{repository}"
    first = await sources.take(address)
    repository.rename(repository.with_name("gone"))
    assert await sources.take(address, first.commit) == first
    with pytest.raises((NotFound, GitFailed)):
        await sources.take(address, "main")


@pytest.mark.parametrize("ref", ["nothing", "HEAD~99", "0" * 40, "abc1234"])
async def test_a_commit_that_is_not_there(repository: Path, sources: GitSources, ref: str) -> None:
    for place in (str(repository), f"file://{repository}"):
        with pytest.raises(NotFound, match=f'Could not resolve commit "{ref}"') as caught:
            await sources.take(place, ref)
        assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("place", "ref", "error"),
    [
        ("ext::sh -c date", "", InvalidRequest),
        ("ftp://example.org/x", "", InvalidRequest),
        ("", "", InvalidRequest),
        ("{repository}", "--upload-pack=date", InvalidRequest),
        ("{repository}", "a..b", InvalidRequest),
        ("{repository}/nothing", "", NotFound),
        ("/", "", NotFound),
        ("file://{repository}/nothing", "", (NotFound, GitFailed)),
        ("http://127.0.0.1:9/a.git", "", GitFailed),
    ],
)
async def test_what_is_no_repository(
    repository: Path, sources: GitSources, place: str, ref: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await sources.take(place.format(repository=repository), ref)


async def test_nothing_of_the_repository_runs(
    repository: Path, sources: GitSources, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        hook = repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
        hook.chmod(0o755)
    git(repository, "config", "filter.evil.smudge", f"touch {mark}")
    (repository / ".gitattributes").write_text("* filter=evil\n")
    commit(repository)
    mark.unlink(missing_ok=True)
    await sources.take(str(repository))
    await sources.take(f"file://{repository}")
    assert not mark.exists()


async def test_credentials_of_an_address_are_not_kept(
    sources: GitSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GitFailed) as caught:
        await sources.take("http://ann:secret@127.0.0.1:9/a.git")
    assert "secret" not in f"{caught.value}"


async def test_one_that_does_not_answer_is_given_up(
    sources: GitSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    monkeypatch.setattr(git_sources, "FETCH_SECONDS", 0.2)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(GitFailed, match="did not answer"):
            await sources.take(f"http://127.0.0.1:{port}/a.git")
        gone.set()
        # Whoever leaves takes git along.
        waiting = asyncio.create_task(sources.take(f"http://127.0.0.1:{port}/b.git"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_caches_that_nobody_used_go(repository: Path, sources: GitSources) -> None:
    await sources.take(f"file://{repository}")
    await sources.tidy()
    (cache,) = sources._folder.iterdir()
    os.utime(cache, (0, 0))
    await sources.tidy()
    assert list(sources._folder.iterdir()) == []


# -- runs


@pytest.fixture
async def runs(repository: Path) -> AsyncIterator[Runs]:
    async with runs_of(repository / "app", stop=True) as found:
        yield found


async def test_a_run_on_a_commit(runs: Runs, repository: Path) -> None:
    (repository / "app" / "code").write_text("changed")
    root = str(repository / "app")
    found = await run(runs, "./run.sh; cat more 2>/dev/null; echo x > x", git=root, git_ref="v1")
    assert (found.state, log_of(runs, found.id)) == ("complete", "one")
    assert found.source == f"{root}@{git(repository, 'rev-parse', 'v1')}"
    assert outputs(runs, found.id) == {"x": "x\n"}
    inner = await run(runs, "cat more", git=f"file://{repository}", cwd="app/inner")
    assert log_of(runs, inner.id) == "more"
    assert PurePosixPath(inner.cwd).name == "inner"
    there = await run(runs, "true")
    for name, numbers in (
        ("app", [found.id, there.id]),
        ("repository", [inner.id]),
        (f"file://{repository}", [inner.id]),
        ("repo", []),
    ):
        listed = await rows_of(runs.database, runs.metrics, ListRuns(repository=name), "app")
        assert [row.id for row in listed] == numbers, name
    for wanted, error in (
        ({"git": root, "cwd": "nowhere"}, InvalidRequest),
        ({"git": root, "cwd": "/"}, InvalidRequest),
        ({"git": root, "in_place": True}, InvalidRequest),
        ({"git": root, "git_ref": "v9"}, NotFound),
        ({"git": "~nobody-of-that-name/x"}, InvalidRequest),
        ({"git": "x" * 5000}, NotFound),
    ):
        with pytest.raises(error):
            await runs.start(StartRun("true", **wanted))  # type: ignore[arg-type]
