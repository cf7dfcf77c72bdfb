"""The fetcher's process: one HTTP request after another, for feeds that ask and are answered.

Started as `python -I -m spice_engine.data.fetcher`. TLS certificates are verified; redirects are
followed up to five times, and take no header of the user's to another server.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import aiohttp
from yarl import URL

from spice_engine import __version__
from spice_engine.data.connectors import influxdb
from spice_engine.data.connectors.remote import MAX_BYTES, FeedFailed, shown
from spice_engine.errors import StorageError
from spice_engine.store.disk import storage_error

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

INLINE_BYTES = 2**20
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_HEAD_BYTES = 64 * 2**10
_LOOK_SECONDS = 0.1


def fetch(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Handler `fetch`: what a request is answered.

    `params`: `request` (`Request.as_dict`), `folder` for answers over 1 MiB, `digest` and `etag`
    of the last answer (empty where there was none).

    Returns `unchanged`, and where it is not: `data`, or `path` of a file that is then the caller's
    to remove; `bytes`, `digest` (BLAKE2b, 16 bytes) and `etag`. Cancelled within 0.1 s.

    Raises FeedFailed where nobody answers, or not with data; StorageError where the folder cannot
    be written.
    """
    return asyncio.run(_watched(params, report))


async def _watched(params: dict[str, Any], report: Report) -> dict[str, Any]:
    task = asyncio.create_task(_fetch(params))
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
            report.check()
        return await task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, FeedFailed, StorageError):
            await task


async def _fetch(params: Mapping[str, Any]) -> dict[str, Any]:
    request: Mapping[str, Any] = params["request"]
    url, where = request["url"], shown(request["url"])
    try:
        async with (
            asyncio.timeout(request["timeout"]),
            aiohttp.ClientSession(
                trust_env=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                connector=aiohttp.TCPConnector(force_close=True),
                headers={"User-Agent": f"spice-tui/{__version__}"},
            ) as session,
        ):
            return await _exchange(session, params)
    except TimeoutError:
        raise FeedFailed(
            f"{where} did not answer within {request['timeout']:g} s.",
            hint="Give it more with 'timeout', or ask for less.",
        ) from None
    except aiohttp.ClientError as error:
        raise FeedFailed(_reason(error, where), hint="It is asked again.") from None
    except ValueError:
        # Of yarl and aiohttp; their texts quote the address with all that is in it.
        raise FeedFailed(f"The request to {shown(url)} cannot be made.") from None


async def _exchange(session: aiohttp.ClientSession, params: Mapping[str, Any]) -> dict[str, Any]:
    """Sends the request, and again where it is redirected, and reads what comes."""
    request: Mapping[str, Any] = params["request"]
    method, url, body = request["method"], URL(request["url"]), request["body"]
    headers = dict(request["headers"])
    if params["etag"]:
        headers["If-None-Match"] = params["etag"]
    for _ in range(MAX_REDIRECTS + 1):
        async with session.request(
            method,
            url,
            headers=headers,
            data=body.encode() if body else None,
            allow_redirects=False,
        ) as answer:
            if answer.status not in _REDIRECTS:
                return await _read(answer, params)
            target = _target(answer)
            if target.origin() != url.origin():
                headers = {}
            if answer.status == 303 or (answer.status in {301, 302} and method == "POST"):
                method, body = "GET", ""
            url = target
    raise FeedFailed(
        f"{shown(request['url'])} redirects more than {MAX_REDIRECTS} times.",
        hint="Write the address that it leads to.",
    )


def _target(answer: aiohttp.ClientResponse) -> URL:
    """Where a redirect leads."""
    where = shown(str(answer.url))
    location = answer.headers.get("Location", "")
    if not location:
        raise FeedFailed(f"{where} redirects ({answer.status}) to nowhere.")
    target = answer.url.join(URL(location))
    if target.scheme not in {"http", "https"} or not target.host:
        raise FeedFailed(f"{where} redirects to what is no http address.")
    return target


async def _read(answer: aiohttp.ClientResponse, params: Mapping[str, Any]) -> dict[str, Any]:
    connector, url = params["request"]["connector"], str(answer.url)
    if answer.status == 304:
        return {"unchanged": True}
    if answer.status != 200:
        await _refuse(answer, connector, url)
    kept = _Kept(Path(params["folder"]))
    try:
        async for part in answer.content.iter_any():
            kept.add(part)
            if kept.size > MAX_BYTES:
                raise FeedFailed(
                    f"{shown(url)} answers with more than {MAX_BYTES >> 20} MiB.",
                    hint="Ask for less of it.",
                )
        if connector == "influxdb":
            influxdb.check(kept.head(), answer.headers.get("Content-Type", ""), url)
        digest = kept.digest.digest()
        if digest == params["digest"]:
            kept.discard()
            return {"unchanged": True}
        return {
            "unchanged": False,
            "bytes": kept.size,
            "digest": digest,
            "etag": answer.headers.get("ETag", "")[:1000],
            **kept.result(),
        }
    except BaseException:
        kept.discard()
        raise


async def _refuse(answer: aiohttp.ClientResponse, connector: str, url: str) -> None:
    said = b""
    with suppress(aiohttp.ClientError):
        said = await answer.content.read(_HEAD_BYTES)
    if connector == "influxdb":
        raise influxdb.refusal(answer.status, said, url)
    hint = "It is asked again."
    if answer.status in {401, 403}:
        hint = "It asks for a sign-in: put what it needs into 'headers'."
    elif answer.status == 404:
        hint = "Check the address."
    reason = f" {answer.reason[:60]}" if answer.reason else ""
    raise FeedFailed(f"{shown(url)} answered {answer.status}{reason}.", hint=hint)


@dataclass(slots=True)
class _Kept:
    """An answer as it comes: in memory up to 1 MiB, beyond that in a file."""

    folder: Path
    size: int = 0
    parts: list[bytes] = field(default_factory=list[bytes])
    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    file: BinaryIO | None = None
    path: str = ""

    def add(self, part: bytes) -> None:
        self.size += len(part)
        self.digest.update(part)
        if self.file is None and self.size <= INLINE_BYTES:
            self.parts.append(part)
            return
        try:
            if self.file is None:
                descriptor, self.path = tempfile.mkstemp(dir=self.folder)
                self.file = open(descriptor, "wb")  # noqa: SIM115 - closed by `result` or `discard`
                self.file.write(b"".join(self.parts))
            self.file.write(part)
        except OSError as error:
            raise storage_error(error, "keep what was fetched", self.folder) from error

    def head(self) -> bytes:
        return b"".join(self.parts)[:_HEAD_BYTES]

    def result(self) -> dict[str, Any]:
        if self.file is None:
            return {"data": b"".join(self.parts), "path": ""}
        try:
            self.file.close()
        except OSError as error:
            raise storage_error(error, "keep what was fetched", self.folder) from error
        return {"data": None, "path": self.path}

    def discard(self) -> None:
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
        if self.path:
            with suppress(OSError):
                Path(self.path).unlink()


def _reason(error: aiohttp.ClientError, where: str) -> str:
    """What went wrong, without the error's own text, which may hold the whole address."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"The certificate of {where} cannot be verified."
        case aiohttp.ClientSSLError():
            return f"{where} does not speak TLS as it should."
        case aiohttp.ClientConnectorDNSError():
            return f"The host of {where} is not known."
        case aiohttp.ClientConnectorError():
            return f"{where} cannot be reached: {error.strerror or 'no connection'}."
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return f"{where} broke off in the middle of its answer."
        case aiohttp.ClientResponseError():
            return f"{where} answered with what is no HTTP."
        case aiohttp.ClientOSError():
            return f"The connection to {where} broke: {error.strerror or 'no reason given'}."
        case _:
            return f"{where} could not be asked ({type(error).__name__})."


if __name__ == "__main__":
    from spice_engine.workers.child import serve

    serve({"fetch": fetch})
