"""Gets a tree out of a git repository, and commits to one, with the user's own `git`.

A repository is kept bare in the user's cache and never checked out, so that no hook, filter,
submodule or link of it does anything here: its tree is read as an archive, which is unpacked
like any other from elsewhere. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from spice_engine import git
from spice_engine.errors import InvalidRequest, NotFound, TooLarge
from spice_engine.pods.deadline import Deadline
from spice_engine.pods.registry_http import RegistryUnreachable, shown
from spice_engine.store.disk import storage_error

LARGEST_REPOSITORY = 512 * 2**20
LARGEST_ARCHIVE = 64 * 2**20
_LOOK_SECONDS = 0.1
_MESSAGE = 4096

_SCHEMES = ("https://", "http://", "ssh://", "file://")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def cache_home() -> Path:
    """The user's cache directory for this product (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return home / "spice-tui"


def fetch(url: str, ref: str, path: str, archive: IO[bytes], deadline: Deadline) -> str:
    """Write the tree of `ref` (a branch, tag or commit; empty: the default branch) as a ZIP.

    With `path`, unless it is empty, only that folder of it. Gives the commit's hash.

    Raises:
        InvalidRequest: the address or the ref has a form that is not allowed.
        NotFound: there is no such repository, ref or folder.
        RegistryUnreachable: git cannot get it; the message is git's.
        TooLarge: the repository or the tree is over its limit.
        DeadlineExceeded: it takes too long.
    """
    if not url.startswith(_SCHEMES) or any(c.isspace() or not c.isprintable() for c in url):
        raise InvalidRequest(f"{url[:200]!r} is no address of a git repository.")
    if ref and (not _REF.fullmatch(ref) or ".." in ref or ref.endswith((".lock", "/"))):
        raise InvalidRequest(f"{ref[:200]!r} is no branch, tag or commit.")
    if path.startswith("-") or ".." in path.split("/") or ":" in path or not path.isprintable():
        raise InvalidRequest(f"{path[:200]!r} is no folder of a repository.")
    folder = cache_home() / "git" / hashlib.sha256(url.encode()).hexdigest()[:32]
    with _repository(folder, deadline) as repository:
        commit = _commit(repository, url, ref, deadline)
        tree = f"{commit}:{path}" if path else commit
        if path and _run(["cat-file", "-t", tree], repository, deadline, check=False) != "tree":
            raise NotFound(f"{shown(url)} has no folder {path!r} at {ref or commit[:12]}.")
        command = ["archive", "--format=zip", tree]
        _run(
            command,
            repository,
            deadline,
            out=archive,
            written=lambda: os.fstat(archive.fileno()).st_size,
            largest=LARGEST_ARCHIVE,
            where=shown(url),
        )
    return commit


@contextmanager
def _repository(folder: Path, deadline: Deadline) -> Generator[Path]:
    """The bare repository in the cache, for this process alone; one that has grown is renewed."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, "keep the repository in the cache", folder) from error
    with folder.with_name(f"{folder.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (
            not (folder / "info" / "attributes").is_file()
            or _size(folder) > LARGEST_REPOSITORY // 2
        ):
            shutil.rmtree(folder, ignore_errors=True)
            _run(["init", "--quiet", "--bare", "--template=", str(folder)], folder.parent, deadline)
            try:
                (folder / "info").mkdir(exist_ok=True)
                (folder / "info" / "attributes").write_text(git.PLAIN)
            except OSError as error:
                raise storage_error(error, "keep the repository in the cache", folder) from error
        yield folder


def _commit(repository: Path, url: str, ref: str, deadline: Deadline) -> str:
    """The commit of the ref, fetched unless it is named by its hash and here already."""
    if _COMMIT.fullmatch(ref):
        kind = _run(["cat-file", "-t", ref], repository, deadline, check=False)
        if kind == "commit":
            return ref
    command = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"]
    command += ["--no-write-fetch-head", "--force", "--", url, f"{ref or 'HEAD'}:refs/spice/now"]
    try:
        _run(
            command,
            repository,
            deadline,
            written=lambda: _size(repository),
            largest=LARGEST_REPOSITORY,
            where=shown(url),
        )
    except TooLarge:
        shutil.rmtree(repository, ignore_errors=True)
        raise
    return _run(["rev-parse", "--verify", "refs/spice/now^{commit}"], repository, deadline)


def commit_files(folder: Path, files: Sequence[str], message: str, deadline: Deadline) -> str:
    """Commit these files where the folder lies in a git work tree; the commit, else empty.

    Nothing else that is staged or changed goes into the commit, and nothing is pushed.

    Raises:
        RegistryUnreachable: git refuses, for example for want of the user's name.
        DeadlineExceeded: it takes too long.
    """
    if _run(["rev-parse", "--is-inside-work-tree"], folder, deadline, check=False) != "true":
        return ""
    _run(["add", "--force", "--", *files], folder, deadline)
    if _run(["status", "--porcelain", "--", *files], folder, deadline):
        _run(["commit", "--quiet", "--only", "-m", message, "--", *files], folder, deadline)
    return _run(["rev-parse", "HEAD"], folder, deadline)


def _run(
    arguments: Sequence[str],
    folder: Path,
    deadline: Deadline,
    *,
    check: bool = True,
    out: IO[bytes] | None = None,
    written: Callable[[], int] | None = None,
    largest: int = 0,
    where: str = "the repository",
) -> str:
    """Run git in `folder`; what it prints, or empty where it failed and `check` is not set.

    With `out` it prints there. `written` tells how much it has written, `largest` how much it may.
    """
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as own:
        try:
            process = subprocess.Popen(
                ["git", *git.SAFE, *arguments],
                cwd=folder,
                env=git.environment(),
                stdin=subprocess.DEVNULL,
                stdout=own if out is None else out,
                stderr=errors,
                # Without a terminal nothing can ask; with a group, what git starts ends with it.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise RegistryUnreachable("git is not installed.", hint="Install it.") from error
        except OSError as error:
            raise storage_error(error, "run git", folder) from error
        _watch(process, deadline, written, largest, where)
        errors.seek(0)
        said = errors.read(_MESSAGE).decode("utf-8", "replace").strip()
        if process.returncode:
            if check:
                raise _failure(said, where)
            return ""
        own.seek(0)
        return own.read(_MESSAGE).decode("utf-8", "replace").strip()


def _watch(
    process: subprocess.Popen[bytes],
    deadline: Deadline,
    written: Callable[[], int] | None,
    largest: int,
    where: str,
) -> None:
    """Wait for git; end it when it is late, or writes more than it may."""
    running = True
    try:
        while running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                running = False
            if written is not None and written() > largest:
                raise TooLarge(f"{where} has over {largest} bytes, which is the limit.")
            if running:
                deadline.check(where)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _size(repository: Path) -> int:
    """Bytes of the objects, those that are still being received too."""
    total = 0
    for path, _, names in os.walk(repository / "objects"):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(path) / name).lstat().st_size
    return total


def _failure(said: str, where: str) -> NotFound | RegistryUnreachable:
    """git's own last line, which names the reason."""
    lines = [line for line in said.splitlines() if line.strip()]
    reason = lines[-1] if lines else "git failed"
    reason = next((line for line in lines if line.startswith("fatal:")), reason)
    reason = re.sub(r"//[^/@\s]*@", "//", reason.removeprefix("fatal: "))[:300].rstrip(".")
    if "couldn't find remote ref" in said or "does not appear to be a git repo" in said:
        return NotFound(f"{where}: {reason}.", hint="Check the address, and the name after '@'.")
    return RegistryUnreachable(
        f"{where}: {reason}.", hint="Try it by hand: git ls-remote with the same address."
    )
