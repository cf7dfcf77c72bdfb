"""Carries out what the autoscaler decides: measures, decides, notes, tells."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time

from spice_engine.protocol.servers import ScaleDecision
from spice_engine.serving.autoscaler import Decision, History, Inputs, decide
from spice_engine.serving.deployment import Deployment
from spice_engine.serving.node_groups import need_of
from spice_engine.serving.servers import Servers
from spice_engine.store import replicas as table
from spice_engine.store import servers as servers_table
from spice_engine.store.replicas import DecisionRow

log = logging.getLogger(__name__)


class Scaling:
    """The autoscaler of all servers; `step` is called once a second."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._histories: dict[str, History] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        servers.on_wait = self._first_call

    async def step(self) -> None:
        """Look at every server that runs.

        Raises:
            StorageError: a decision cannot be stored; it is not carried out then.
        """
        for name in self._histories.keys() - self._servers.deployments.keys():
            del self._histories[name]
        for name, deployment in list(self._servers.deployments.items()):
            if not isinstance(deployment, Deployment) or not _scales(deployment):
                continue
            history = self._histories.setdefault(name, History())
            inputs = measure(deployment)
            decision = decide(inputs, deployment.definition.scaling, history)
            if decision.after != deployment.row.pods:
                await self._carry_out(deployment, decision, inputs)

    async def close(self) -> None:
        """Finish what was begun."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _first_call(self, deployment: Deployment) -> None:
        """A call came and there is no replica: it does not wait for the next second."""
        name = deployment.row.name
        if deployment.row.pods or deployment.row.wish != "running" or name in self._tasks:
            return
        history = self._histories.setdefault(name, History())
        history.changed = history.last_call = time.monotonic()
        decision = Decision(1, "a call came, and there was no replica")
        work = self._carry_out(deployment, decision, measure(deployment))
        task = self._tasks[name] = asyncio.create_task(work, name=f"first replica of {name}")
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            # The call waits on; the next second tries again.
            log.warning("server %s: its first replica was not begun: %s", name, error)

    async def _carry_out(self, deployment: Deployment, decision: Decision, inputs: Inputs) -> None:
        """Note the decision, then let it be.

        Raises:
            NotFound: the server is gone.
            StorageError: the decision cannot be stored.
        """
        name, before = deployment.row.name, deployment.row.pods
        numbers = inputs.as_numbers()
        made = DecisionRow(time.time(), before, decision.after, decision.reason, numbers)

        def write(connection: sqlite3.Connection) -> None:
            servers_table.get(connection, name)  # it may have been removed meanwhile
            table.add_decision(connection, name, made)

        await self._servers.parts.database.write(write)
        deployment.decision = ScaleDecision(
            made.time, before, decision.after, decision.reason, numbers
        )
        log.info("server %s: %d → %d replicas: %s", name, before, decision.after, decision.reason)
        await self._servers.scale(deployment, decision.after)


def measure(deployment: Deployment) -> Inputs:
    """What is known of a server at this moment."""
    now = time.monotonic()
    definition, ready = deployment.definition, deployment.ready
    signals = deployment.front.router.signals(now, 2)
    service = deployment.figures.recent(now).service_p50
    slots = definition.num_processes * definition.threads
    if any(one.link is not None and one.link.predictor.get("async") for one in ready):
        slots = definition.num_processes * definition.max_concurrency
    numbers = [one.number for one in ready]
    return Inputs(
        time=now,
        wanted=deployment.row.pods,
        ready=len(ready),
        in_flight=signals.in_flight,
        queued=signals.queued,
        oldest=signals.oldest_wait,
        rate=signals.rate,
        cpu=sum(deployment.usage[n].cpu for n in numbers if n in deployment.usage),
        service=service / 1000 if service is not None else None,
        slots=slots,
        cpu_request=need_of(definition.limits).cpu or 1.0,
    )


def _scales(deployment: Deployment) -> bool:
    """Not while it is stopped, fails, or a version is rolled out: what is measured then says
    little about how many replicas the load needs."""
    rolling = deployment.rollout is not None and deployment.rollout.state == "running"
    return deployment.row.wish == "running" and deployment.row.state != "failed" and not rolling
