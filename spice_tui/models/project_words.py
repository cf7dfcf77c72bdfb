"""What a project's runs came to, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_tui.models.cells import cell_of

if TYPE_CHECKING:
    from spice_engine.protocol.projects import BestValue, ProjectDetails

MOST_METRICS = 3


def project_words(found: ProjectDetails) -> str:
    """`digits: 12 runs, 10 complete, 2 failed; accuracy is highest in run 3: 0.98`."""
    one = found.project
    counts = [f"{one.runs} run{'' if one.runs == 1 else 's'}"]
    counts += [f"{count} {state}" for state, count in found.states.items()]
    parts = [", ".join(counts), *map(_best, found.best[:MOST_METRICS])]
    archived = " (archived)" if one.archived is not None else ""
    return f"{one.name}{archived}: {'; '.join(parts)}"


def _best(best: BestValue) -> str:
    which = "lowest" if best.smallest else "highest"
    value = cell_of("number", best.value).text
    return f"{best.metric} is {which} in run {best.run}: {value}"
