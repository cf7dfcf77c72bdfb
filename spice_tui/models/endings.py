"""What ended between two looks at the world: runs, trainings, and servers that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_engine.protocol.run_states import UNDER_WAY
from spice_tui.models.rows import run_state
from spice_tui.models.server_rows import first_line
from spice_tui.models.verdict import regret_closed
from spice_tui.models.world import ACTIVE_TRAINING, World

if TYPE_CHECKING:
    from spice_engine.protocol.runs import RunInfo

LONG_SECONDS = 5.0
"""What took less is not worth a bell: whoever started it still looks."""


def ended(before: World, after: World) -> list[str]:
    """Sentences about what ended. Nothing of the first look, and nothing that was short."""
    said: list[str] = []
    for number, run in after.runs.items():
        old = before.runs.get(number)
        if old is not None and old.state in UNDER_WAY and run.state not in UNDER_WAY:
            took = (run.ended or run.created) - (run.started or run.created)
            if took >= LONG_SECONDS:
                said.append(_run(run))
    for key, training in after.trainings.items():
        old_training = before.trainings.get(key)
        if old_training is None or old_training.state not in ACTIVE_TRAINING:
            continue
        if training.state in ACTIVE_TRAINING:
            continue
        took = (training.ended or training.started) - training.started
        if took >= LONG_SECONDS or training.error:
            regret = regret_closed(training.evaluation)
            figure = f", {regret:.1%} held out" if regret is not None else ""
            said.append(f"Training {key} {training.error or training.state}{figure}")
    for name, server in after.servers.items():
        old_server = before.servers.get(name)
        if old_server is None or server.state != "failed" or old_server.state == "failed":
            continue
        why = f": {first_line(server.message)}" if server.message else ""
        said.append(f"Server {name} failed{why}")
    return said


def _run(run: RunInfo) -> str:
    code = f", exit {run.exit_code}" if run.exit_code else ""
    return f"Run {run.id} {run_state(run)}{code}: {run.name or ' '.join(run.command)[:60]}"
