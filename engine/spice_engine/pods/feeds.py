"""The live feeds of all pods: one task each, begun again only where what it does has changed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from spice_engine.data.connectors import http, influxdb, websocket
from spice_engine.errors import InvalidData
from spice_engine.pods import plan
from spice_engine.pods.feed_link import Accepting, FeedStatus, Fetching, Link, Pace
from spice_engine.pods.model import Feed, Manifest, Part
from spice_engine.pods.observation_body import Body
from spice_engine.pods.polling import AskingHttp, AskingInflux, poll
from spice_engine.records import record

log = logging.getLogger(__name__)

CONNECTORS = frozenset({"http", "influxdb", "websocket", "coinbase"})
"""The connectors of live feeds; what others read, a loader does."""
_PLACES = frozenset({"place", "places"})


@record
class _Wanted:
    """A feed as a manifest describes it; `signature` is the same while its meaning is."""

    signature: str
    dataspace: str
    role: Literal["data", "seed"]
    connector: Part
    template: Body


@dataclass(slots=True)
class _Followed:
    signature: str
    link: Link
    task: asyncio.Task[None] | None


class Feeds:
    """Follows what manifests say; `close` it at the end.

    `store` takes what comes, `fetchers` are children that ask, `folder` is for large answers.
    `on_status` is called with a pod's name when one of its feeds fails, recovers or is done.
    """

    def __init__(
        self,
        store: Accepting,
        fetchers: Fetching,
        folder: Path,
        *,
        pace: Pace | None = None,
        on_status: Callable[[str], object] | None = None,
    ) -> None:
        self._store = store
        self._fetchers = fetchers
        self._folder = folder
        self._pace = pace or Pace()
        self._on_status: Callable[[str], object] = on_status or str
        self._pods: dict[str, dict[str, _Followed]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> bool:
        """Whether any feed still has something to do."""
        return bool(self._tasks)

    def follow(self, name: str, manifest: Manifest) -> None:
        """Has the pod's feeds be those of the manifest. Feeds that mean the same just go on."""
        wanted = {f"{one.role} {one.dataspace}": one for one in _wanted(manifest)}
        known = self._pods.setdefault(name, {})
        for key in list(known):
            if key not in wanted or wanted[key].signature != known[key].signature:
                _end(known.pop(key))
        for key, one in wanted.items():
            if key in known:
                # The same feed may stand on another line now.
                known[key].link.template = one.template
                known[key].link.status.place = one.connector.place
            else:
                known[key] = self._begin(name, one, manifest)

    def forget(self, name: str) -> None:
        """Ends the feeds of a pod; what was handed over by then is kept."""
        for followed in self._pods.pop(name, {}).values():
            _end(followed)

    def status(self, name: str) -> tuple[FeedStatus, ...]:
        """How the pod's feeds do."""
        return tuple(one.link.status for one in self._pods.get(name, {}).values())

    def stats(self) -> dict[str, float]:
        """Figures for `/metrics`, over all feeds there are."""
        every = [status for name in self._pods for status in self.status(name)]
        return {
            "feeds": float(len(every)),
            "failing": float(sum(one.state in {"failing", "invalid"} for one in every)),
            "rows": float(sum(one.rows for one in every)),
            "bytes": float(sum(one.bytes for one in every)),
        }

    async def close(self) -> None:
        """Ends all feeds and waits for their tasks."""
        for name in list(self._pods):
            self.forget(name)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, name: str, wanted: _Wanted, manifest: Manifest) -> _Followed:
        part = wanted.connector
        status = FeedStatus(wanted.dataspace, wanted.role, part.name, part.place)
        link = Link(
            name,
            wanted.template,
            status,
            store=self._store,
            fetchers=self._fetchers,
            folder=self._folder,
            pace=self._pace,
            on_change=self._on_status,
        )
        try:
            work = _work(part, manifest, link)
        except InvalidData as error:
            status.state = "invalid"
            status.place = error.place or part.place
            status.last_error = f"{error.message} {error.hint}".strip()
            return _Followed(wanted.signature, link, None)
        task = asyncio.create_task(work, name=f"feed {name} {wanted.dataspace}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return _Followed(wanted.signature, link, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended by a defect", task.get_name(), exc_info=error)


def _end(followed: _Followed) -> None:
    if followed.task is not None:
        followed.task.cancel()


def _work(part: Part, manifest: Manifest, link: Link) -> Coroutine[Any, Any, None]:
    """What the feed's task does.

    Raises InvalidData where a param cannot be used.
    """
    match part.name:
        case "http":
            return poll(AskingHttp(http.parse(part.params, part.place_of)), link)
        case "influxdb":
            params = manifest.params
            asking = AskingInflux(
                influxdb.parse(part.params, part.place_of),
                epoch=params.epoch_time,
                period=params.period,
                interval=params.interval,
            )
            return poll(asking, link)
        case _:
            from spice_engine.pods.streams import stream  # it brings aiohttp

            _check_stream(part, link.template)
            parse = websocket.parse_coinbase if part.name == "coinbase" else websocket.parse
            return stream(parse(part.params, part.place_of), link)


def _check_stream(part: Part, template: Body) -> None:
    if template.format != "json":
        raise InvalidData(
            f"The {part.name} connector needs the processor json, not {template.format}.",
            hint="Write 'processor: {name: json}'.",
            place=part.place,
        )


def _wanted(manifest: Manifest) -> list[_Wanted]:
    found: list[_Wanted] = []
    params = manifest.params
    for space, plain in zip(manifest.dataspaces, plan.dataspaces(manifest), strict=True):
        roles: tuple[tuple[Literal["data", "seed"], Feed | None], ...] = (
            ("seed", space.seed_data),
            ("data", space.data),
        )
        for role, feed in roles:
            if feed is None or feed.connector is None or feed.connector.name not in CONNECTORS:
                continue
            connector, processor = feed.connector, feed.processor
            template = Body(
                data=b"",
                format=processor.name,
                mode="dataspace",
                dataspaces=[plain],
                params=processor.params,
                only=space.path,
                feed=connector.name if role == "data" else f"seed/{connector.name}",
            )
            meaning = [connector.name, dict(connector.params), _meaning(plain)]
            if connector.name == "influxdb":
                meaning.append([params.epoch_time, params.period, params.interval])
            meaning += [processor.name, dict(processor.params)]
            signature = json.dumps(meaning, sort_keys=True)
            found.append(_Wanted(signature, space.path, role, connector, template))
    return found


def _meaning(value: Any) -> Any:
    """Plain data without where in the manifest they stand."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _meaning(part) for key, part in items if key not in _PLACES}
    if isinstance(value, list):
        return [_meaning(part) for part in cast("list[Any]", value)]
    return value
