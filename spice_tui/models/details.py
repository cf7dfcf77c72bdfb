"""Everything about one run, training or version, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from spice_tui.models.cells import cell_of
from spice_tui.models.moments import ago, moment

if TYPE_CHECKING:
    from spice_engine.protocol.pods import TrainingInfo
    from spice_engine.protocol.runs import RunInfo


def lines(items: Iterable[tuple[str, object]]) -> str:
    """Names and values, one a line; what is empty is left out."""
    shown = [(name, value) for name, value in items if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown)


def of_run(run: RunInfo, now: float) -> str:
    """A run."""
    took = None
    if run.started is not None:
        took = cell_of("duration", max(0.0, (run.ended or now) - run.started)).text
    return lines(
        (
            ("run", run.id),
            ("name", run.name),
            ("state", run.state),
            ("outcome", run.outcome),
            ("exit code", run.exit_code),
            ("message", run.message),
            ("command", " ".join(run.command)),
            ("in", run.cwd),
            ("machine", run.machine_type),
            ("ranks", run.distributed or None),
            ("open at", run.link),
            ("began", f"{moment(run.created)} ({ago(run.created, now)})"),
            ("took", took if run.ended is not None else None),
            ("labels", " ".join(run.labels)),
            ("project", run.project),
            ("note", run.description),
            ("mounts", "; ".join(run.mounts)),
            ("environment", run.environment),
            ("outputs", _outputs(run)),
        )
    )


def _outputs(run: RunInfo) -> str | None:
    if not run.output_files or run.output_bytes is None:
        return None
    size = cell_of("bytes", run.output_bytes).text
    return f"{run.output_files} files, {size}"


def of_training(info: TrainingInfo) -> str:
    """A training run."""
    took = cell_of("duration", info.ended - info.started).text if info.ended else "still at it"
    return lines(
        (
            ("training", f"{info.pod}/{info.number}"),
            ("state", info.state),
            ("algorithm", info.algorithm),
            ("began", moment(info.started)),
            ("took", took),
            ("episodes", f"{len(info.episodes)} of {info.episodes_wanted}"),
            ("version", info.policy_version),
            ("error", info.error),
            ("message", info.message),
        )
    )
