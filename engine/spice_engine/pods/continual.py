"""When a pod is trained again by itself: by its schedule, or when what comes in has changed.

Nothing but the store is remembered: when the last training began, what it learned until, and
whether its policy was taken up. So what became due while the engine was down is done once, at its
next start. A training that failed counts as one; one that was interrupted does not.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from spice_engine.errors import NotFound
from spice_engine.pods import take_up
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.model import Continual, Manifest
from spice_engine.records import record
from spice_engine.store import policies, training
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore

log = logging.getLogger(__name__)

RUNS_LOOKED_AT = 20
PATIENCE = 2
"""After a policy that was not taken up, drift waits until there are so many times the new rows."""

Params = Callable[..., dict[str, Any]]
"""What a trainer is sent, from its `continual`."""
Look = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""The trainer's answer to `drift`."""


@record
class _History:
    """What the store tells of a pod's trainings.

    `policy` is the object of the version that serves; `began` when the last training did;
    `learned_until` what the last one that gave a policy has learned until; `refused` how many new
    rows there were when a policy was last not taken up against the version that serves.
    """

    policy: str
    began: float
    learned_until: int | None
    refused: int
    decided: str


class Learning:
    """Decides about trainings that nobody asked for; `refresh` has a pod looked at again."""

    def __init__(
        self, database: Database, objects: ObjectStore, look: Look, refresh: Callable[[str], None]
    ) -> None:
        self._database = database
        self._objects = objects
        self._look = look
        self._refresh = refresh
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._looked: dict[str, tuple[int, int]] = {}
        self._began: dict[str, float] = {}
        self._known: dict[str, tuple[int, _History]] = {}

    async def due(
        self,
        pod: Pod,
        manifest: Manifest,
        table: Table,
        params: Params,
        trust: Callable[[], Awaitable[None]],
    ) -> dict[str, Any] | None:
        """The `continual` of the training that is due now; None where none is.

        `table` is what would be learned from. `trust` is asked before the pod's code runs.

        Raises:
            SpiceError: what is wrong with the pod's code or data, or the store.
        """
        wanted, version = manifest.training.continual, pod.policy_version
        until = (pod.evaluation or {}).get("learned_until")
        if wanted is None or version is None or not isinstance(until, int):
            pod.learned_until = pod.next_training = None
            self._sleep(pod.name)
            return None
        history = await self._history(pod.name, version)
        if history is None:
            return None
        pod.decided = history.decided
        due = self._is_scheduled(pod, wanted, history)
        fresh = table.rows_after(until)
        latest = until if history.learned_until is None else history.learned_until
        pod.learned_until, needed = latest, take_up.rows_needed(manifest)
        if min(fresh, table.rows_after(latest)) < needed:
            return None
        serving = {"policy": str(self._objects.path_of(history.policy)), "version": version}
        if due:
            return {**serving, "reason": "schedule"}
        if not wanted.drift or fresh < PATIENCE * history.refused:
            return None
        found = await self._drift(pod, manifest, (fresh, needed), serving, params, trust)
        return None if found is None else {**serving, "reason": "drift", "drift": found}

    def _is_scheduled(self, pod: Pod, wanted: Continual, history: _History) -> bool:
        """Whether the schedule asks for a training now; if it will later, it is woken for that."""
        self._sleep(pod.name)
        if not wanted.every:
            pod.next_training = None
            return False
        now = time.time()
        began = max(history.began, self._began.get(pod.name, 0.0))
        at = min(began, now) + wanted.every  # the clock may have been set back
        pod.next_training = at
        if at <= now:
            return True
        self._wake(pod.name, at - now)
        return False

    async def _history(self, name: str, version: int) -> _History | None:
        """What the store tells; read once for all looks between two trainings."""
        known = self._known.get(name)
        if known is not None and known[0] == version:
            return known[1]
        found = await self._database.read(lambda connection: _read(connection, name, version))
        if found is not None:
            self._known[name] = version, found
        return found

    def began(self, pod: Pod, manifest: Manifest) -> None:
        """A training of the pod begins, for whatever reason: the next one is counted from now."""
        self._sleep(pod.name)
        self._known.pop(pod.name, None)
        now = self._began[pod.name] = time.time()
        wanted = manifest.training.continual
        pod.next_training = None
        if wanted is not None and wanted.every:
            pod.next_training = now + wanted.every
            self._wake(pod.name, wanted.every)

    async def _drift(
        self,
        pod: Pod,
        manifest: Manifest,
        rows: tuple[int, int],
        serving: Mapping[str, Any],
        params: Params,
        trust: Callable[[], Awaitable[None]],
    ) -> dict[str, Any] | None:
        """What the look that is due has found, if it is an alarm; each is taken once."""
        from spice_engine.learning.drift import look_at

        looked = look_at(*rows)
        if looked is None or self._looked.get(pod.name, (0, -1)) >= (serving["version"], looked[0]):
            return None
        await trust()
        self._looked[pod.name] = (serving["version"], looked[0])
        given = {
            **serving,
            "look": looked[0],
            "rows": looked[1],
            "watched": list(manifest.watched_fields),
        }
        found = await self._look(params(continual=given))
        log.info(
            "pod %s: %s among %d new rows: %s",
            pod.name,
            "drift" if found["alarm"] else "no drift",
            looked[1],
            take_up.drift_in_words(found),
        )
        return found if found["alarm"] else None

    def _wake(self, name: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(seconds, self._woken, name)

    def _woken(self, name: str) -> None:
        self._timers.pop(name, None)
        self._refresh(name)

    def forget(self, name: str) -> None:
        """Know nothing any more of a pod that was removed."""
        self._sleep(name)
        for known in (self._looked, self._began, self._known):
            known.pop(name, None)

    def _sleep(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Wake for no pod any more."""
        for name in tuple(self._timers):
            self._sleep(name)


def _read(connection: sqlite3.Connection, pod: str, version: int) -> _History | None:
    """What the store tells; None where it has the version that serves no more."""
    try:
        row = policies.get(connection, pod, version)
    except NotFound:
        return None
    runs = [
        run
        for run in training.list_runs(connection, pod, RUNS_LOOKED_AT)
        if run.state not in (training.RUNNING, training.INTERRUPTED)
    ]
    made = [run for run in runs if run.evaluation is not None and run.policy_version is not None]
    learned, refused, decided = None, 0, ""
    if made:
        newest = made[0]
        evaluation = newest.evaluation or {}
        found = take_up.comparison(evaluation)
        learned = evaluation.get("learned_until")
        decided = take_up.in_words(newest.policy_version or 0, evaluation)
        if found is not None and found["against"] == version and not found["taken_up"]:
            refused = int(found["new_rows"])
    return _History(row.object, runs[0].started if runs else 0.0, learned, refused, decided)
