"""How a server's wanted version does: its rollout, its trial, and the state that follows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection

from spice_engine.protocol.servers import RolloutInfo
from spice_engine.serving import rollout
from spice_engine.serving.replicas import Replica
from spice_engine.serving.rollout import Trial
from spice_engine.store.servers import ServerRow, VersionRow

RUNNING, DONE, ROLLED_BACK, FAILED = "running", "done", "rolled back", "failed"


class Progress:
    """Belongs to one deployment. `failed`: the version is given up, and there is no other."""

    def __init__(self, version: VersionRow) -> None:
        self.rollout: RolloutInfo | None = None
        self.failed = False
        self.restarts = 0
        """Crashes one after another, which the next replica stands in for."""
        self.trial = Trial(version.number, time.monotonic(), was_ready=version.state == "good")
        self._has_other = False

    @property
    def is_rolling(self) -> bool:
        """Whether a rollout is under way."""
        return self.rollout is not None and self.rollout.state == RUNNING

    def told(self, ready: Collection[Replica], pods: int) -> RolloutInfo | None:
        """The rollout under way, or the last one, with what is ready now."""
        told = self.rollout
        if told is None or told.state != RUNNING:
            return told
        new = sum(1 for one in ready if one.spec.version == told.to_version)
        return dataclasses.replace(told, ready=new, wanted=pods)

    def begin(self, version: VersionRow, before: int | None, pods: int, *, fresh: bool) -> None:
        """A version is rolled out in place of `before`; `fresh`: it has to show that it works."""
        was_ready = not fresh and version.state == "good"
        self.trial = Trial(version.number, time.monotonic(), was_ready=was_ready)
        self.failed = False
        self.restarts = 0
        self._has_other = before is not None
        self.rollout = RolloutInfo(before, version.number, RUNNING, 0, pods, time.time())

    def end(self, state: str, ready: int, pods: int, message: str = "") -> None:
        """The rollout under way has ended so."""
        told = self.rollout
        if told is not None and told.state == RUNNING:
            self.rollout = RolloutInfo(
                told.from_version,
                told.to_version,
                state,
                ready,
                pods,
                told.started,
                time.time(),
                message,
            )

    def gave_up(self, other: VersionRow | None) -> None:
        """The wanted version is given up for another one, or with none for good."""
        self._has_other = False
        self.restarts = 0
        if other is None:
            self.failed = True
        else:
            self.trial = Trial(other.number, time.monotonic(), was_ready=True)

    def crashed(self, replica: Replica) -> None:
        """A replica of the wanted version ended by itself."""
        trial = self.trial
        lived = time.time() - replica.ready_at if replica.ready_at is not None else None
        trial.crashed(time.monotonic(), lived, replica.message, blamed=replica.blamed)
        if replica.timed_out and not trial.was_ready:
            trial.crashes = max(trial.crashes, rollout.MOST_CRASHES)
        self.restarts = replica.restarts + 1

    def unprepared(self, reason: str) -> None:
        """What the version needs cannot be had."""
        self.trial.crashed(time.monotonic(), None, reason, blamed=True)
        if not self.trial.was_ready:
            self.trial.crashes = rollout.MOST_CRASHES

    def given_up(self, replicas: Collection[Replica], timeout: float) -> str:
        """Why the wanted version is to be given up now; empty where it is not."""
        trial = self.trial
        if self.failed:
            return ""
        if trial.is_over(has_other=self._has_other):
            return trial.reasons[-1] if trial.reasons else "it crashed"
        if not self.is_rolling or not any(one.state == "ready" for one in replicas):
            return ""
        now = time.monotonic()
        for one in replicas:
            if one.counts and one.state == "requested" and now - one.begun > timeout:
                return f"there was no room for it: {one.message}"
        return ""

    def state(self, row: ServerRow, replicas: Collection[Replica]) -> tuple[str, str]:
        """The server's state, and what is to be said about it."""
        ready = sum(1 for one in replicas if one.state == "ready")
        if row.wish == "stopped":
            return ("stopping" if replicas else "stopped"), ""
        if self.failed:
            return ("running" if ready else "failed"), row.message
        reasons = self.trial.reasons
        problem = next((one.message for one in replicas if one.counts and one.message), "")
        if not problem and reasons and not ready:
            problem = reasons[-1]
        if self.rollout is not None and self.rollout.state == ROLLED_BACK:
            problem = row.message
        if self.is_rolling:
            return ("updating" if ready else "starting"), problem
        if ready or not row.pods:
            return "running", problem
        return ("failing" if reasons else "starting"), problem

    def is_settled(self, row: ServerRow, state: str) -> bool:
        """Whether what was wished for is there, or has failed."""
        if row.wish == "stopped":
            return state == "stopped"
        return state == "failed" or not self.is_rolling
