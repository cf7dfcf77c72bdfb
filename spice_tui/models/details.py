"""Everything about one run, training or version, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spice_engine.protocol.run_states import STAGES
from spice_tui.models.cells import cell_of
from spice_tui.models.moments import ago, moment
from spice_tui.models.run_rows import PLAIN

if TYPE_CHECKING:
    from spice_engine.protocol.pods import TrainingInfo
    from spice_engine.protocol.runs import RunInfo


def lines(items: Iterable[tuple[str, object]]) -> str:
    """Names and values, one a line; what is empty is left out."""
    shown = [(name, value) for name, value in items if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    indent = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {value}".replace("\n", indent) for name, value in shown)


def of_run(run: RunInfo, now: float, root: Path | None = None) -> str:
    """A run; `root` is the app folder, below which places are told from there."""
    took = None
    if run.started is not None:
        took = cell_of("duration", max(0.0, (run.ended or now) - run.started)).text
    return lines(
        (
            ("run", run.id),
            ("name", run.name),
            ("kind", run.kind if run.kind not in PLAIN else ""),
            ("state", run.state),
            ("outcome", run.outcome),
            ("exit code", run.exit_code),
            ("message", run.message),
            ("attempt", f"{run.attempt} of {run.retries + 1}" if run.retries else ""),
            ("command", " ".join(run.command)),
            ("in", _place(run.cwd, root)),
            ("machine", run.machine_type),
            ("ranks", run.distributed or ""),
            ("priority", run.priority or ""),
            ("after", ", ".join(map(str, run.after))),
            ("made by", _made_by(run)),
            ("goes on from", run.resumed_from),
            ("went on as", run.resumed_as),
            ("began", f"{moment(run.created)} ({ago(run.created, now)})"),
            ("took", took if run.ended is not None else None),
            ("stages", _in_pairs(_stages(run))),
            ("parameters", ", ".join(f"{name} = {value}" for name, value in run.params.items())),
            ("labels", " ".join(run.labels)),
            ("project", run.project),
            ("note", run.description),
            ("code", run.source),
            ("mounts", "; ".join(run.mounts)),
            ("environment", run.environment),
            ("stops when", " OR ".join(run.stop_conditions)),
            ("outputs", _outputs(run)),
        )
    )


def _place(cwd: str, root: Path | None) -> str:
    if root is None or not Path(cwd).is_relative_to(root):
        return cwd
    below = str(Path(cwd).relative_to(root))
    return "" if below == "." else below


def _made_by(run: RunInfo) -> str:
    parent = f"run {run.parent}" if run.parent is not None else ""
    return ", ".join(filter(None, (run.made_by, parent)))


def _stages(run: RunInfo) -> list[str]:
    return [
        f"{name} {cell_of('duration', seconds).text}"
        for name, seconds in sorted(run.stages.items(), key=_stage_order)
    ]


def _in_pairs(words: list[str]) -> str:
    """Two in a line, so that no number decides where a line breaks."""
    return ",\n".join(", ".join(words[at : at + 2]) for at in range(0, len(words), 2))


def _stage_order(stage: tuple[str, float]) -> tuple[int, str]:
    name = stage[0]
    return (STAGES.index(name) if name in STAGES else len(STAGES), name)


def _outputs(run: RunInfo) -> str | None:
    if not run.output_files or run.output_bytes is None:
        return None
    size = cell_of("bytes", run.output_bytes).text
    return f"{run.output_files} {'file' if run.output_files == 1 else 'files'}, {size}"


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
