"""Folders at a commit: of a git repository elsewhere or on this machine, as a tree of the store.

Each source has a bare repository in `git/` of the state folder, into which its commits are
fetched; of one on this machine only the objects are read. Nothing is checked out and nothing is
written to the user's repository: no index, no stash, no ref, no hook. Submodules are left empty,
and what git-lfs keeps elsewhere stays the pointer that the commit has.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import shutil
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from spice_engine import git
from spice_engine.errors import InvalidRequest, NotFound, SpiceError
from spice_engine.records import record
from spice_engine.runs.git_tree import put_archive
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore

log = logging.getLogger(__name__)

FETCH_SECONDS = 600.0
LOOK_SECONDS = 60.0
LARGEST_BYTES = 4 * 2**30
"""Of what one fetch may bring, and of the files of one commit."""

UNUSED_SECONDS = 30 * 86400.0

_WATCH_SECONDS = 0.5
_SAID_BYTES = 8192
_SCHEMES = ("https://", "http://", "ssh://", "file://")
_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)\S+")
_HOST = re.compile(r"(?:www\.)?(?:github|gitlab)\.com/\S+")
_REF = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_./+@{}~^-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_NO_REF = ("couldn't find remote ref", "not our ref", "unadvertised", "invalid refspec")
_NO_REPOSITORY = ("does not appear to be a git repo", "epository not found", "' not found")


class GitFailed(SpiceError):
    """git cannot get a commit: no network, no permission, too late."""

    code = "git_failed"
    http_status = 502
    exit_code = 11


@record
class GitTree:
    """A commit's folder in the object store. `source` is `ADDRESS@COMMIT`, without credentials;
    `folder` is the place in the repository that the tree is of, empty for all of it."""

    tree: str
    commit: str
    source: str
    files: int
    folder: str = ""


class GitSources:
    """The git sources of one app folder. Belongs to the engine's loop."""

    def __init__(self, state: Path, objects: ObjectStore) -> None:
        self._folder = state / "git"
        self._objects = objects
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def take(self, place: str, ref: str = "", folder: str = "") -> GitTree:
        """The tree of `ref` (a branch, tag or commit; HEAD if empty) of the repository at an
        address, or at a path of this machine; with `folder`, that folder of it alone.

        A path may name a folder inside a repository: then the tree is that folder's.

        Raises:
            InvalidRequest: the address or the ref has a form that is not allowed.
            NotFound: there is no such repository, commit or folder.
            GitFailed: git cannot get it, or it takes too long; the message has git's reason.
            StorageError: the disk is full.
        """
        if ref and (not _REF.fullmatch(ref) or ".." in ref or ref.endswith((".lock", "/"))):
            raise InvalidRequest(f"{ref[:200]!r} is no branch, tag or commit.")
        if folder.startswith(("/", "-")) or ".." in folder.split("/") or ":" in folder:
            raise InvalidRequest(f"{folder[:200]!r} is no folder of a repository.")
        address = address_of(place)
        name = hashlib.sha256((address or os.path.realpath(place)).encode()).hexdigest()[:32]
        async with self._locks[name]:
            cache = await self._cache(self._folder / name)
            more: Mapping[str, str] = {}
            if address:
                commit = await self._fetched(cache, address, ref)
            else:
                commit, more, inner = await self._local(Path(place), ref)
                folder = "/".join(part for part in (inner, folder) if part)
            shown = _CREDENTIALS.sub("", address) or place
            return await self._stored(cache, commit, folder, more, shown)

    async def tidy(self) -> None:
        """Remove the caches that were not used for a month."""
        await asyncio.to_thread(_tidy, self._folder, UNUSED_SECONDS)

    async def _cache(self, folder: Path) -> Path:
        """The bare repository of a source."""
        if not await asyncio.to_thread((folder / "info" / "attributes").is_file):
            await asyncio.to_thread(_remove, folder)
            await run_git(["init", "--quiet", "--bare", "--template=", str(folder)], Path("/"))
            await asyncio.to_thread(_make_plain, folder)
        with suppress(OSError):
            os.utime(folder)
        return folder

    async def _fetched(self, cache: Path, address: str, ref: str) -> str:
        """The commit of a ref elsewhere, which is in the cache then."""
        if _COMMIT.fullmatch(ref) and await _commit(cache, ref):
            return ref
        options = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
        one = ["fetch", *options, "--depth=1", "--force", "--", address]
        every = ["fetch", *options, "--force", "--prune", "--", address]
        shown = _CREDENTIALS.sub("", address)
        try:
            await run_git([*one, f"{ref or 'HEAD'}:refs/spice/now"], cache, FETCH_SECONDS, shown)
            found = await _commit(cache, "refs/spice/now")
        except NoRef:
            # A short hash, `main~3`, or a server that gives no commit by its hash: all is fetched.
            shallow = cache / "shallow"
            deepen = ["--unshallow"] if await asyncio.to_thread(shallow.is_file) else []
            words = [every[0], *deepen, *every[1:]]
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            await run_git([*words, *refs], cache, FETCH_SECONDS, shown)
            found = await _commit(cache, ref)
        if not found:
            raise unknown(ref, shown)
        return found

    async def _local(self, place: Path, ref: str) -> tuple[str, Mapping[str, str], str]:
        """The commit of a repository on this machine, how its objects are read, and which of its
        folders `place` is."""
        if not await asyncio.to_thread(os.path.isdir, place):  # also False for what is no path
            raise NotFound(f"there is no folder {str(place)[:200]!r}.")
        words = ["rev-parse", "--git-path", "objects", "--show-prefix"]
        try:
            said = await run_git(words, place, shown=str(place))
        except GitFailed as error:
            if "not a git repository" in error.message:
                raise NotFound(
                    f"{place} is in no git repository.",
                    hint="Leave the commit out to run on the folder as it is.",
                ) from error
            raise
        objects, _, prefix = said.partition("\n")
        commit = await _commit(place, ref or "HEAD")
        if not commit:
            raise unknown(ref, str(place))
        more = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(place / objects)}
        return commit, more, prefix.strip().rstrip("/")

    async def _stored(
        self, cache: Path, commit: str, folder: str, more: Mapping[str, str], shown: str
    ) -> GitTree:
        """A commit's tree in the object store."""
        wanted = f"{commit}:{folder}" if folder else commit
        if folder and await run_git(["cat-file", "-t", wanted], cache, more=more, check=False) != (
            "tree"
        ):
            raise NotFound(f"{shown} has no folder {folder!r} at commit {commit[:12]}.")
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="tar-") as beside:
            archive = Path(beside, "tar")
            words = ["-c", "tar.umask=0022", "archive", "--format=tar", "-o", str(archive), wanted]
            await run_git(words, cache, FETCH_SECONDS, shown, more=more, grows=archive)
            tree, files = await asyncio.to_thread(put_archive, self._objects, archive)
        return GitTree(tree, commit, f"{shown}@{commit}", files, folder)


class NoRef(GitFailed):
    """The other side does not give what was asked for by that name."""


def address_of(place: str) -> str:
    """The address of a repository elsewhere; empty for a path of this machine.

    Raises:
        InvalidRequest: it is neither.
    """
    if not place or not place.isprintable() or any(sign.isspace() for sign in place):
        if place and place.isprintable() and place.startswith(("/", "~")):
            return ""
        raise InvalidRequest(f"{place[:200]!r} is no address of a git repository.")
    if place.startswith(_SCHEMES) or _SCP.fullmatch(place):
        return place
    if _HOST.fullmatch(place):
        return f"https://{place}"
    if "://" in place:
        raise InvalidRequest(
            f"{place[:200]!r} is no address that git may use here.",
            hint=f"Addresses begin with {', '.join(_SCHEMES)}, or are HOST:PATH of SSH.",
        )
    return ""


def unknown(ref: str, shown: str) -> NotFound:
    return NotFound(
        f'Could not resolve commit "{ref or "HEAD"}" for repo {shown}.',
        hint="Name a branch, a tag or a commit that is there (git log, git ls-remote).",
    )


async def _commit(repository: Path, ref: str) -> str:
    """The hash of the commit that a name means; empty where it means none."""
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    return await run_git(words, repository, check=False)


async def run_git(
    words: Sequence[str],
    folder: Path,
    seconds: float = LOOK_SECONDS,
    shown: str = "the repository",
    *,
    check: bool = True,
    more: Mapping[str, str] | None = None,
    grows: Path | None = None,
) -> str:
    """What git prints, in `folder`; empty where it failed and `check` is not set. It ends with
    whoever waits for it.

    Raises:
        NoRef, NotFound, GitFailed: it failed, or took longer than `seconds`.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            *("git", *git.SAFE, *words),
            cwd=folder,
            env={**git.environment(), **(more or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Without a terminal nothing can ask; with a group, what git starts ends with it.
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GitFailed("git is not installed.", hint="Install it.") from error
    except OSError as error:
        raise storage_error(error, "run git", folder) from error
    talk = asyncio.create_task(child.communicate())
    try:
        async with asyncio.timeout(seconds):
            while not (await asyncio.wait([talk], timeout=_WATCH_SECONDS))[0]:
                if await asyncio.to_thread(_bytes, grows or folder / "objects") > LARGEST_BYTES:
                    raise GitFailed(f"{shown} has over {LARGEST_BYTES // 2**30} GiB.")
        out, err = await talk
    except TimeoutError:
        raise GitFailed(f"{shown}: git did not answer in {seconds:g} s.") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        await asyncio.gather(talk, return_exceptions=True)
    if child.returncode == 0:
        return out[:_SAID_BYTES].decode("utf-8", "replace").strip()
    if not check:
        return ""
    raise _failure(err[:_SAID_BYTES].decode("utf-8", "replace").strip(), shown)


def _failure(said: str, shown: str) -> SpiceError:
    """git's own line that names the reason."""
    lines = [line for line in said.splitlines() if line.strip()]
    reason = next((line for line in lines if line.startswith("fatal:")), "")
    reason = reason or (lines[-1] if lines else "git failed")
    reason = _CREDENTIALS.sub("", reason.removeprefix("fatal: "))[:300].rstrip(".")
    if any(words in said for words in _NO_REF):
        return NoRef(f"{shown}: {reason}.")
    if any(words in said for words in _NO_REPOSITORY):
        return NotFound(f"{shown}: {reason}.", hint="Check the address, and that you may read it.")
    return GitFailed(
        f"{shown}: {reason}.", hint="Try it by hand: git ls-remote with the same address."
    )


def _make_plain(folder: Path) -> None:
    try:
        (folder / "info").mkdir(exist_ok=True)
        (folder / "info" / "attributes").write_text(git.PLAIN)
    except OSError as error:
        raise storage_error(error, "keep a repository", folder) from error


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, "keep a repository", folder) from error


def _tidy(folder: Path, unused_seconds: float) -> None:
    oldest = time.time() - unused_seconds
    for cache in list(folder.iterdir()) if folder.is_dir() else []:
        with suppress(OSError):
            if cache.stat().st_mtime < oldest:
                shutil.rmtree(cache, ignore_errors=True)


def _bytes(place: Path) -> int:
    """Bytes of a file, or of all files below a folder; those that are still being written too."""
    total = 0
    with suppress(OSError):
        if not place.is_dir():
            return place.stat().st_size
    for path, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                total += (Path(path) / name).lstat().st_size
    return total
